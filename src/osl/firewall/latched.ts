import { LibnetworkError } from '../../errors.ts';
import type { Waits } from '../osl.ts';
import type {
  FirewallChange,
  FirewallEngine,
  FirewallOptions,
  FirewallPlan,
  FirewallReport,
  Intent,
} from './firewall.ts';
import type { GuardedFirewall } from './guarded.ts';
import { isLatched } from './latch.ts';

/**
 * Rules with a latch (`latch.ts`) that keeps their networks shut while somebody else has removed them.
 * @param latch of the engine nftables, over a table of its own; both handles are this one's from here on
 */
export function createLatchedFirewall(
  rules: GuardedFirewall,
  latch: GuardedFirewall,
  { onUnlatched }: Pick<FirewallOptions, 'onUnlatched'>,
): GuardedFirewall {
  return new LatchedFirewall(rules, latch, onUnlatched);
}

class LatchedFirewall implements GuardedFirewall {
  readonly engine: FirewallEngine;
  readonly #rules: GuardedFirewall;
  readonly #onUnlatched: FirewallOptions['onUnlatched'];
  #latch: GuardedFirewall | undefined;

  constructor(rules: GuardedFirewall, latch: GuardedFirewall, onUnlatched: FirewallOptions['onUnlatched']) {
    this.engine = rules.engine;
    this.#rules = rules;
    this.#latch = latch;
    this.#onUnlatched = onUnlatched;
  }

  /** The rules come first: a latch without them would refuse what they let pass. */
  async apply(changes: readonly FirewallChange[], options?: Waits): Promise<void> {
    await this.#rules.apply(changes, options);
    const latched = changes.filter((change) =>
      isLatched('set' in change ? change.set.kind : change.remove.kind),
    );
    if (latched.length > 0) await this.#follow((latch) => latch.apply(latched));
  }

  async sync(
    intents: readonly Intent[],
    options: Waits & { readonly dryRun?: boolean } = {},
  ): Promise<FirewallReport> {
    const report = await this.#rules.sync(intents, options);
    const latched = intents.filter(({ kind }) => isLatched(kind));
    if (!options.dryRun) await this.#follow((latch) => latch.sync(latched));
    return report;
  }

  intents(): readonly Intent[] {
    return this.#rules.intents();
  }

  preview(changes: readonly FirewallChange[]): Promise<string> {
    return this.#rules.preview(changes);
  }

  plan(changes: readonly FirewallChange[]): Promise<FirewallPlan> {
    return this.#rules.plan(changes);
  }

  async destroy(): Promise<void> {
    await this.#rules.destroy();
    await this.#follow((latch) => latch.destroy());
  }

  repair(): void {
    this.#rules.repair();
  }

  async close(): Promise<void> {
    await this.#rules.close();
    await this.#latch?.close();
  }

  /** Without its latch a network is as safe as its rules: no reason to refuse it. */
  async #follow(work: (latch: GuardedFirewall) => Promise<unknown>): Promise<void> {
    const latch = this.#latch;
    if (latch === undefined) return;
    try {
      await work(latch);
    } catch (error) {
      if (!LibnetworkError.is(error)) throw error;
      if (this.#latch !== latch) return;
      this.#latch = undefined;
      // Its table ends with it: one that is not as it should be is worse than none.
      await latch.close();
      this.#onUnlatched?.(error);
    }
  }
}
