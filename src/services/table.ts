/**
 * The live backends of all services, and what follows from them: the rules of every sandbox on their networks, and
 * the services' own names. A projection of the endpoints' records; a change costs the same however many there are.
 */
import { FAMILIES, type Family } from '../ip.ts';
import type { FirewallChange, Intent } from '../osl/firewall/firewall.ts';
import type { ServiceMembership } from '../records.ts';
import type { EndpointNames } from '../resolver/names.ts';

/** An endpoint of a service, in a sandbox on whichever host. */
export interface Backend {
  /** The endpoint's id. */
  readonly id: string;
  readonly network: { readonly id: string; readonly name: string };
  readonly service: ServiceMembership;
  /** In CIDR form. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** What a change of one service comes to. */
export interface ServiceChange {
  readonly networkId: string;
  readonly name: string;
  /** How many backends get what is new; `undefined`: the same ones as before. */
  readonly live: number | undefined;
  /** For every sandbox on the network. */
  readonly rules: readonly FirewallChange[];
  /** An address that led to a backend which is not there any more, drained or not. */
  readonly gone: readonly string[];
  /** The names of its virtual address, where they are other ones now; `undefined`: none. */
  readonly names?: { readonly id: string; readonly value: EndpointNames | undefined } | undefined;
}

export class ServiceTable {
  readonly #backends = new Map<string, Backend>();
  readonly #groups = new Map<string, Group>();
  readonly #ofNetwork = new Map<string, Set<Group>>();

  /** Adds a backend, or replaces the one of its id. One that is not enabled gets no new connections. */
  set(backend: Backend): ServiceChange[] {
    const before = this.#backends.get(backend.id);
    if (before && JSON.stringify(before) === JSON.stringify(backend)) return [];
    const changes = before ? this.#take(before, []) : [];
    this.#backends.set(backend.id, backend);
    if (!backend.service.enabled) return changes;
    const group = this.#groupOf(backend);
    return [...changes, group.change(group.add(backend))];
  }

  /** A backend has left. None of this id: nothing happens. */
  remove(id: string): ServiceChange[] {
    const backend = this.#backends.get(id);
    if (!backend) return [];
    this.#backends.delete(id);
    return this.#take(
      backend,
      FAMILIES.flatMap((family) => plain(backend[family]) ?? []),
    );
  }

  /** The rules of a sandbox on the network. */
  intents(networkId: string): Intent[] {
    return [...(this.#ofNetwork.get(networkId) ?? [])].flatMap((group) => group.intents());
  }

  #take(backend: Backend, gone: readonly string[]): ServiceChange[] {
    const id = groupId(backend);
    const group = this.#groups.get(id);
    if (!group?.has(backend.id)) return gone.length > 0 ? [drainedGone(backend, gone)] : [];
    const change = group.change(group.remove(backend.id), gone);
    if (group.live === 0) {
      this.#groups.delete(id);
      const others = this.#ofNetwork.get(backend.network.id);
      others?.delete(group);
      if (others?.size === 0) this.#ofNetwork.delete(backend.network.id);
    }
    return [change];
  }

  #groupOf(backend: Backend): Group {
    const id = groupId(backend);
    const group = this.#groups.get(id) ?? new Group(id, backend);
    this.#groups.set(id, group);
    const all = this.#ofNetwork.get(backend.network.id) ?? new Set();
    this.#ofNetwork.set(backend.network.id, all.add(group));
    return group;
  }
}

/** One service of a network under one virtual address: two, as long as hosts do not agree on it, are both there. */
function groupId({ network, service: { name, ipv4, ipv6 } }: Backend): string {
  return ['service', network.id, name, ipv4?.address ?? '-', ipv6?.address ?? '-'].join(' ');
}

function drainedGone({ network, service }: Backend, gone: readonly string[]): ServiceChange {
  return { networkId: network.id, name: service.name, live: undefined, rules: [], gone };
}

