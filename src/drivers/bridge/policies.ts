import type { DriverEndpoint, NamedAddress } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import type { EndpointId, NetworkId } from '../../ids.ts';
import { familyOf } from '../../ip.ts';
import type { AllowedIntent, Firewall, FirewallChange, Intent } from '../../osl/firewall/firewall.ts';
import { type BridgeConfig, nameOf } from './config.ts';
import { memberIntent, namedSets, policyIntent } from './rules.ts';

/** The most addresses that the names of one network's policy stand for at a time. */
export const MAX_ALLOWED_ADDRESSES = 4_096;
/** Who has just been told an address needs some time to connect to it. */
const LEAST_SLACK_S = 30;

/** Ended addresses are looked for this often at most. */
const PRUNE_MS = 10_000;

/** Addresses, each with its end, by what they are there for. */
type Ends = Map<string, Map<string, number>>;

interface Known {
  /** Those that are joined. */
  readonly endpoints: Map<EndpointId, DriverEndpoint>;
  /** By the sets of the firewall. */
  readonly allowed: Ends;
  /** By the names that stand for them: other rules sort them anew. */
  readonly names: Ends;
  pruned: number;
}

/** What the policies of a driver's networks come to now: their rules, who their members are, what names stand for. */
export class Policies {
  readonly #firewall: Firewall;
  readonly #networks = new Map<NetworkId, Known>();

  constructor(firewall: Firewall) {
    this.#firewall = firewall;
  }

  /** Everything that should hold for a network. */
  intents(config: BridgeConfig): Intent[] {
    if (config.policy.length === 0) return [];
    const { endpoints } = this.#known(config.id);
    const members = [...endpoints.values()].map((each) => memberIntent(config, each));
    return [policyIntent(config), ...members, ...this.#allowed(config)];
  }

  /** What makes a network's policy another one, or the first. What names stand for already goes along. */
  changes(before: BridgeConfig | undefined, after: BridgeConfig): FirewallChange[] {
    const gone = before === undefined ? [] : this.intents(before);
    this.#rearrange(after);
    const intents = this.intents(after);
    const stays = new Set(intents.map(({ kind, id }) => `${kind} ${id}`));
    return [
      ...gone.flatMap(({ kind, id }) => (stays.has(`${kind} ${id}`) ? [] : [{ remove: { kind, id } }])),
      ...intents.map((set) => ({ set })),
    ];
  }

  /** The same changes, and none here: what names stand for is left out. */
  preview(before: BridgeConfig, after: BridgeConfig): FirewallChange[] {
    const members = [...this.#known(after.id).endpoints.values()];
    const intents: Intent[] =
      after.policy.length === 0
        ? []
        : [policyIntent(after), ...members.map((each) => memberIntent(after, each))];
    return intents.length === 0 ? this.removal(before) : intents.map((set) => ({ set }));
  }

  /** The end of a network. */
  removal(config: BridgeConfig): FirewallChange[] {
    return this.intents(config).map(({ kind, id }) => ({ remove: { kind, id } }));
  }

  forget(id: NetworkId): void {
    this.#networks.delete(id);
  }

  /** Takes an endpoint for a member, without the firewall. */
  note(config: BridgeConfig, endpoint: DriverEndpoint): void {
    this.#known(config.id).endpoints.set(endpoint.id, endpoint);
  }

  /** From here on the rules know the endpoint, by what it says now. Before it can send anything. */
  async enter(config: BridgeConfig, endpoint: DriverEndpoint): Promise<void> {
    this.note(config, endpoint);
    if (config.policy.length > 0) await this.#firewall.apply([{ set: memberIntent(config, endpoint) }]);
  }

  /** The rules know the endpoint no more. After it could send something. */
  async leave(config: BridgeConfig | undefined, id: EndpointId): Promise<void> {
    if (config === undefined || !this.#networks.get(config.id)?.endpoints.delete(id)) return;
    if (config.policy.length > 0) await this.#firewall.apply([{ remove: { kind: 'member', id } }]);
  }

  /**
   * Lets what a name stands for pass where rules allow the name, for its time and some more.
   * @throws UNAVAILABLE when the network has too many such addresses
   */
  async allow(config: BridgeConfig, name: string, addresses: readonly NamedAddress[]): Promise<void> {
    const sets = namedSets(config, name);
    if (sets.length === 0) return;
    const { allowed, names } = this.#known(config.id);
    const now = Date.now();
    const gone = this.#prune(config.id, now);
    const fresh = sets.flatMap((set) =>
      addresses.flatMap(({ address, ttlSeconds }) => {
        const until = allowed.get(set)?.get(address) ?? 0;
        if (until - now >= ttlSeconds * 1000 || familyOf(address) === undefined) return [];
        const seconds = ttlSeconds + Math.max(LEAST_SLACK_S, ttlSeconds / 2);
        return [{ set, address, expires: Math.max(until, now + seconds * 1000) }];
      }),
    );
    if (fresh.length === 0 && gone.length === 0) return;
    refuseTooMany(config, allowed, fresh.length);
    const intents = fresh.map(({ set, address, expires }) => intentOf(config.id, set, address, expires));
    await this.#firewall.apply([...gone, ...intents.map((set) => ({ set }))]);
    for (const { set, address, expires } of fresh) {
      write(allowed, set, address, expires);
      write(names, name, address, expires);
    }
  }

  #allowed({ id }: BridgeConfig): AllowedIntent[] {
    const now = Date.now();
    return [...this.#known(id).allowed].flatMap(([set, held]) =>
      [...held].flatMap(([address, expires]) => (expires > now ? [intentOf(id, set, address, expires)] : [])),
    );
  }

  /** What names stand for, by the sets of other rules. */
  #rearrange(config: BridgeConfig): void {
    const { allowed, names } = this.#known(config.id);
    allowed.clear();
    for (const [name, held] of names)
      for (const set of namedSets(config, name))
        for (const [address, expires] of held) write(allowed, set, address, expires);
  }

  /** Forgets what has ended, now and then, and answers with what the firewall is to forget. */
  #prune(id: NetworkId, now: number): FirewallChange[] {
    const known = this.#known(id);
    if (now - known.pruned < PRUNE_MS) return [];
    known.pruned = now;
    removeEnded(known.names, now);
    return removeEnded(known.allowed, now).map(([set, address]) => ({
      remove: { kind: 'allowed', id: `${id}/${set}/${address}` },
    }));
  }

