/** What is to be done beside the operations, one after the other, once they are possible. */
import type { Core } from './core.ts';

export class Background {
  readonly #core: Core;
  #last: Promise<void>;
  #begin: () => void = () => undefined;

  constructor(core: Core) {
    this.#core = core;
    this.#last = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  /** From now on it is done. */
  begin(): void {
    this.#begin();
  }

  /**
   * A failure is logged, and left to the next reconcile.
   * @param what completes "could not …"
   * @param pass how it goes beside the operations. Default: as one of them
   */
  later(
    what: string,
    act: () => Promise<unknown>,
    pass = (act: () => Promise<unknown>) => this.#core.gate.shared(act),
  ): void {
    const run = async (): Promise<void> => {
      if (this.#core.closed) return;
      try {
        await this.#core.locks.apart(() => pass(act));
      } catch (error) {
        this.#core.logger.warn(`could not ${what}; the next reconcile looks at it again`, { error });
      }
    };
    this.#last = this.#last.then(run);
  }

  /** Waits for what it was given so far. */
  async settled(): Promise<void> {
    await this.#last;
  }
}
