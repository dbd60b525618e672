import type { LibnetworkError } from '../../errors.ts';
import type { Watch } from '../watchers.ts';
import { Backoff } from './backoff.ts';
import { Tracker } from './tracker.ts';

/** A watch that is open, as the part of a store sees it that asks the engine. */
export interface OpenWatch {
  readonly watch: Watch;
  /** Fires when nobody reads the watch any more. */
  readonly signal: AbortSignal;
}

/** What the watches of all distributed stores have in common: what was told, and going on past failures that pass. */
export class Watching {
  /** What is being done, for errors. */
  readonly operation: string;
  readonly prefix: string;
  readonly signal: AbortSignal;
  readonly tracker: Tracker;
  readonly backoff = new Backoff();
  readonly #watch: Watch;
  readonly #word: (operation: string, error: unknown) => LibnetworkError;

  /** @param word what a failure is to a caller: UNAVAILABLE for one that may pass */
  constructor({ watch, signal }: OpenWatch, word: (operation: string, error: unknown) => LibnetworkError) {
    this.operation = `watch ${watch.prefix}`;
    this.prefix = watch.prefix;
    this.signal = signal;
    this.tracker = new Tracker((event) => watch.push(event));
    this.#watch = watch;
    this.#word = word;
  }

  /** Whether nobody reads it any more. */
  get ended(): boolean {
    return this.signal.aborted;
  }

  /** Repeats while the failure may pass; another one ends the watch. */
  async untilItPasses(act: () => Promise<void>): Promise<void> {
    while (!this.ended) {
      try {
        return await act();
      } catch (error) {
        if (this.ended) return;
        const worded = this.#word(this.operation, error);
        if (worded.code !== 'UNAVAILABLE') return this.#watch.fail(worded);
        await this.backoff.wait(this.signal);
      }
    }
  }
}
