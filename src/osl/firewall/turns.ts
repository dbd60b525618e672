import { LibnetworkError, throwIfAborted } from '../../errors.ts';
import { counted } from '../counters.ts';
import type { Waits } from '../osl.ts';
import type { FirewallChange } from './firewall.ts';

interface Caller {
  readonly changes: readonly FirewallChange[];
  readonly signal: AbortSignal | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Who may change the rules when: one task after the other. Changes that wait at the same time are made together. */
export class Turns {
  readonly #name: string;
  readonly #make: (changes: readonly FirewallChange[]) => Promise<void>;
  #closed = false;
  /** The end of the last task: tasks run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** Callers whose changes will be made together; a task queued behind them closes the group. */
  #gathering: Caller[] | undefined;

  /**
   * @param name of the owner, for error messages: `the firewall of table x`
   * @param make makes changes hold, all or none
   */
  constructor(name: string, make: (changes: readonly FirewallChange[]) => Promise<void>) {
    this.#name = name;
    this.#make = make;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Makes changes in a turn that other callers may share. @throws UNAVAILABLE after `close`, ABORTED */
  change(changes: readonly FirewallChange[], { signal }: Waits = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#refuseClosed();
      throwIfAborted(signal);
      const abort = () => reject(aborted(signal));
      const settle = <A extends unknown[]>(done: (...args: A) => void) => {
        return (...args: A) => {
          signal?.removeEventListener('abort', abort);
          done(...args);
        };
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#gather({ changes, signal, resolve: settle(resolve), reject: settle(reject) });
    });
  }

  /** Runs a task after those before it; changes that are asked for later come after it. @throws UNAVAILABLE */
  async run<T>(task: () => Promise<T>): Promise<T> {
    this.#refuseClosed();
    this.#gathering = undefined;
    const turn = this.#last.then(task);
    this.#last = turn.then(nothing, nothing);
    return turn;
  }

  /** Refuses what comes later, and runs the last task once those before it have ended. Twice is fine. */
  async close(task: () => Promise<void>): Promise<void> {
    if (this.#closed) return;
    const closing = this.run(task);
    this.#closed = true;
    await closing;
  }

  #gather(caller: Caller): void {
    if (this.#gathering === undefined) {
      const callers: Caller[] = [];
      void this.run(() => this.#serve(callers));
      this.#gathering = callers;
    }
    this.#gathering.push(caller);
  }

  /** Makes the changes of all callers at once, or else those of each on their own. Never throws. */
  async #serve(callers: readonly Caller[]): Promise<void> {
    if (this.#gathering === callers) this.#gathering = undefined;
    const waiting = callers.filter(({ signal }) => !signal?.aborted);
    const [only, ...others] = waiting;
    if (only === undefined) return;
    if (others.length > 0 && (await this.#serveTogether(waiting))) return;
    for (const caller of waiting) await this.#counted(caller.changes).then(caller.resolve, caller.reject);
  }

  async #counted(changes: readonly FirewallChange[]): Promise<void> {
    try {
      await this.#make(changes);
      counted.transactions++;
    } catch (error) {
      counted.refusals++;
      throw error;
    }
  }

  /** False when they were refused: then only trying one by one tells whose fault it is. */
  async #serveTogether(callers: readonly Caller[]): Promise<boolean> {
    const changes = callers.flatMap((caller) => caller.changes);
    const made = await this.#counted(changes).then(
      () => true,
      () => false,
    );
    if (made) for (const { resolve } of callers) resolve();
    return made;
  }

  #refuseClosed(): void {
    if (this.#closed) throw new LibnetworkError('UNAVAILABLE', `${this.#name} is closed`);
  }
}

/** Whoever asked for a task hears of its failure; the next task only waits for its end. */
const nothing = (): undefined => undefined;

function aborted(signal: AbortSignal | undefined): LibnetworkError {
  return new LibnetworkError('ABORTED', 'the operation was aborted', { cause: signal?.reason });
}
