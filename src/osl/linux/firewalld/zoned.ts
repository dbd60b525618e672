import type {
  Firewall,
  FirewallChange,
  FirewallEngine,
  FirewallPlan,
  FirewallReport,
  Intent,
} from '../../firewall/firewall.ts';
import type { GuardedFirewall } from '../../firewall/guarded.ts';
import type { Waits } from '../../osl.ts';
import { type Firewalld, firewalldError, ZONE } from './firewalld.ts';

/**
 * A firewall on a machine with firewalld: before rules let packets of a bridge pass, the bridge is in a zone that
 * lets them pass as well; when the daemon has made its rules anew, the bridges join again and ours are looked after.
 */
export class ZonedFirewall implements Firewall {
  readonly #firewall: GuardedFirewall;
  readonly #firewalld: Firewalld;
  /** Bridges that are in the zone, as far as we know. */
  readonly #members = new Set<string>();
  /** Bridges of changes that are under way, and how often. */
  readonly #coming = new Map<string, number>();
  /** The end of the last task: the daemon is asked one thing after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(firewall: GuardedFirewall, firewalld: Firewalld) {
    this.#firewall = firewall;
    this.#firewalld = firewalld;
    firewalld.onReload(() => void this.#rejoin());
  }

  get engine(): FirewallEngine {
    return this.#firewall.engine;
  }

  async apply(changes: readonly FirewallChange[], options?: Waits): Promise<void> {
    const set = changes.flatMap((change) => ('set' in change ? [change.set] : []));
    await this.#with(set, () => this.#firewall.apply(changes, options));
  }

  async sync(
    intents: readonly Intent[],
    options: Waits & { readonly dryRun?: boolean } = {},
  ): Promise<FirewallReport> {
    if (options.dryRun) return this.#firewall.sync(intents, options);
    return this.#with(intents, () => this.#firewall.sync(intents, options));
  }

  intents(): readonly Intent[] {
    return this.#firewall.intents();
  }

  async preview(changes: readonly FirewallChange[]): Promise<string> {
    return (await this.plan(changes)).text;
  }

  /** With who joins the zone; in the text as comments. */
  async plan(changes: readonly FirewallChange[]): Promise<FirewallPlan> {
    const { added, removed, text } = await this.#firewall.plan(changes);
    const now = bridgesOf(this.intents());
    const set = bridgesOf(changes.flatMap((change) => ('set' in change ? [change.set] : [])));
    const joining = [...set].filter((bridge) => !now.has(bridge));
    return {
      added: [...joining.map((bridge) => `interface ${bridge} in the zone ${ZONE} of firewalld`), ...added],
      removed,
      text: joining.map((bridge) => `# firewalld: ${bridge} joins the zone ${ZONE}\n`).join('') + text,
    };
  }

  async destroy(): Promise<void> {
    await this.#firewall.destroy();
    await this.#settle();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#firewall.close();
    this.#firewalld.close();
  }

  /** Lets the bridges of intents join, works, and lets those leave that no intent is for any more. */
  async #with<T>(intents: readonly Intent[], work: () => Promise<T>): Promise<T> {
    const bridges = [...bridgesOf(intents)];
    for (const bridge of bridges) this.#coming.set(bridge, (this.#coming.get(bridge) ?? 0) + 1);
    try {
      await this.#inTurn('join a zone', () => this.#join(bridges));
      return await work();
    } finally {
      for (const bridge of bridges) {
        const left = (this.#coming.get(bridge) ?? 1) - 1;
        if (left === 0) this.#coming.delete(bridge);
        else this.#coming.set(bridge, left);
      }
      await this.#settle();
    }
  }

  async #join(bridges: Iterable<string>): Promise<void> {
    const strangers = [...bridges].filter((bridge) => !this.#members.has(bridge));
    // One that starts later tells of itself.
    if (strangers.length === 0 || !(await this.#firewalld.isRunning())) return;
    await this.#firewalld.prepare();
    for (const bridge of strangers) {
      await this.#firewalld.join(bridge);
      this.#members.add(bridge);
    }
  }

  /** What can't be taken out of the zone is gone with the next reload: no failure of the change. */
  async #settle(): Promise<void> {
    if (this.#closed) return;
    const gone = () => {
      const wanted = this.#wanted();
      return [...this.#members].filter((bridge) => !wanted.has(bridge));
    };
    if (gone().length === 0) return;
    try {
      await this.#inTurn('leave a zone', async () => {
        for (const bridge of gone()) {
          this.#members.delete(bridge);
          if (await this.#firewalld.isRunning()) await this.#firewalld.leave(bridge);
        }
      });
    } catch (error) {
      this.#firewalld.warn('a bridge could not leave its zone of firewalld', { error });
    }
  }

  async #rejoin(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#inTurn('join a zone again', () => {
        this.#members.clear();
        return this.#join(this.#wanted());
      });
    } catch (error) {
      this.#firewalld.warn('bridges are not in their zone of firewalld after a reload', { error });
    }
    this.#firewall.repair();
  }

  #wanted(): ReadonlySet<string> {
    return new Set([...bridgesOf(this.intents()), ...this.#coming.keys()]);
  }

  async #inTurn(operation: string, task: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => undefined);
    try {
      await turn;
    } catch (error) {
      throw firewalldError(operation, error);
    }
  }
}

/** The links that packets of networks pass. */
function bridgesOf(intents: readonly Intent[]): ReadonlySet<string> {
  return new Set(intents.flatMap((intent) => (intent.kind === 'network' ? [intent.bridge] : [])));
}
