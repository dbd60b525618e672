import { LibnetworkError } from '../errors.ts';

/** A bounded number of calls at once, in the order they came; a bounded number of others may wait. */
export class Slots {
  readonly #max: number;
  readonly #maxWaiting: number;
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  constructor(max: number, maxWaiting: number) {
    this.#max = max;
    this.#maxWaiting = maxWaiting;
  }

  /** Waits for a place; whoever has one gives it back. @throws ABORTED; UNAVAILABLE when too many wait */
  async take(signal: AbortSignal | undefined): Promise<() => void> {
    if (this.#taken < this.#max) this.#taken++;
    else await this.#wait(signal);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#giveBack();
    };
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= this.#maxWaiting)
      return Promise.reject(
        new LibnetworkError('UNAVAILABLE', `${this.#maxWaiting} calls wait for this plugin already`, {
          limit: 'plugins.maxWaiting',
        }),
      );
    return new Promise((resolve, reject) => {
      const next = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.delete(next);
        reject(new LibnetworkError('ABORTED', 'the operation was aborted', { cause: signal?.reason }));
      };
      if (signal?.aborted) return onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(next);
    });
  }

  /** The place goes to the one that has waited longest, without being free in between. */
  #giveBack(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#taken--;
    else {
      this.#waiting.delete(next);
      next();
    }
  }
}
