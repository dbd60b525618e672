/** One thread that runs name servers, from its start to its end, as the thread that started it sees it. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, type ErrorFacts, LibnetworkError } from '../errors.ts';
import type { AllowedAddress, OnAllowed } from './allowed.ts';
import { type MirrorData, mirror } from './mirror.ts';
import type { NameTable } from './names.ts';
import type { LimitOptions, Logger } from './options.ts';
import type { ResolverPorts } from './redirect.ts';
import type { DnsCounters, NameServerSpec, Upstreams } from './servers.ts';

/** What a thread is born with. */
export interface ThreadData extends MirrorData {
  /** The module whose `linuxOsl` opens namespaces. */
  readonly oslModule: string;
  /** The path of the host's namespace; `host`: the one that the process lives in. */
  readonly hostPath: string;
  readonly limits: LimitOptions | undefined;
  /** Somebody wants to be told what allowed names stand for. */
  readonly tellsAllowed: boolean;
}

/** What is asked of a thread, each name server by a number, with the type of its answer. */
export interface Requests {
  start: { readonly ask: Start; readonly answer: ResolverPorts };
  follow: { readonly ask: Upstreams; readonly answer: undefined };
  counters: { readonly ask: undefined; readonly answer: DnsCounters };
  close: { readonly ask: undefined; readonly answer: undefined };
}

export interface Start {
  readonly spec: Omit<NameServerSpec, 'firewallTable'>;
  /** Where the sandbox's namespace is, and its number, for a path may come to mean another one. */
  readonly path: string;
  readonly inode: number;
}

export interface Request {
  readonly id: number;
  readonly op: keyof Requests;
  readonly server: number;
  readonly ask: unknown;
}

export type Reply =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'refusal'; readonly id: number; readonly error: PlainError }
  | { readonly kind: 'warning'; readonly message: string; readonly facts: object | undefined }
  /** To be answered by a `Verdict`. */
  | ({ readonly kind: 'allowed'; readonly number: number } & Allowed);

/** How it went with the `allowed` of this number. */
export interface Verdict {
  readonly op: 'verdict';
  readonly number: number;
  readonly failure: { readonly code: ErrorCode; readonly message: string } | undefined;
}

/** What `OnAllowed` is told. */
export interface Allowed {
  readonly networkId: string;
  readonly name: string;
  readonly addresses: readonly AllowedAddress[];
}

/** An error as it travels between threads, which know errors' classes only by name. */
export type PlainError =
  | Error
  | { readonly code: ErrorCode; readonly message: string; readonly facts: ErrorFacts };

export interface ThreadOptions {
  readonly oslModule: string;
  readonly hostPath: string;
  readonly names: NameTable;
  readonly onAllowed?: OnAllowed | undefined;
  readonly limits?: LimitOptions | undefined;
  readonly logger?: Logger | undefined;
  /** Told once, when it ended without being told to; what was asked of it has failed then. */
  readonly onDeath: (error: unknown) => void;
}

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
}

export class Thread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #logger: Logger | undefined;
  readonly #onAllowed: OnAllowed | undefined;
  readonly #exit: Promise<void>;
  #last = 0;
  #death: unknown;
  #isTold = false;

  constructor({ names, onAllowed, logger, onDeath, ...plain }: ThreadOptions) {
    this.#logger = logger;
    this.#onAllowed = onAllowed;
    const { data, stop } = mirror(names);
    const tellsAllowed = onAllowed !== undefined;
    const workerData: ThreadData = { limits: undefined, ...plain, ...data, tellsAllowed };
    const main = new URL(`./threadmain${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(main, { workerData, transferList: [data.changes], name: 'dns' });
    this.#worker.on('message', (reply: Reply) => this.#take(reply));
    this.#worker.on('error', (error) => {
      this.#death = error;
    });
    this.#exit = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        stop();
        this.#die();
        resolve();
        if (!this.#isTold) onDeath(this.#death);
      });
    });
  }

  /** @throws what the thread throws; UNAVAILABLE when it has ended, or ends meanwhile */
  request<Op extends keyof Requests>(
    op: Op,
    server: number,
    ask: Requests[Op]['ask'],
  ): Promise<Requests[Op]['answer']> {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#waiting.set(id, { resolve, reject });
      const message: Request = { id, op, server, ask };
      this.#worker.postMessage(message);
    });
  }

  /** Whether it keeps the process alive. */
  set needed(isNeeded: boolean) {
    if (isNeeded) this.#worker.ref();
    else this.#worker.unref();
  }

  /** Its name servers were closed before. */
  async end(): Promise<void> {
    this.#isTold = true;
    await this.#worker.terminate();
    await this.#exit;
  }

  #take(reply: Reply): void {
    if (reply.kind === 'warning') {
      this.#logger?.warn(reply.message, { ...reply.facts });
      return;
    }
    if (reply.kind === 'allowed') {
      void this.#letThrough(reply.number, reply);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.kind === 'answer') waiting?.resolve(reply.answer as never);
    else waiting?.reject(fromPlain(reply.error));
  }

  /** The thread waits for the verdict, and so does the client. */
  async #letThrough(number: number, { networkId, name, addresses }: Allowed): Promise<void> {
    let failure: Verdict['failure'];
    try {
      await this.#onAllowed?.(networkId, name, addresses);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      failure = { code: LibnetworkError.is(error) ? error.code : 'INTERNAL', message };
    }
    const verdict: Verdict = { op: 'verdict', number, failure };
    this.#worker.postMessage(verdict);
  }

  #die(): void {
    const error = new LibnetworkError('UNAVAILABLE', 'the thread of the name servers has ended', {
      cause: this.#death,
    });
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

export function toPlain(error: unknown): PlainError {
  if (!LibnetworkError.is(error)) return error instanceof Error ? error : new Error(String(error));
  const { name: _, code, ...facts } = error;
  return { code, message: error.message, facts };
}

function fromPlain(error: PlainError): Error {
  return error instanceof Error ? error : new LibnetworkError(error.code, error.message, error.facts);
}
