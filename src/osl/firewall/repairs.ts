/** The least time from the start of one repair to the next, in ms: who fights for a table must not take the machine. */
const PAUSE_MS = 250;

/**
 * When to repair: at once, as packets pass unjudged meanwhile; later if the last repair was a moment ago, or failed.
 * Its timer does not keep the process alive.
 */
export class Repairs {
  readonly #repair: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #last = Number.NEGATIVE_INFINITY;
  #ended = false;

  constructor(repair: () => Promise<void>) {
    this.#repair = repair;
  }

  /** Asks for a repair; several requests before it begins are one. */
  request(): void {
    if (this.#ended || this.#timer !== undefined) return;
    const wait = this.#last + PAUSE_MS - performance.now();
    if (wait <= 0) return void this.#run();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#run();
    }, wait).unref();
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    this.#last = performance.now();
    try {
      await this.#repair();
    } catch {
      // The kernel was short of something: the table is still damaged, so it is tried again until it works.
      this.request();
    }
  }
}
