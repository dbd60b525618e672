import { invalid, LibnetworkError, throwIfAborted } from '../../../errors.ts';
import type { Family } from '../../../ip.ts';
import type { Waits } from '../../osl.ts';
import { intentsAfter } from '../changed.ts';
import type { FirewallChange, FirewallOptions, FirewallPlan, FirewallReport, Intent } from '../firewall.ts';
import type { GuardedFirewall } from '../guarded.ts';
import { Repairs } from '../repairs.ts';
import { Ruleset } from '../ruleset.ts';
import { closeGap } from '../trespass.ts';
import { Turns } from '../turns.ts';
import type { IptablesBackend } from './backend.ts';
import { type CompileOptions, compileIptables } from './compile.ts';
import { asWanted, type Plan, plan } from './plan.ts';
import {
  type ChainKey,
  chainOf,
  type Held,
  isStamped,
  USER_CHAIN,
  USER_JUMP,
  type Wanted,
  type WantedRules,
} from './rules.ts';
import { parseSave, renderBoth, renderRestore } from './text.ts';

/**
 * The firewall over the programs of iptables. Its rules bear the comment `options.table`; nothing else is changed.
 * @param labels whether there is a latch that asks for labels (`latch.ts`)
 * @throws INVALID_ARGUMENT for a table name that can't be
 */
export function createIptablesFirewall(
  backend: IptablesBackend,
  options: FirewallOptions,
  labels: Pick<CompileOptions, 'labels'> = {},
): GuardedFirewall {
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(options.table))
    throw invalid('table', options.table, 'expected a letter and at most 63 letters, digits or _.-');
  return new IptablesFirewall(backend, options, labels);
}

type Tables = ReadonlyMap<Family, Held>;
type Plans = ReadonlyMap<Family, Plan>;

class IptablesFirewall implements GuardedFirewall {
  readonly engine = 'iptables';
  readonly #backend: IptablesBackend;
  readonly #stamp: string;
  readonly #labels: Pick<CompileOptions, 'labels'>;
  readonly #turns: Turns;
  /** What should hold, by owner. Of its rules only their conflicts are used. */
  #ruleset: Ruleset;
  /** What the kernel holds; unknown before the first reading and after a failure. */
  #held: Tables | undefined;

  readonly #repairs = new Repairs(() => this.#turns.run(() => this.#repair()));
  readonly #onRepaired: FirewallOptions['onRepaired'];

