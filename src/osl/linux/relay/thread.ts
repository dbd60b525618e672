import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LibnetworkError } from '../../../errors.ts';
import type { Serve } from './serve.ts';

/** What is asked of a thread: each port has a number of its own, each order another. */
export type Order =
  | { readonly op: 'serve'; readonly id: number; readonly port: number; readonly serve: Serve }
  | { readonly op: 'stop'; readonly id: number; readonly port: number };

export interface Answer {
  readonly id: number;
  readonly failure: string | undefined;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: LibnetworkError) => void;
}

/** Where the thread's program is, beside this one; a thread can't run it from its TypeScript sources. */
const MAIN = new URL(`./main${extname(import.meta.url)}`, import.meta.url);
export const canHaveThread: boolean = extname(MAIN.pathname) === '.js';

/** A thread that serves ports. It keeps no process alive. */
export class RelayThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #death: unknown;

  /** @param onDeath is told once, when it ended, by itself or by `end` */
  constructor(onDeath: (cause: unknown) => void) {
    this.#worker = new Worker(MAIN, { name: 'ports' });
    this.#worker.unref();
    this.#worker.on('message', ({ id, failure }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (failure === undefined) waiting?.resolve();
      else
        waiting?.reject(
          new LibnetworkError('INTERNAL', `serve a port: ${failure}`, { operation: 'serve a port' }),
        );
    });
    this.#worker.on('error', (error) => {
      this.#death = error;
    });
    this.#worker.on('exit', () => {
      const text = 'the thread that serves ports has ended';
      const error = new LibnetworkError('UNAVAILABLE', text, { cause: this.#death });
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
      onDeath(this.#death);
    });
  }

  /** @throws UNAVAILABLE when the thread ends meanwhile */
  serve(port: number, what: Serve): Promise<void> {
    return this.#order({ op: 'serve', id: ++this.#last, port, serve: what });
  }

  /** When it is done the thread has closed its descriptor. */
  stop(port: number): Promise<void> {
    return this.#order({ op: 'stop', id: ++this.#last, port });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #order(order: Order): Promise<void> {
    return new Promise((resolve, reject) => {
      // Whoever waits for an answer is kept alive for it.
      this.#worker.ref();
      const done = () => {
        if (this.#waiting.size === 0) this.#worker.unref();
      };
      this.#waiting.set(order.id, {
        resolve: () => {
          done();
          resolve();
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      this.#worker.postMessage(order);
    });
  }
}
