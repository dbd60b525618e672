import { abortable } from '../../../abortable.ts';
import { LibnetworkError, throwIfAborted } from '../../../errors.ts';
import { counted } from '../../counters.ts';
import { errnoName, kernelError } from '../../errno.ts';
import type { Waits } from '../../osl.ts';
import * as abi from '../constants.ts';
import { Gate, otherWaits, rtnl } from '../gate.ts';
import { check, getOption, libc, setOption, trySetOption } from '../libc.ts';
import { inNamespace } from '../window.ts';

export type { Reply } from './answers.ts';

import { Answers, type Reply } from './answers.ts';
import {
  align,
  askForAck,
  encodeMessages,
  HEADER_LENGTH,
  NETLINK_ROUTE,
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  parseMessages,
} from './message.ts';

export interface NetlinkSocketOptions {
  /** Room for answers, in bytes; the kernel doubles it. Default 4 MiB. */
  readonly receiveBuffer?: number;
}

export interface RequestOptions extends Waits {
  /**
   * `sync`: in the calling thread. `async`: on libuv's thread pool, for what the kernel makes wait (link deletes
   * and moves, nf_tables removals). `inTurn`: as `async`, for who has taken the turn at `rtnl` already. Default:
   * synchronous, unless the rtnl lock is known to be held.
   */
  readonly mode?: 'sync' | 'async' | 'inTurn' | undefined;
}

const DUMP_ATTEMPTS = 50;
const MAX_SEND = 128 * 1024;
/** What one queued answer may take of the receive buffer, by the kernel's own accounting; measured 0.8 to 8 KiB. */
const ANSWER_COST = 16 * 1024;
/** A send that took longer than this has waited for a lock. */
const SLOW_MS = 4;
const CONTENDED_MS = 50;
/** A send that took less has waited for nobody, also where another thread sent it. */
const QUICK_MS = 1.5;

/** Dumps come in pieces of at most 32 KiB, single answers are smaller; a larger one makes this grow. */
let scratch = Buffer.allocUnsafeSlow(128 * 1024);

/**
 * A netlink socket, born in a namespace and acting there for ever, from wherever it is used. One transaction at a
 * time; others wait their turn. It is connected to the kernel (port id 0), so nobody else can answer on it.
 */
export class NetlinkSocket {
  readonly #fd: number;
  readonly #route: boolean;
  readonly #inFlight: number;
  readonly #turn = new Gate(1);
  #sequence = 1;
  #closed = false;

  private constructor(fd: number, protocol: number) {
    this.#fd = fd;
    this.#route = protocol === NETLINK_ROUTE;
    this.#inFlight = Math.max(1, Math.floor(getOption(fd, abi.SOL_SOCKET, abi.SO_RCVBUF) / 2 / ANSWER_COST));
  }

  /**
   * @param protocol such as `NETLINK_ROUTE`
   * @param namespaceFd where it is born; default: the namespace of this thread
   */
  static open(protocol: number, namespaceFd?: number, options: NetlinkSocketOptions = {}): NetlinkSocket {
    const type = abi.SOCK_RAW | abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
    const open = () => check(libc().socket(abi.AF_NETLINK, type, protocol), 'socket AF_NETLINK');
    const fd = inNamespace(namespaceFd, open);
    try {
      configure(fd, options.receiveBuffer ?? 4 << 20);
      return new NetlinkSocket(fd, protocol);
    } catch (error) {
      libc().close(fd);
      throw error;
    }
  }