  #known(id: NetworkId): Known {
    const known = this.#networks.get(id) ?? {
      endpoints: new Map(),
      allowed: new Map(),
      names: new Map(),
      pruned: 0,
    };
    this.#networks.set(id, known);
    return known;
  }
}

function intentOf(network: NetworkId, set: string, address: string, expires: number): AllowedIntent {
  return { kind: 'allowed', id: `${network}/${set}/${address}`, network, set, address, expires };
}

/** Of several ends of an address the last. */
function write(ends: Ends, key: string, address: string, expires: number): void {
  const held = ends.get(key) ?? new Map<string, number>();
  ends.set(key, held);
  held.set(address, Math.max(expires, held.get(address) ?? 0));
}

function removeEnded(ends: Ends, now: number): [key: string, address: string][] {
  const ended: [string, string][] = [];
  for (const [key, held] of ends) {
    for (const [address, expires] of held) {
      if (expires > now) continue;
      held.delete(address);
      ended.push([key, address]);
    }
    if (held.size === 0) ends.delete(key);
  }
  return ended;
}

function refuseTooMany(config: BridgeConfig, allowed: Ends, more: number): void {
  const total = [...allowed.values()].reduce((sum, held) => sum + held.size, more);
  if (total <= MAX_ALLOWED_ADDRESSES) return;
  throw new LibnetworkError(
    'UNAVAILABLE',
    `the policy of ${nameOf(config)} allows names that stand for more than ${MAX_ALLOWED_ADDRESSES} addresses`,
    { limit: 'MAX_ALLOWED_ADDRESSES', value: total, operation: 'allow addresses' },
  );
}
