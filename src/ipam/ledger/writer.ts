import { setTimeout as sleep } from 'node:timers/promises';
import type { Datastore } from '../../datastore/datastore.ts';
import { LibnetworkError } from '../../errors.ts';
import { apply, type Change, type Outcome, undo } from './operation.ts';
import type { LedgerPage, Snapshot } from './page.ts';

/** How often a write that meets another controller's is tried again before it fails with CONFLICT. */
export const MAX_CONFLICTS = 100;
/** From this many conflicts on, a write waits a random while, so that others can finish. */
const PATIENCE = 4;

interface Waiting {
  readonly change: Change;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

export interface WriterOptions {
  readonly store: Datastore;
  readonly key: string;
  readonly page: LedgerPage;
  /** Others write the page too: every write names the version it builds on. */
  readonly shared: boolean;
  readonly clock: () => number;
  /** To how many milliseconds the ends of rests are rounded up. */
  readonly restStep: () => number;
  /** Called after the page was read again, with what it was before. */
  readonly onReload: (before: Snapshot) => void;
}

/**
 * Writes one page. Changes that arrive while a write is under way share the next one, so that writes of a page are
 * in order and a hundred changes at once cost two.
 */
export class PageWriter {
  readonly #options: WriterOptions;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** True while changes wait for the store. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Writes a change that was applied to the page already; answers when the store has accepted or refused it. */
  write(change: Change): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject });
      this.#running ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    // One turn of the microtask queue lets changes that are asked for together share the first write.
    await undefined;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        await this.#writeBatch(batch);
      } catch (error) {
        for (const { change } of batch.toReversed()) undo(this.#options.page, change);
        // The last change's answer ends the loop, so `busy` must be right before anyone hears of it.
        if (this.#waiting.length === 0) this.#running = undefined;
        for (const { reject } of batch) reject(error);
        continue;
      }
      if (this.#waiting.length === 0) this.#running = undefined;
      for (const { resolve } of batch) resolve({ done: true });
    }
  }

  async #writeBatch(batch: Waiting[]): Promise<void> {
    const { page } = this.#options;
    for (let conflicts = 0; batch.length > 0; conflicts++) {
      try {
        page.version = await this.#put();
        return;
      } catch (error) {
        if (!this.#options.shared || !LibnetworkError.is(error, 'CONFLICT')) throw error;
        if (conflicts >= MAX_CONFLICTS) throw this.#tooMany(error);
      }
      if (conflicts >= PATIENCE) await sleep(Math.random() * 2 ** Math.min(conflicts - PATIENCE, 4));
      await this.#reload(batch);
    }
  }

  async #put(): Promise<number> {
    const { store, key, page, shared, clock, restStep } = this.#options;
    const condition = shared ? { ifVersion: page.version } : {};
    if (!page.isEmpty) return store.put(key, page.encode(clock(), restStep()), condition);
    await store.delete(key, condition);
    return 0;
  }

  /** Reads the page again and applies what has not been written to it; changes that lost are answered and leave. */
  async #reload(batch: Waiting[]): Promise<void> {
    const { store, key, page, clock, onReload } = this.#options;
    const entry = await store.get(key);
    batch.push(...this.#waiting.splice(0));
    const before = page.snapshot();
    page.load(entry, clock());
    const lost: { waiting: Waiting; outcome: Outcome }[] = [];
    for (const waiting of batch.splice(0)) {
      const outcome = apply(page, waiting.change);
      if (outcome.done) batch.push(waiting);
      else lost.push({ waiting, outcome });
    }
    onReload(before);
    for (const { waiting, outcome } of lost) waiting.resolve(outcome);
  }

  #tooMany(cause: LibnetworkError): LibnetworkError {
    return new LibnetworkError(
      'CONFLICT',
      `${this.#options.key}: other controllers changed it ${MAX_CONFLICTS} times while it was written; try again`,
      { limit: 'MAX_CONFLICTS', operation: `write ${this.#options.key}`, cause },
    );
  }
}
