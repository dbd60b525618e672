/** What could not be written as the host was cut off from the store, and is written as soon as that can be asked. */
import type { Logger } from '../driverapi/driver.ts';
import { sleep } from '../sleep.ts';
import { isCutOff } from './follow.ts';

const RETRY_MS = 1_000;

export class Debts {
  readonly #logger: Logger;
  readonly #owed = new Map<string, () => Promise<void>>();
  readonly #ended = new AbortController();
  #paying: Promise<void> | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  has(name: string): boolean {
    return this.#owed.has(name);
  }

  /** Does it now, or later where the store can't be asked. What was owed under the name before is owed no more. */
  async settle(name: string, pay: () => Promise<void>): Promise<void> {
    this.#owed.delete(name);
    try {
      await pay();
    } catch (error) {
      if (!isCutOff(error)) throw error;
      this.#owed.set(name, pay);
      this.#paying ??= this.#payLater();
    }
  }

  forgive(name: string): void {
    this.#owed.delete(name);
  }

  /** Does all of it that can be done now. */
  async payOff(): Promise<void> {
    for (const [name, pay] of [...this.#owed]) {
      try {
        await pay();
      } catch (error) {
        if (isCutOff(error)) return;
        this.#logger.warn('the global store could not be told of what was taken back', { error });
      }
      if (this.#owed.get(name) === pay) this.#owed.delete(name);
    }
  }

  async end(): Promise<void> {
    this.#ended.abort();
    await this.#paying;
  }

  async #payLater(): Promise<void> {
    const { signal } = this.#ended;
    try {
      while (this.#owed.size > 0) {
        await sleep(RETRY_MS, signal);
        if (signal.aborted) return;
        await this.payOff();
      }
    } finally {
      // Here, and not when that is noticed outside: what is owed in between must begin it again.
      this.#paying = undefined;
    }
  }
}
