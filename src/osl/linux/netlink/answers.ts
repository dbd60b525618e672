import type { LibnetworkError } from '../../../errors.ts';
import {
  eachMessage,
  type NetlinkRequest,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  replyError,
} from './message.ts';

/** The kernel's answer to one request. */
export interface Reply {
  /** The refusal, with errno and the kernel's text; `undefined` for success. */
  readonly error: LibnetworkError | undefined;
  /** The payloads of what it sent before its acknowledgement. */
  readonly payloads: readonly Buffer[];
}

/**
 * Collects the answers to requests that were numbered one after the other. The kernel works them off in order and
 * says of each whether it was refused, so that the last one's acknowledgement ends them all. Pure: it is fed
 * datagrams.
 */
export class Answers {
  readonly bytes: Buffer;
  readonly replies: { error: LibnetworkError | undefined; payloads: Buffer[] }[];
  /** The table changed while it was dumped. */
  interrupted = false;
  /** The last request was answered. */
  done: boolean;
  readonly #requests: readonly NetlinkRequest[];
  readonly #first: number;

  constructor(requests: readonly NetlinkRequest[], first: number, bytes: Buffer) {
    this.bytes = bytes;
    this.#requests = requests;
    this.#first = first;
    this.done = requests.length === 0;
    this.replies = requests.map(() => ({ error: undefined, payloads: [] }));
  }

  /** Takes what belongs to these requests; answers to earlier, abandoned ones are dropped. */
  accept(datagram: Buffer): void {
    let copy: Buffer | undefined;
    eachMessage(datagram, (type, flags, sequence, start, end) => {
      const index = sequence - this.#first;
      const reply = this.replies[index];
      const request = this.#requests[index];
      if (!reply || !request || this.done) return;
      if (flags & NLM_F_DUMP_INTR) this.interrupted = true;
      if (type === NLMSG_ERROR || type === NLMSG_DONE) {
        const payload = datagram.subarray(start, end);
        reply.error ??= replyError({ type, flags, sequence, payload }, request.operation);
        this.done = index === this.replies.length - 1;
        return;
      }
      copy ??= Buffer.from(datagram);
      reply.payloads.push(copy.subarray(start, end));
    });
  }
}