  constructor(
    backend: IptablesBackend,
    { table, onRepaired }: FirewallOptions,
    labels: Pick<CompileOptions, 'labels'>,
  ) {
    this.#backend = backend;
    this.#stamp = table;
    this.#labels = labels;
    this.#onRepaired = onRepaired;
    this.#ruleset = new Ruleset(table);
    this.#turns = new Turns(`the firewall ${table} of iptables`, (changes) => this.#make(changes));
    backend.watch?.(() => this.#repairs.request());
  }

  apply(changes: readonly FirewallChange[], options?: Waits): Promise<void> {
    return this.#turns.change(changes, options);
  }

  async sync(
    intents: readonly Intent[],
    { dryRun = false, signal }: Waits & { readonly dryRun?: boolean } = {},
  ): Promise<FirewallReport> {
    const ruleset = Ruleset.of(this.#stamp, intents);
    const wanted = this.#compile(intents);
    return this.#turns.run(async () => {
      throwIfAborted(signal);
      const held = await this.#read();
      const plans = this.#planAll(held, wanted, (_family, _key, text) => this.#isOurs(text));
      if (!dryRun) {
        await this.#commit(held, plans);
        this.#ruleset = ruleset;
        if (reportOf(plans).missing.length > 0) await closeGap(this.#backend, intents);
      }
      return reportOf(plans);
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
      this.#ruleset.stage(changes);
      const plans = this.#planChange(this.#held ?? (await this.#read()), changes);
      const { missing, orphaned } = reportOf(plans);
      return { added: missing, removed: orphaned, text: renderBoth(plans) };
    });
  }

  destroy(): Promise<void> {
    return this.#turns.run(async () => {
      const held = await this.#read();
      const plans = this.#planAll(held, new Map(), (_family, _key, text) => this.#isOurs(text));
      await this.#commit(held, plans);
      if (Object.values(reportOf(plans)).flat().length > 0) await this.#removeUserChain(await this.#read());
      this.#ruleset = new Ruleset(this.#stamp);
    });
  }

  async close(): Promise<void> {
    this.#repairs.end();
    await this.#turns.close(() => this.#backend.close());
  }

  /** Puts back what somebody else has removed, and ends what came about meanwhile. */
  async #repair(): Promise<void> {
    if (this.intents().length === 0) return;
    const held = await this.#read();
    const plans = this.#planChange(held, []);
    await this.#commit(held, plans);
    const { missing } = reportOf(plans);
    if (missing.length === 0) return;
    await closeGap(this.#backend, this.intents());
    // What the listener throws is no failure of the repair.
    queueMicrotask(() => this.#onRepaired?.({ missing, orphaned: [] }));
  }

  /** Makes changes hold. When the rules are not what we thought, they are read, and repaired as well. */
  async #make(changes: readonly FirewallChange[]): Promise<void> {
    const staged = this.#ruleset.stage(changes);
    const expected = this.#held;
    if (expected === undefined || !(await this.#try(this.#planChange(expected, changes)))) {
      const held = await this.#read();
      await this.#commit(expected ?? held, this.#planChange(held, changes));
    }
    this.#ruleset.accept(staged);
  }

  /** What a change comes to. What an earlier process left stays, until a sync. */
  #planChange(held: Tables, changes: readonly FirewallChange[]): Plans {
    const before = this.#compile(this.#ruleset.intents());
    const after = intentsAfter(this.#ruleset.intents(), changes);
    const known = new Map([...before].map(([family, chains]) => [family, textsOf(chains)]));
    const isKnown = (family: Family, key: ChainKey, text: string) =>
      known.get(family)?.has(`${key} ${text}`) ?? false;
    const strangers = some(held, (family, key, text) => this.#isOurs(text) && !isKnown(family, key, text));
    const hadChains = before.get('ipv4')?.has(USER_CHAIN) ?? false;
    return this.#planAll(
      held,
      this.#compile(after, strangers && hadChains),
      (family, key, text) => this.#isOurs(text) && isKnown(family, key, text),
    );
  }

  #planAll(
    held: Tables,
    wanted: WantedRules,
    mine: (family: Family, key: ChainKey, text: string) => boolean,
  ): Plans {
    return new Map(
      [...held].map(([family, chains]) => [
        family,
        plan(chains, wanted.get(family) ?? new Map(), (key, text) => mine(family, key, text)),
      ]),
    );
  }

  #compile(intents: readonly Intent[], chains = false): WantedRules {
    return compileIptables(intents, { stamp: this.#stamp, chains, ...this.#labels });
  }

  #isOurs(text: string): boolean {
    return isStamped(text, this.#stamp);
  }

  async #read(): Promise<Tables> {
    this.#held = undefined;
    const held = new Map<Family, Held>();
    for (const family of this.#backend.families)
      held.set(family, parseSave(await this.#backend.save(family)));
    return held;
  }

  /** True when it worked. When not, the rules must be read before anything else. */
  async #try(plans: Plans): Promise<boolean> {
    return this.#restore(plans).then(
      () => true,
      () => false,
    );
  }

  /** Makes plans hold, or else our rules as they were before. */
  async #commit(before: Tables, plans: Plans): Promise<void> {
    try {
      await this.#restore(plans);
    } catch (error) {
      await this.#goBack(before).catch((cause: unknown) => {
        throw notUndone(error, cause);
      });
      throw error;
    }
  }

  /** A table or a family may hold the new rules already: each is a transaction of its own. */
  async #goBack(before: Tables): Promise<void> {
    const mine = (_family: Family, _key: ChainKey, text: string) => this.#isOurs(text);
    const wanted = new Map(
      [...before].map(([family, held]) => [family, asWanted(held, (_key, text) => this.#isOurs(text))]),
    );
    await this.#restore(this.#planAll(await this.#read(), wanted, mine));
  }

  async #restore(plans: Plans): Promise<void> {
    this.#held = undefined;
    for (const [family, each] of plans) {
      const text = renderRestore(each);
      if (text !== '') await this.#backend.restore(family, text);
    }
    this.#held = new Map([...plans].map(([family, { after }]) => [family, after]));
  }

  /** Removes the user's chain where the user never used it. */
  async #removeUserChain(held: Tables): Promise<void> {
    this.#held = undefined;
    const chain = chainOf(USER_CHAIN);
    for (const [family, chains] of held) {
      const jumps = chains.get(USER_JUMP.chain)?.filter((text) => text === USER_JUMP.text) ?? [];
      if (chains.get(USER_CHAIN)?.length !== 0 || jumps.length !== 1) continue;
      const jump = `-D ${chainOf(USER_JUMP.chain)} ${USER_JUMP.text}`;
      await this.#backend.restore(family, `*filter\n${jump}\n-X ${chain}\nCOMMIT\n`);
    }
  }
}

function textsOf(chains: Wanted): ReadonlySet<string> {
  return new Set([...chains].flatMap(([key, rules]) => rules.map(({ text }) => `${key} ${text}`)));
}

function some(held: Tables, is: (family: Family, key: ChainKey, text: string) => boolean): boolean {
  for (const [family, chains] of held)
    for (const [key, texts] of chains) if (texts.some((text) => is(family, key, text))) return true;
  return false;
}

function reportOf(plans: Plans): FirewallReport {
  const list = (of: (each: Plan) => readonly string[]) =>
    [...plans].flatMap(([family, each]) => of(each).map((what) => `${what} (${family})`));
  return { missing: list(({ missing }) => missing), orphaned: list(({ orphaned }) => orphaned) };
}

function notUndone(error: unknown, cause: unknown): LibnetworkError {
  const [what, why] = [error, cause].map((each) => (each instanceof Error ? each.message : String(each)));
  const text = `${what}; and what was done of it could not be undone: ${why}. The next change or sync repairs it`;
  return new LibnetworkError('INTERNAL', text, { cause: error, notUndone: ['rules of iptables'] });
}
