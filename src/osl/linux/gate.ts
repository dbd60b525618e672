/**
 * Turns of work: at most `width` at once, the others in the order they came. Work that finds a free turn starts
 * at once, within the same tick, so that a synchronous request costs no wait.
 */
export class Gate {
  readonly #width: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(width: number) {
    this.#width = width;
  }

  /** True while some work runs or waits. */
  get busy(): boolean {
    return this.#running > 0;
  }

  async run<T>(work: () => Promise<T> | T): Promise<T> {
    if (this.#running >= this.#width) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}

/** How many requests must go without a wait until a contended lock counts as free. */
const QUICK_IN_A_ROW = 3;

/**
 * The kernel has one lock for all link, address and route changes of the machine (rtnl). Some requests hold it
 * through an RCU grace period of 20 ms and more (deleting a link, moving one), and a synchronous request beside
 * them would stop the event loop for as long. So a request runs synchronously only while nobody of ours holds the
 * lock in the background and it was free a moment ago; otherwise it takes its turn here and runs on the thread
 * pool. One at a time is enough, as the kernel would serialise them anyway, and it leaves the pool's other
 * threads to their own work.
 */
class RtnlGate extends Gate {
  #contendedUntil = 0;
  #quick = 0;

  constructor() {
    super(1);
  }

  override get busy(): boolean {
    return super.busy || (this.#contendedUntil > 0 && this.#stillContended());
  }

  /** Someone else (another process, the kernel's own clean-up) is known to hold the lock for about `ms`. */
  contended(ms: number): void {
    this.#contendedUntil = Math.max(this.#contendedUntil, performance.now() + ms);
    this.#quick = 0;
  }

  /** A request was answered without a wait. After a few in a row the lock counts as free again. */
  quick(): void {
    if (this.#contendedUntil > 0 && ++this.#quick >= QUICK_IN_A_ROW) this.#contendedUntil = 0;
  }

  #stillContended(): boolean {
    if (performance.now() < this.#contendedUntil) return true;
    this.#contendedUntil = 0;
    return false;
  }
}

/** The machine's rtnl lock, as far as this process knows. */
export const rtnl = new RtnlGate();

/** Waiting requests of other protocols (nf_tables commits), which have locks per namespace. */
export const otherWaits = new Gate(2);
