import { LibnetworkError } from '../../errors.ts';
import type { Waits } from '../osl.ts';
import {
  type FirewallChange,
  type FirewallEngine,
  type FirewallPlan,
  type FirewallReport,
  type Intent,
  POLICY_KINDS,
  SERVICE_KINDS,
} from './firewall.ts';
import type { GuardedFirewall } from './guarded.ts';

/**
 * Networks' policies, and services, beside an engine that has no sets: they are in a table of nf_tables of their own.
 * Policies only ever refuse, so that what passes there is judged by the rules of `main` as well.
 * @param policies of the engine nftables; both handles are this one's from here on
 */
export function createLayeredFirewall(main: GuardedFirewall, policies: GuardedFirewall): GuardedFirewall {
  return new LayeredFirewall(main, policies);
}

class LayeredFirewall implements GuardedFirewall {
  readonly engine: FirewallEngine;
  readonly #main: GuardedFirewall;
  readonly #policies: GuardedFirewall;

  constructor(main: GuardedFirewall, policies: GuardedFirewall) {
    this.engine = main.engine;
    this.#main = main;
    this.#policies = policies;
  }

  /** What refuses comes first; a failure of the rest takes it back. */
  async apply(changes: readonly FirewallChange[], options?: Waits): Promise<void> {
    const [policy, rest] = divide(changes, kindOf);
    const before = policy.map((change) => this.#formerly(change));
    if (policy.length > 0) await this.#orExplain(this.#policies.apply(policy, options));
    if (rest.length === 0 && policy.length > 0) return;
    try {
      await this.#main.apply(rest, options);
    } catch (error) {
      if (before.length > 0) await this.#policies.apply(before);
      throw error;
    }
  }

  async sync(
    intents: readonly Intent[],
    options: Waits & { readonly dryRun?: boolean } = {},
  ): Promise<FirewallReport> {
    const [policy, rest] = divide(intents, ({ kind }) => kind);
    const refused =
      policy.length > 0
        ? await this.#orExplain(this.#policies.sync(policy, options))
        : await this.#withoutTables(this.#policies.sync([], options), NOTHING);
    const ruled = await this.#main.sync(rest, options);
    return {
      missing: [...refused.missing, ...ruled.missing],
      orphaned: [...refused.orphaned, ...ruled.orphaned],
    };
  }

  intents(): readonly Intent[] {
    return [...this.#main.intents(), ...this.#policies.intents()];
  }

  async preview(changes: readonly FirewallChange[]): Promise<string> {
    return (await this.plan(changes)).text;
  }

  async plan(changes: readonly FirewallChange[]): Promise<FirewallPlan> {
    const [policy, rest] = divide(changes, kindOf);
    const plans: FirewallPlan[] = [];
    if (policy.length > 0) plans.push(await this.#orExplain(this.#policies.plan(policy)));
    if (rest.length > 0 || policy.length === 0) plans.push(await this.#main.plan(rest));
    return {
      added: plans.flatMap(({ added }) => added),
      removed: plans.flatMap(({ removed }) => removed),
      text: plans.map(({ text }) => text).join('\n'),
    };
  }

  async destroy(): Promise<void> {
    await this.#main.destroy();
    await this.#withoutTables(this.#policies.destroy(), undefined);
  }

  repair(): void {
    this.#main.repair();
    if (this.#policies.intents().length > 0) this.#policies.repair();
  }

  async close(): Promise<void> {
    await this.#main.close();
    await this.#policies.close();
  }

  /** The change that takes a change back. */
  #formerly(change: FirewallChange): FirewallChange {
    const { kind, id } = 'set' in change ? change.set : change.remove;
    const former = this.#policies.intents().find((intent) => intent.kind === kind && intent.id === id);
    return former === undefined ? { remove: { kind, id } } : { set: former };
  }

  async #orExplain<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      if (!lacksTables(cause)) throw cause;
      throw new LibnetworkError(
        'NOT_IMPLEMENTED',
        `this kernel has no nf_tables (${cause.message}), and policies and services need its sets: leave policy and service away`,
        { field: 'policy', cause },
      );
    }
  }

  /** A kernel without nf_tables has nothing of ours there either. */
  async #withoutTables<T>(work: Promise<T>, otherwise: T): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!lacksTables(error)) throw error;
      return otherwise;
    }
  }
}

const NOTHING: FirewallReport = { missing: [], orphaned: [] };

function kindOf(change: FirewallChange): Intent['kind'] {
  return 'set' in change ? change.set.kind : change.remove.kind;
}

const needsSets = (kind: Intent['kind']): boolean => POLICY_KINDS.has(kind) || SERVICE_KINDS.has(kind);

function divide<T>(all: readonly T[], kind: (each: T) => Intent['kind']): [policy: T[], rest: T[]] {
  return [all.filter((each) => needsSets(kind(each))), all.filter((each) => !needsSets(kind(each)))];
}

/** nfnetlink does not know the subsystem. */
function lacksTables(error: unknown): error is LibnetworkError {
  return LibnetworkError.is(error) && ['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT'].includes(error.errno ?? '');
}