class Group {
  readonly #id: string;
  readonly #first: Backend;
  readonly #live = new Map<string, Backend>();
  /** Of each family the backends by slot, and the slot of each. */
  readonly #slots = {
    ipv4: { order: [] as string[], at: new Map<string, number>() },
    ipv6: { order: [] as string[], at: new Map<string, number>() },
  };
  #names: string | undefined;

  constructor(id: string, first: Backend) {
    this.#id = id;
    this.#first = first;
  }

  get live(): number {
    return this.#live.size;
  }

  has(id: string): boolean {
    return this.#live.has(id);
  }

  add(backend: Backend): FirewallChange[] {
    this.#live.set(backend.id, backend);
    return this.#served().flatMap((family) => {
      const { order, at } = this.#slots[family];
      if (backend[family] === undefined) return [];
      at.set(backend.id, order.length);
      order.push(backend.id);
      return [{ set: this.#backend(family, order.length - 1) }, { set: this.#service(family) }];
    });
  }

  /** The last one moves to its slot, so that no others change. */
  remove(id: string): FirewallChange[] {
    const changes = this.#served().flatMap((family): FirewallChange[] => {
      const { order, at } = this.#slots[family];
      const slot = at.get(id);
      const last = order.pop();
      if (slot === undefined || last === undefined) return [];
      at.delete(id);
      const vacated = { kind: 'backend', id: this.#slotId(family, order.length) } as const;
      if (order.length === 0)
        return [{ remove: { kind: 'service', id: this.#ownerId(family) } }, { remove: vacated }];
      const changes: FirewallChange[] = [{ remove: vacated }, { set: this.#service(family) }];
      if (last === id) return changes;
      order[slot] = last;
      at.set(last, slot);
      return [...changes, { set: this.#backend(family, slot) }];
    });
    this.#live.delete(id);
    return changes;
  }

  intents(): Intent[] {
    return this.#served().flatMap((family) => {
      const { order } = this.#slots[family];
      if (order.length === 0) return [];
      return [this.#service(family), ...order.map((_, slot) => this.#backend(family, slot))];
    });
  }

  change(rules: readonly FirewallChange[], gone: readonly string[] = []): ServiceChange {
    const { network, service } = this.#first;
    const value = this.live === 0 ? undefined : this.#virtualNames();
    const names = value && JSON.stringify(value);
    const same = names === this.#names;
    this.#names = names;
    return {
      networkId: network.id,
      name: service.name,
      live: this.live,
      rules,
      gone,
      ...(same ? {} : { names: { id: this.#id, value } }),
    };
  }

  /** What its virtual address is called; the backends' names are their endpoints'. */
  #virtualNames(): EndpointNames | undefined {
    const { network, service } = this.#first;
    if (service.mode !== 'vip') return undefined;
    const aliases = [...this.#live.values()].flatMap((backend) => backend.service.aliases);
    const names = [...new Set([service.name, ...aliases])];
    const { ipv4, ipv6 } = service;
    return {
      id: this.#id,
      networkId: network.id,
      networkName: network.name,
      names,
      ipv4: ipv4?.address,
      ipv6: ipv6?.address,
    };
  }

  #served(): Family[] {
    return FAMILIES.filter((family) => this.#first.service[family] !== undefined);
  }

  #service(family: Family): Intent {
    const address = this.#virtual(family);
    const backends = this.#slots[family].order.length;
    return { kind: 'service', id: this.#ownerId(family), address, backends };
  }

  #backend(family: Family, slot: number): Intent {
    const backend = this.#live.get(this.#slots[family].order[slot] ?? '');
    const address = plain(backend?.[family]) ?? '';
    return {
      kind: 'backend',
      id: this.#slotId(family, slot),
      service: this.#virtual(family),
      slot,
      address,
    };
  }

  #virtual(family: Family): string {
    return plain(this.#first.service[family]?.address) ?? '';
  }

  #ownerId(family: Family): string {
    return `${this.#id} ${family}`;
  }

  #slotId(family: Family, slot: number): string {
    return `${this.#ownerId(family)} ${slot}`;
  }
}

function plain(cidr: string | undefined): string | undefined {
  return cidr?.split('/')[0];
}