  /**
   * Sends requests together and awaits all answers, one per request in the same order. A refused request is a
   * reply with `error` and stops nothing. Long lists go in several sends, so that the answers always have room.
   * A request whose flags hold `NLM_F_DUMP` belongs in `dump`.
   */
  request(requests: readonly NetlinkRequest[], options: RequestOptions = {}): Promise<readonly Reply[]> {
    return this.#transaction(options, async (async) => {
      const replies: Reply[] = [];
      for (const chunk of chunks(requests, this.#inFlight)) {
        const answers = this.#number(chunk, NLM_F_REQUEST);
        askForAck(answers.bytes, lastMessage(answers.bytes, chunk));
        if (async) await this.#sendAsync(answers.bytes, options.mode !== 'inTurn');
        else this.#send(answers.bytes);
        this.#receive(answers);
        if (!answers.done) throw unanswered(chunk);
        for (const reply of answers.replies) replies.push(reply);
      }
      return replies;
    });
  }

  /**
   * Asks for a whole table and returns the payloads of all its messages. A table that changed while it was read
   * is read again. @throws UNAVAILABLE when it kept changing through fifty readings
   */
  async dump(request: NetlinkRequest, options: RequestOptions = {}): Promise<readonly Buffer[]> {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      if (attempt > 0) await nextTurn();
      const answers = await this.#transaction(options, (async) => this.#dumpOnce(request, async));
      const reply = answers.replies[0];
      if (reply?.error) throw reply.error;
      if (reply && answers.done && !answers.interrupted) return reply.payloads;
    }
    const text = `${request.operation}: the kernel's table changed during each of ${DUMP_ATTEMPTS} readings; try again`;
    throw new LibnetworkError('UNAVAILABLE', text, { operation: request.operation });
  }

  /**
   * The lower door, for protocols with rules of their own (nf_tables batches): sends `bytes`, complete messages
   * with headers (`encodeMessages`, numbered from `sequence(count)`), in one send, and returns everything that
   * the kernel answers until `isDone` says so of a message or, without it, until there is nothing more: the
   * kernel answers inside the send, so what is not there then will not come. Nothing is interpreted; see
   * `replyError`. The caller keeps the number of answers below `maxAnswers`.
   */
  exchange(
    bytes: Buffer,
    isDone: (message: NetlinkMessage) => boolean = () => false,
    options: RequestOptions = {},
  ): Promise<readonly NetlinkMessage[]> {
    return this.#transaction(options, async (async) => {
      this.#makeRoomToSend(bytes.length);
      if (async) await this.#sendAsync(bytes);
      else this.#send(bytes);
      const messages: NetlinkMessage[] = [];
      for (let length = this.#read(); length !== undefined; length = this.#read()) {
        if (length > scratch.length) throw tooLarge(length);
        const found = parseMessages(Buffer.from(scratch.subarray(0, length)));
        messages.push(...found);
        if (found.some(isDone)) break;
      }
      return messages;
    });
  }

  /** How many answers may be outstanding at once without overrunning the receive buffer. */
  get maxAnswers(): number {
    return this.#inFlight;
  }

  /** Reserves `count` sequence numbers that follow each other; the first of them. */
  sequence(count: number): number {
    if (this.#sequence + count > 0xffff_ffff) this.#sequence = 1;
    const first = this.#sequence;
    this.#sequence += count;
    return first;
  }

  /** Resolves when what was asked for until now has ended, also what its callers gave up. */
  idle(): Promise<void> {
    return this.#turn.run(() => undefined);
  }

  /** Frees the descriptor once what is under way has ended; what waits fails with UNAVAILABLE. Twice is fine. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    void this.#turn.run(() => libc().close(this.#fd));
  }

  async #transaction<T>(options: RequestOptions, work: (async: boolean) => Promise<T> | T): Promise<T> {
    throwIfAborted(options.signal);
    const run = (async: boolean) => {
      throwIfAborted(options.signal);
      if (this.#closed) throw new LibnetworkError('UNAVAILABLE', 'this netlink socket is closed');
      return work(async);
    };
    const turn = this.#turn.run(() => {
      const { mode } = options;
      if (mode === 'inTurn') return run(true);
      const waits = mode === 'async' || (mode === undefined && this.#route && rtnl.busy);
      if (!waits) return run(false);
      return (this.#route ? rtnl : otherWaits).run(() => run(true));
    });
    return abortable(turn, options.signal);
  }

  /** The kernel produces a table while it is being received, so that the receiving takes the lock as well. */
  async #dumpOnce(request: NetlinkRequest, async: boolean): Promise<Answers> {
    const answers = this.#number([request], NLM_F_REQUEST | NLM_F_DUMP);
    if (!async) {
      this.#send(answers.bytes);
      this.#receive(answers);
    } else {
      await this.#sendAsync(answers.bytes);
      await this.#receiveAsync(answers);
    }
    return answers;
  }

  async #receiveAsync(answers: Answers): Promise<void> {
    let buffer = Buffer.allocUnsafeSlow(scratch.length);
    while (!answers.done) {
      const length = await call(buffer, (done) =>
        libc().recv.async(this.#fd, buffer, buffer.length, abi.MSG_DONTWAIT | abi.MSG_TRUNC, done),
      );
      if (isEmpty(length)) return;
      if (length > buffer.length) {
        // The next reading starts with this much.
        growScratch(length);
        answers.interrupted = true;
        buffer = Buffer.allocUnsafeSlow(scratch.length);
      } else answers.accept(buffer.subarray(0, length));
    }
  }

  #number(requests: readonly NetlinkRequest[], flags: number): Answers {
    const first = this.sequence(requests.length);
    return new Answers(requests, first, encodeMessages(requests, first, flags));
  }

  #send(bytes: Buffer): void {
    counted.requests++;
    const start = performance.now();
    check(libc().send(this.#fd, bytes, bytes.length, 0), 'send on a netlink socket');
    this.#learn(start);
  }

  async #sendAsync(bytes: Buffer, learns = true): Promise<void> {
    counted.requests++;
    const start = performance.now();
    const sent = await call(bytes, (done) => libc().send.async(this.#fd, bytes, bytes.length, 0, done));
    if (sent < 0) throw kernelError('send on a netlink socket', errnoName(sent));
    // Who has the turn knows what it waits for.
    if (learns) this.#learn(start);
  }

  /** A send that took long has waited, and so would the next; where nobody else does, nothing says so. */
  #learn(start: number): void {
    if (!this.#route) return;
    const took = performance.now() - start;
    if (took > SLOW_MS) rtnl.contended(CONTENDED_MS);
    else if (took < QUICK_MS) rtnl.quick();
  }

  /** Takes answers until all are there, or the kernel has no more. */
  #receive(answers: Answers): void {
    while (!answers.done) {
      const length = this.#read();
      if (length === undefined) return;
      if (length > scratch.length) {
        answers.interrupted = true;
        growScratch(length);
      } else answers.accept(scratch.subarray(0, length));
    }
  }

  /** Reads the next datagram into `scratch`: its length, which may be more than there was room for. */
  #read(): number | undefined {
    const length = libc().recv(this.#fd, scratch, scratch.length, abi.MSG_DONTWAIT | abi.MSG_TRUNC);
    return isEmpty(length < 0 ? -libc().errno() : length) ? undefined : length;
  }

  #makeRoomToSend(length: number): void {
    if (length > MAX_SEND) trySetOption(this.#fd, abi.SOL_SOCKET, abi.SO_SNDBUFFORCE, length * 2);
  }
}

