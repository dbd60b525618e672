import type { LibnetworkError } from '../../../errors.ts';
import {
  type NetlinkRequest,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseMessages,
  replyError,
} from './message.ts';

/** The kernel's answer to one request. */
export interface Reply {
  /** The refusal, with errno and the kernel's text; `undefined` for success. */
  readonly error: LibnetworkError | undefined;
  /** The payloads of what it sent before its acknowledgement. */
  readonly payloads: readonly Buffer[];
}

/** Collects the answers to requests that were numbered one after the other. Pure: it is fed datagrams. */
export class Answers {
  readonly bytes: Buffer;
  readonly replies: { error: LibnetworkError | undefined; payloads: Buffer[] }[];
  /** The table changed while it was dumped. */
  interrupted = false;
  readonly #requests: readonly NetlinkRequest[];
  readonly #first: number;
  readonly #answered: boolean[];
  #open: number;

  constructor(requests: readonly NetlinkRequest[], first: number, bytes: Buffer) {
    this.bytes = bytes;
    this.#requests = requests;
    this.#first = first;
    this.#open = requests.length;
    this.#answered = requests.map(() => false);
    this.replies = requests.map(() => ({ error: undefined, payloads: [] }));
  }

  get done(): boolean {
    return this.#open === 0;
  }

  /** Takes what belongs to these requests; answers to earlier, abandoned ones are dropped. */
  accept(datagram: Buffer): void {
    let copy: Buffer | undefined;
    for (const message of parseMessages(datagram)) {
      const index = message.sequence - this.#first;
      const reply = this.replies[index];
      const request = this.#requests[index];
      if (!reply || !request || this.#answered[index]) continue;
      if (message.flags & NLM_F_DUMP_INTR) this.interrupted = true;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        reply.error = replyError(message, request.operation);
        this.#answered[index] = true;
        this.#open--;
        continue;
      }
      copy ??= Buffer.from(datagram);
      const at = message.payload.byteOffset - datagram.byteOffset;
      reply.payloads.push(copy.subarray(at, at + message.payload.length));
    }
  }
}
