import { invalid, LibnetworkError, throwIfAborted } from '../../errors.ts';
import type { Waits } from '../osl.ts';
import { type FoundTable, found as foundOf, type RulesetBackend } from './backend.ts';
import { intentsAfter } from './changed.ts';
import { type Compiler, RULES } from './compile.ts';
import { diff, spareUser } from './diff.ts';
import type {
  FirewallChange,
  FirewallEngine,
  FirewallOptions,
  FirewallPlan,
  FirewallReport,
  Intent,
} from './firewall.ts';
import type { GuardedFirewall } from './guarded.ts';
import { partsOf } from './part.ts';
import { renderTransaction } from './render.ts';
import { Repairs } from './repairs.ts';
import { report } from './report.ts';
import { Ruleset } from './ruleset.ts';
import type { Transaction } from './transaction.ts';
import { closeGap } from './trespass.ts';
import { Turns } from './turns.ts';

/**
 * The firewall over a backend. With `engine: 'none'` hand in a `memoryBackend()`: everything is computed, nothing
 * reaches a kernel.
 * @throws NOT_IMPLEMENTED for the engine iptables, which has no tables; INVALID_ARGUMENT for a table name that can't be
 */
export function createFirewall(
  backend: RulesetBackend,
  options: FirewallOptions,
  compiler: Compiler = RULES,
): GuardedFirewall {
  if (options.engine === 'iptables')
    throw new LibnetworkError(
      'NOT_IMPLEMENTED',
      'there is no iptables here: use the engine nftables, which lets the same packets pass',
      { field: 'firewall', value: options.engine },
    );
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,254}$/.test(options.table))
    throw invalid('table', options.table, 'expected a letter and at most 254 letters, digits or _.-');
  return new RulesetFirewall(backend, options, compiler);
}

/** Refusals that show that the kernel's table is not what we thought: somebody else changed it. */
const SURPRISES: readonly (string | undefined)[] = ['ENOENT', 'EEXIST', 'EBUSY'];

class RulesetFirewall implements GuardedFirewall {
  readonly engine: FirewallEngine;
  readonly #backend: RulesetBackend;
  readonly #compiler: Compiler;
  readonly #table: string;
  #ruleset: Ruleset;
  /** False until the kernel's table was read, and after a surprise. */
  #known = false;
  readonly #turns: Turns;
  readonly #repairs = new Repairs(() => this.#turns.run(() => this.#repair()));
  readonly #onRepaired: FirewallOptions['onRepaired'];

  constructor(backend: RulesetBackend, options: FirewallOptions, compiler: Compiler) {
    this.#backend = backend;
    this.#compiler = compiler;
    this.engine = options.engine;
    this.#table = options.table;
    this.#onRepaired = options.onRepaired;
    this.#ruleset = new Ruleset(options.table, compiler);
    this.#turns = new Turns(`the firewall of table ${options.table}`, (changes) => this.#make(changes));
    backend.watch?.(options.table, () => this.#repairs.request());
  }

  apply(changes: readonly FirewallChange[], options?: Waits): Promise<void> {
    return this.#turns.change(changes, options);
  }

  async sync(
    intents: readonly Intent[],
    { dryRun = false, signal }: Waits & { readonly dryRun?: boolean } = {},
  ): Promise<FirewallReport> {
    const wanted = Ruleset.of(this.#table, intents, this.#compiler);
    return this.#turns.run(async () => {
      throwIfAborted(signal);
      const found = await this.#backend.read(this.#table);
      const table = wanted.table();
      const transaction = spareUser(diff(this.#table, found, table), found);
      const outcome = report(found, table, transaction);
      if (dryRun) return outcome;
      await this.#commit(transaction);
      this.#ruleset = wanted;
      this.#known = true;
      if (outcome.missing.length > 0) await this.#closeGap();
      return outcome;
    });
  }

  repair(): void {
    this.#repairs.request();
  }

  intents(): readonly Intent[] {
    return this.#ruleset.intents();
  }

  async preview(changes: readonly FirewallChange[]): Promise<string> {
    return (await this.plan(changes)).text;
  }

  plan(changes: readonly FirewallChange[]): Promise<FirewallPlan> {
    return this.#turns.run(async () => {
      const repair = !this.#known;
      const table = this.#ruleset.table();
      const before = repair ? await this.#look() : table && foundOf(table);
      const { transaction } = this.#ruleset.stage(changes, repair);
      const intents = intentsAfter(this.#ruleset.intents(), changes);
      const after = Ruleset.of(this.#table, intents, this.#compiler).table();
      const { missing, orphaned } = report(before, after, transaction);
      return { added: missing, removed: orphaned, text: renderTransaction(transaction) };
    });
  }

  destroy(): Promise<void> {
    return this.#turns.run(async () => {
      this.#known = false;
      try {
        await this.#commit(await this.#sparing({ table: this.#table, operations: [{ op: 'deleteTable' }] }));
      } catch (error) {
        if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
      }
      this.#ruleset = new Ruleset(this.#table, this.#compiler);
    });
  }

  async close(): Promise<void> {
    this.#repairs.end();
    await this.#turns.close(() => this.#backend.close());
  }

  /** Makes changes hold. When the table is not what we thought it is read, and repaired in the same transaction. */
  async #make(changes: readonly FirewallChange[]): Promise<void> {
    if (this.#known) {
      const staged = this.#ruleset.stage(changes);
      try {
        await this.#commit(await this.#sparing(staged.transaction));
        return this.#ruleset.accept(staged);
      } catch (error) {
        if (!LibnetworkError.is(error) || !SURPRISES.includes(error.errno)) throw error;
        this.#known = false;
      }
    }
    await this.#look();
    const staged = this.#ruleset.stage(changes, true);
    await this.#commit(await this.#sparing(staged.transaction));
    this.#ruleset.accept(staged);
    this.#known = true;
  }

  async #look(): Promise<FoundTable | undefined> {
    const found = await this.#backend.read(this.#table);
    this.#ruleset.believe(partsOf(found));
    return found;
  }

  /** What ends the table leaves what the user has put in it, which has to be looked up. */
  async #sparing(transaction: Transaction): Promise<Transaction> {
    const ends = transaction.operations.length === 1 && transaction.operations[0]?.op === 'deleteTable';
    return ends ? spareUser(transaction, await this.#backend.read(this.#table)) : transaction;
  }

  async #commit(transaction: Transaction): Promise<void> {
    if (transaction.operations.length > 0) await this.#backend.commit(transaction);
  }

  /** Ends what came about while rules were missing. */
  async #closeGap(): Promise<void> {
    await closeGap(this.#backend, this.#ruleset.intents());
  }

  /** Puts back what somebody else has removed, and nothing that they added. */
  async #repair(): Promise<void> {
    this.#known = false;
    if (this.#ruleset.intents().length === 0) return;
    const found = await this.#backend.read(this.#table);
    this.#ruleset.believe(partsOf(found));
    const staged = this.#ruleset.stage([], true);
    await this.#commit(staged.transaction);
    this.#ruleset.accept(staged);
    this.#known = true;
    await this.#closeGap();
    if (staged.transaction.operations.length === 0) return;
    const { missing } = report(found, this.#ruleset.table(), staged.transaction);
    // What the listener throws is no failure of the repair.
    queueMicrotask(() => this.#onRepaired?.({ missing, orphaned: [] }));
  }
}
