import type { Family } from '../ip.ts';
import { OPEN } from './policy.ts';

/** An endpoint's share of a zone. Names are folded, addresses plain and canonical. */
export interface Host {
  readonly id: string;
  readonly names: readonly string[];
  /** The name its addresses resolve to, as written. */
  readonly reverseName: string | undefined;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** Port by `_http._tcp`. */
  readonly services: ReadonlyMap<string, number>;
}

/** Where a service is: a SRV record and the addresses of its target (RFC 2782). */
export interface ServiceTarget {
  readonly target: string;
  readonly port: number;
  readonly addresses: readonly string[];
}

/** What a zone knows of a name; `'no-such-type'` where the name has no address of the family. */
export type Found = readonly string[] | 'no-such-type' | undefined;

/** Static names by folded name. */
export type StaticNames = ReadonlyMap<string, StaticAddresses>;
export interface StaticAddresses {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}

/** The hosts of one name, and their addresses as last computed. */
interface Entry {
  readonly hosts: Set<Host>;
  ipv4: readonly string[] | undefined;
  ipv6: readonly string[] | undefined;
  turn: number;
}

/** The names of one network, each found in constant time. */
export class Zone {
  /** The network's name, folded, and as it is written. */
  name = '';
  displayName = '';
  policy = OPEN;
  readonly #hosts = new Map<string, Host>();
  readonly #entries = new Map<string, Entry>();
  readonly #reverse = new Map<string, Set<Host>>();
  #records: StaticNames = new Map();
  #wildcards: StaticNames = new Map();
  #turn = 0;

  get empty(): boolean {
    return (
      this.#hosts.size === 0 && this.#records.size === 0 && this.#wildcards.size === 0 && this.policy === OPEN
    );
  }

  add(host: Host): void {
    this.#hosts.set(host.id, host);
    for (const name of host.names) {
      const entry = this.#entries.get(name) ?? {
        hosts: new Set(),
        ipv4: undefined,
        ipv6: undefined,
        turn: 0,
      };
      entry.hosts.add(host);
      entry.ipv4 = entry.ipv6 = undefined;
      this.#entries.set(name, entry);
    }
    for (const address of addressesOf(host)) {
      const hosts = this.#reverse.get(address) ?? new Set();
      this.#reverse.set(address, hosts.add(host));
    }
  }

  remove(id: string): void {
    const host = this.#hosts.get(id);
    if (host === undefined) return;
    this.#hosts.delete(id);
    for (const name of host.names) {
      const entry = this.#entries.get(name);
      if (entry === undefined) continue;
      entry.hosts.delete(host);
      entry.ipv4 = entry.ipv6 = undefined;
      if (entry.hosts.size === 0) this.#entries.delete(name);
    }
    for (const address of addressesOf(host)) {
      const hosts = this.#reverse.get(address);
      hosts?.delete(host);
      if (hosts?.size === 0) this.#reverse.delete(address);
    }
  }

  setStatic(records: StaticNames, wildcards: StaticNames): void {
    this.#records = records;
    this.#wildcards = wildcards;
  }

  /** The addresses of a folded name; of several, another one is first each time. */
  find(name: string, family: Family): Found {
    const entry = this.#entries.get(name);
    if (entry === undefined) return this.#findStatic(name, family);
    const addresses = entry[family] ?? collect(entry, family);
    if (addresses.length === 0) return 'no-such-type';
    return addresses.length === 1 ? addresses : rotate(addresses, entry.turn++);
  }

  reverse(address: string): string | undefined {
    for (const host of this.#reverse.get(address) ?? []) if (host.reverseName) return host.reverseName;
    return undefined;
  }

  /** The targets of `_http._tcp` of a folded name. */
  service(name: string, service: string): readonly ServiceTarget[] | undefined {
    const targets: ServiceTarget[] = [];
    for (const host of this.#entries.get(name)?.hosts ?? []) {
      const port = host.services.get(service);
      if (port === undefined) continue;
      const target = `${host.reverseName ?? name}.${this.displayName}`;
      targets.push({ target, port, addresses: addressesOf(host) });
    }
    return targets.length === 0 ? undefined : targets;
  }

  #findStatic(name: string, family: Family): Found {
    const record = this.#records.get(name) ?? this.#findWildcard(name);
    if (record === undefined) return undefined;
    const addresses = record[family];
    if (addresses.length === 0) return 'no-such-type';
    return addresses.length === 1 ? addresses : rotate(addresses, this.#turn++);
  }

  /** The nearest domain above the name goes first, as with DNS's own wildcards (RFC 4592). */
  #findWildcard(name: string): StaticAddresses | undefined {
    if (this.#wildcards.size === 0) return undefined;
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const record = this.#wildcards.get(name.slice(dot + 1));
      if (record !== undefined) return record;
    }
    return undefined;
  }
}

function collect(entry: Entry, family: Family): readonly string[] {
  const addresses = new Set<string>();
  for (const host of entry.hosts) {
    const address = host[family];
    if (address !== undefined) addresses.add(address);
  }
  entry[family] = [...addresses];
  return entry[family];
}

function addressesOf(host: Host): readonly string[] {
  return [host.ipv4, host.ipv6].filter((address) => address !== undefined);
}

function rotate(addresses: readonly string[], turn: number): readonly string[] {
  const start = turn % addresses.length;
  return start === 0 ? addresses : [...addresses.slice(start), ...addresses.slice(0, start)];
}