/** Lets others run before a table is read again. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Buffers that the thread pool reads or writes now; being here keeps them from the garbage collector. */
const lent = new Set<Buffer>();

/**
 * Runs an asynchronous C call on a buffer: its result, or the negative error number, since errno is only right
 * inside the callback.
 */
function call(
  buffer: Buffer,
  start: (done: (failure: unknown, result: number) => void) => void,
): Promise<number> {
  lent.add(buffer);
  return new Promise((resolve, reject) => {
    start((failure, result) => {
      lent.delete(buffer);
      if (failure) reject(failure);
      else resolve(result < 0 ? -libc().errno() : result);
    });
  });
}

/** True when nothing is there to be received. @throws for every other failure */
function isEmpty(length: number): boolean {
  if (length >= 0) return false;
  const errno = errnoName(length);
  if (errno === 'EAGAIN') return true;
  throw kernelError('recv on a netlink socket', errno);
}

/** Throws the first refusal among replies. */
export function throwRefusal(replies: readonly Reply[]): void {
  for (const reply of replies) if (reply.error) throw reply.error;
}

function configure(fd: number, receiveBuffer: number): void {
  const c = libc();
  if (trySetOption(fd, abi.SOL_SOCKET, abi.SO_RCVBUFFORCE, receiveBuffer) < 0)
    setOption(fd, abi.SOL_SOCKET, abi.SO_RCVBUF, receiveBuffer);
  for (const option of [abi.NETLINK_EXT_ACK, abi.NETLINK_CAP_ACK, abi.NETLINK_GET_STRICT_CHK])
    setOption(fd, abi.SOL_NETLINK, option, 1);
  const kernel = Buffer.alloc(12);
  kernel.writeUInt16LE(abi.AF_NETLINK);
  check(c.connect(fd, kernel, kernel.length), 'connect to the kernel by netlink');
}

function* chunks(requests: readonly NetlinkRequest[], most: number): Generator<readonly NetlinkRequest[]> {
  let start = 0;
  let bytes = 0;
  for (const [index, request] of requests.entries()) {
    if (index > start && (index - start >= most || bytes + request.payload.length > MAX_SEND)) {
      yield requests.slice(start, index);
      start = index;
      bytes = 0;
    }
    bytes += request.payload.length + 20;
  }
  if (start < requests.length) yield start === 0 ? requests : requests.slice(start);
}

/** Where the last of the encoded messages starts. */
function lastMessage(bytes: Buffer, requests: readonly NetlinkRequest[]): number {
  return bytes.length - HEADER_LENGTH - align(requests.at(-1)?.payload.length ?? 0);
}

function unanswered(requests: readonly NetlinkRequest[]): LibnetworkError {
  const operation = requests[0]?.operation ?? 'netlink request';
  return new LibnetworkError('INTERNAL', `${operation}: the kernel sent no answer that could be read`, {
    operation,
  });
}

function growScratch(length: number): void {
  scratch = Buffer.allocUnsafeSlow(length * 2);
}

function tooLarge(length: number): LibnetworkError {
  growScratch(length);
  return new LibnetworkError('INTERNAL', `a netlink answer of ${length} bytes did not fit; try again`);
}
