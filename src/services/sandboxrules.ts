/** The rules by which one sandbox reaches services, kept as the table says. */
import type { Logger } from '../driverapi/driver.ts';
import type { Firewall, FirewallChange, FirewallReport, Intent } from '../osl/firewall/firewall.ts';
import type { Namespace } from '../osl/osl.ts';

export interface SandboxRulesOptions {
  readonly namespace: Namespace;
  /** The name of the table in the sandbox's namespace. */
  readonly table: string;
  /** An earlier controller may have left rules there. */
  readonly inherited: boolean;
  /** All that should hold now; `undefined` as long as that is not known. */
  readonly wanted: () => readonly Intent[] | undefined;
  readonly logger: Logger;
}

export interface RuleChange {
  readonly rules: readonly FirewallChange[];
  /** Addresses that tracked connections must not lead to any more. */
  readonly gone: readonly string[];
}

const NOTHING: FirewallReport = { missing: [], orphaned: [] };

/**
 * Changes are made in order, those that come while others are made together. A failure is logged, and the whole is
 * compared at the next change or reconcile. A sandbox that has never seen a service costs nothing.
 */
export class SandboxRules {
  readonly #options: SandboxRulesOptions;
  #firewall: Promise<Firewall> | undefined;
  #pending: RuleChange[] = [];
  /** What the kernel holds is to be compared before it is changed. */
  #unknown: boolean;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: SandboxRulesOptions) {
    this.#options = options;
    this.#unknown = options.inherited;
  }

  /** Answers when all changes that were told so far are made, or have failed; `undefined`: there is nothing to do. */
  change(change: RuleChange): Promise<void> | undefined {
    if (this.#closed || (change.rules.length === 0 && !(this.#firewall && change.gone.length > 0)))
      return undefined;
    this.#pending.push(change);
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Compares all of it with the kernel, and repairs that. */
  async reconcile(dryRun: boolean): Promise<FirewallReport> {
    await this.#running;
    const wanted = this.#options.wanted();
    const untouched = !this.#firewall && !this.#unknown && wanted?.length === 0;
    if (this.#closed || wanted === undefined || untouched) return NOTHING;
    const firewall = await this.#open();
    const report = await firewall.sync(wanted, { dryRun });
    if (dryRun) return report;
    this.#unknown = false;
    if (wanted.length === 0) await this.#end();
    return report;
  }

  /** Ends what is open; with `remove`, the rules too. */
  async close(remove: boolean): Promise<void> {
    this.#closed = true;
    await this.#running;
    try {
      if (remove && (this.#firewall || this.#unknown)) await (await this.#open()).destroy();
    } finally {
      await this.#end();
    }
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0 && !this.#closed) {
      try {
        await this.#make();
      } catch (error) {
        this.#unknown = true;
        this.#pending = [];
        const { namespace, logger } = this.#options;
        logger.error('the rules of services could not be set; the next reconcile looks at them again', {
          namespace: namespace.path,
          error,
        });
      }
    }
    // Here, and not when that is noticed outside: what is told in between must begin another run.
    this.#running = undefined;
  }

  async #make(): Promise<void> {
    const changes = this.#pending;
    // All that was told so far is in what is wanted now; what comes from here on is told after it.
    const wanted = this.#unknown ? this.#options.wanted() : undefined;
    this.#pending = [];
    if (this.#unknown && wanted === undefined) return;
    const firewall = await this.#open();
    if (wanted) await firewall.sync(wanted);
    else await firewall.apply(changes.flatMap(({ rules }) => rules));
    if (wanted) this.#unknown = false;
    const gone = changes.flatMap((change) => change.gone);
    if (gone.length > 0)
      await this.#options.namespace.flushConntrack([...new Set(gone)].map((address) => ({ address })));
  }

  #open(): Promise<Firewall> {
    const { namespace, table } = this.#options;
    this.#firewall ??= namespace.firewall({ engine: 'nftables', table }).catch((error: unknown) => {
      this.#firewall = undefined;
      throw error;
    });
    return this.#firewall;
  }

  async #end(): Promise<void> {
    const firewall = this.#firewall;
    this.#firewall = undefined;
    await (await firewall)?.close();
  }
}
