import type { StoreEvent, StoreWaits } from '../datastore.ts';
import { checkPrefix } from '../entry.ts';
import { Watch } from '../watchers.ts';
import type { Calls } from './calls.ts';
import type { OpenWatch } from './watching.ts';

/**
 * The watches of one distributed store. A watch tells what changes from the call on, but it takes a question to the
 * engine to learn where that is; calls of the same store that come after wait for it (`started`), so that a list after
 * `watch` shows nothing that the watch does not go on from.
 */
export class WatchSet {
  readonly #calls: Calls;
  readonly #open = new Set<Watch>();
  readonly #starting = new Set<Promise<void>>();

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /**
   * @param start settles where the watch begins and lets it run until its signal fires
   * @throws UNAVAILABLE after the store was closed, ABORTED, INVALID_ARGUMENT for a prefix that can't be one
   */
  open(
    prefix: string,
    options: StoreWaits | undefined,
    start: (opened: OpenWatch) => Promise<void>,
  ): AsyncIterable<StoreEvent> {
    this.#calls.admit(options);
    checkPrefix(prefix);
    const caller = options?.signal;
    const over = new AbortController();
    const watch = new Watch(prefix, () => {
      this.#open.delete(watch);
      caller?.removeEventListener('abort', watch.end);
      over.abort();
    });
    this.#open.add(watch);
    caller?.addEventListener('abort', watch.end, { once: true });
    const starting = start({ watch, signal: over.signal });
    this.#starting.add(starting);
    void starting.finally(() => this.#starting.delete(starting));
    return watch;
  }

  /** Resolves when every watch that was opened before knows where it begins. */
  async started(): Promise<void> {
    if (this.#starting.size > 0) await Promise.all(this.#starting);
  }

  end(): void {
    for (const watch of [...this.#open]) watch.end();
  }
}
