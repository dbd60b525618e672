import { invalid, LibnetworkError, throwIfAborted } from '../../errors.ts';
import type { Waits } from '../osl.ts';
import type { RulesetBackend } from './backend.ts';
import { diff } from './diff.ts';
import type {
  Firewall,
  FirewallChange,
  FirewallEngine,
  FirewallOptions,
  FirewallReport,
  Intent,
} from './firewall.ts';
import { partsOf } from './part.ts';
import { renderTransaction } from './render.ts';
import { report } from './report.ts';
import { Ruleset } from './ruleset.ts';
import type { Transaction } from './transaction.ts';

/**
 * The firewall over a backend. With `engine: 'none'` hand in a `memoryBackend()`: everything is computed, nothing
 * reaches a kernel.
 * @throws NOT_IMPLEMENTED for the iptables engine; INVALID_ARGUMENT for a table name that can't be
 */
export function createFirewall(backend: RulesetBackend, options: FirewallOptions): Firewall {
  if (options.engine === 'iptables')
    throw new LibnetworkError(
      'NOT_IMPLEMENTED',
      'the iptables engine is not there yet: use the engine nftables, whose table works beside iptables rules',
      { field: 'firewall', value: options.engine },
    );
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,254}$/.test(options.table))
    throw invalid('table', options.table, 'expected a letter and at most 254 letters, digits or _.-');
  return new RulesetFirewall(backend, options);
}

interface Caller {
  readonly changes: readonly FirewallChange[];
  readonly signal: AbortSignal | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Refusals that show that the kernel's table is not what we thought: somebody else changed it. */
const SURPRISES: readonly (string | undefined)[] = ['ENOENT', 'EEXIST', 'EBUSY'];

class RulesetFirewall implements Firewall {
  readonly engine: FirewallEngine;
  readonly #backend: RulesetBackend;
  readonly #table: string;
  #ruleset: Ruleset;
  /** False until the kernel's table was read, and after a surprise. */
  #known = false;
  #closed = false;
  /** The end of the last task: tasks run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** Callers whose changes will go to the kernel together; a task queued behind them closes the group. */
  #gathering: Caller[] | undefined;

  constructor(backend: RulesetBackend, options: FirewallOptions) {
    this.#backend = backend;
    this.engine = options.engine;
    this.#table = options.table;
    this.#ruleset = new Ruleset(options.table);
  }

  apply(changes: readonly FirewallChange[], { signal }: Waits = {}): Promise<void> {
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

  async sync(
    intents: readonly Intent[],
    { dryRun = false, signal }: Waits & { readonly dryRun?: boolean } = {},
  ): Promise<FirewallReport> {
    const wanted = Ruleset.of(this.#table, intents);
    return this.#inTurn(async () => {
      throwIfAborted(signal);
      const found = await this.#backend.read(this.#table);
      const table = wanted.table();
      const transaction = diff(this.#table, found, table);
      const outcome = report(found, table, transaction);
      if (dryRun) return outcome;
      await this.#commit(transaction);
      this.#ruleset = wanted;
      this.#known = true;
      return outcome;
    });
  }

  intents(): readonly Intent[] {
    return this.#ruleset.intents();
  }

  preview(changes: readonly FirewallChange[]): Promise<string> {
    return this.#inTurn(async () => {
      const repair = !this.#known;
      if (repair) await this.#look();
      return renderTransaction(this.#ruleset.stage(changes, repair).transaction);
    });
  }

  destroy(): Promise<void> {
    return this.#inTurn(async () => {
      this.#known = false;
      try {
        await this.#commit({ table: this.#table, operations: [{ op: 'deleteTable' }] });
      } catch (error) {
        if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
      }
      this.#ruleset = new Ruleset(this.#table);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const closing = this.#inTurn(() => this.#backend.close());
    this.#closed = true;
    await closing;
  }

  #gather(caller: Caller): void {
    if (this.#gathering === undefined) {
      const callers: Caller[] = [];
      void this.#inTurn(() => this.#serve(callers));
      this.#gathering = callers;
    }
    this.#gathering.push(caller);
  }

  /** Makes the changes of all callers in one transaction, or else of each in one of its own. Never throws. */
  async #serve(callers: readonly Caller[]): Promise<void> {
    if (this.#gathering === callers) this.#gathering = undefined;
    const waiting = callers.filter(({ signal }) => !signal?.aborted);
    const [only, ...others] = waiting;
    if (only === undefined) return;
    if (others.length > 0 && (await this.#serveTogether(waiting))) return;
    for (const caller of waiting) await this.#make(caller.changes).then(caller.resolve, caller.reject);
  }

  /** False when the kernel refused: then only trying one by one tells whose fault it is. */
  async #serveTogether(callers: readonly Caller[]): Promise<boolean> {
    const changes = callers.flatMap((caller) => caller.changes);
    const made = await this.#make(changes).then(
      () => true,
      () => false,
    );
    if (made) for (const { resolve } of callers) resolve();
    return made;
  }

  /** Makes changes hold. When the table is not what we thought it is read, and repaired in the same transaction. */
  async #make(changes: readonly FirewallChange[]): Promise<void> {
    if (this.#known) {
      const staged = this.#ruleset.stage(changes);
      try {
        await this.#commit(staged.transaction);
        return this.#ruleset.accept(staged);
      } catch (error) {
        if (!LibnetworkError.is(error) || !SURPRISES.includes(error.errno)) throw error;
        this.#known = false;
      }
    }
    await this.#look();
    const staged = this.#ruleset.stage(changes, true);
    await this.#commit(staged.transaction);
    this.#ruleset.accept(staged);
    this.#known = true;
  }

  async #look(): Promise<void> {
    this.#ruleset.believe(partsOf(await this.#backend.read(this.#table)));
  }

  async #commit(transaction: Transaction): Promise<void> {
    if (transaction.operations.length > 0) await this.#backend.commit(transaction);
  }

  /** Runs a task after those before it; changes that are asked for later come after it. */
  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    this.#refuseClosed();
    this.#gathering = undefined;
    const turn = this.#last.then(task);
    this.#last = turn.then(nothing, nothing);
    return turn;
  }

  #refuseClosed(): void {
    if (this.#closed)
      throw new LibnetworkError('UNAVAILABLE', `the firewall of table ${this.#table} is closed`);
  }
}

/** Whoever asked for a task hears of its failure; the next task only waits for its end. */
const nothing = (): undefined => undefined;

function aborted(signal: AbortSignal | undefined): LibnetworkError {
  return new LibnetworkError('ABORTED', 'the operation was aborted', { cause: signal?.reason });
}
