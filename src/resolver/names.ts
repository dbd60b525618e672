import type { Family } from '../ip.ts';
import { formatAddress, parseAddress } from '../ip.ts';
import { isLetThrough, isListed, OPEN, type PolicyOptions, policyOf, type Way } from './policy.ts';
import { type Host, type ServiceTarget, type StaticAddresses, type StaticNames, Zone } from './zone.ts';

export type { ServiceTarget } from './zone.ts';

/** What the resolver asks; answers are those of this moment. */
export interface NameSource {
  /**
   * The addresses of a name as a sandbox sees it. `'no-such-type'`: the name is known, but has no address of
   * this family. `undefined`: the name is not known here.
   */
  lookup(sandbox: string, name: string, family: Family): readonly string[] | 'no-such-type' | undefined;
  /** The names of an address, as `web.front`; `undefined` where it belongs to no endpoint in sight. */
  reverse(sandbox: string, address: string): readonly string[] | undefined;
  /** The targets of a service name, `_http._tcp.web` (RFC 2782). */
  service?(sandbox: string, name: string): readonly ServiceTarget[] | undefined;
  /** Whether a name that is not known here may be asked of servers reached that way. Default: it may. */
  mayForward?(sandbox: string, name: string, way: Way): boolean;
  /** The ids of the sandbox's networks whose list of allowed names has this one. Default: none. */
  allowedBy?(sandbox: string, name: string): readonly string[];
}

/** One endpoint as the name table sees it. */
export interface EndpointNames {
  readonly id: string;
  readonly networkId: string;
  readonly networkName: string;
  readonly sandboxId?: string | undefined;
  /** Endpoint name, aliases, short container id, host name; the first is what its addresses resolve to in reverse. */
  readonly names: readonly string[];
  /** An address, with or without its prefix's length. */
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  /** Named ports: `{ name: 'http', protocol: 'tcp', port: 80 }` answers `_http._tcp.<name>`. */
  readonly services?: readonly NamedPort[] | undefined;
}

export interface NamedPort {
  readonly name: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port: number;
}

/** What a sandbox sees. */
export interface SandboxNames {
  readonly id: string;
  /** The ids of its networks, in the order in which they are asked. */
  readonly networks: readonly string[];
  /** Names that only this sandbox knows (links): `{ db: 'postgres-1' }`; the target may be `name.network`. */
  readonly aliases?: ReadonlyMap<string, string> | Readonly<Record<string, string>> | undefined;
}

/** Static names of a network, beside those of its endpoints, and what its sandboxes may ask elsewhere. */
export interface NetworkNames extends PolicyOptions {
  readonly id: string;
  readonly name: string;
  /** Name to addresses, of both families mixed. An endpoint's name goes before a static one. */
  readonly records?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Domain to addresses: `{ 'apps.example': ['10.9.0.9'] }` answers for every name below `apps.example`. */
  readonly wildcard?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** One change of a name table, as plain data. */
export type NameChange =
  | { readonly op: 'setEndpoint'; readonly value: EndpointNames }
  | { readonly op: 'setSandbox'; readonly value: SandboxNames }
  | { readonly op: 'setNetwork'; readonly value: NetworkNames }
  | { readonly op: 'removeEndpoint' | 'removeSandbox' | 'removeNetwork'; readonly value: string };

interface Sight {
  readonly networks: readonly string[];
  readonly aliases: ReadonlyMap<string, string> | undefined;
}

/**
 * The names of all networks and what each sandbox sees of them: a projection of the controller's records, that can
 * be rebuilt from them at any time. A look-up costs the same however many endpoints there are.
 */
export class NameTable implements NameSource {
  readonly #zones = new Map<string, Zone>();
  readonly #sandboxes = new Map<string, Sight>();
  readonly #endpoints = new Map<string, EndpointNames>();
  readonly #networks = new Map<string, NetworkNames>();
  readonly #followers = new Set<(change: NameChange) => void>();

  /** Adds an endpoint, or replaces the one of this id. */
  setEndpoint(endpoint: EndpointNames): void {
    this.#forget(endpoint.id);
    const zone = this.#zone(endpoint.networkId);
    zone.name = fold(endpoint.networkName);
    zone.displayName = endpoint.networkName;
    zone.add(hostOf(endpoint));
    this.#endpoints.set(endpoint.id, endpoint);
    this.#tell({ op: 'setEndpoint', value: endpoint });
  }

  /** All endpoints that have names. */
  get endpoints(): Iterable<EndpointNames> {
    return this.#endpoints.values();
  }

  /** Forgets an endpoint. None of this id: nothing happens. */
  removeEndpoint(id: string): void {
    if (this.#forget(id)) this.#tell({ op: 'removeEndpoint', value: id });
  }

  /** Adds or replaces what a sandbox sees. */
  setSandbox(sandbox: SandboxNames): void {
    this.#sandboxes.set(sandbox.id, {
      networks: [...sandbox.networks],
      aliases: aliasMap(sandbox.aliases),
    });
    this.#tell({ op: 'setSandbox', value: sandbox });
  }

  removeSandbox(id: string): void {
    if (this.#sandboxes.delete(id)) this.#tell({ op: 'removeSandbox', value: id });
  }

  /** Sets the static names and the policy of a network, replacing the former ones. */
  setNetwork(network: NetworkNames): void {
    const zone = this.#zone(network.id);
    zone.name = fold(network.name);
    zone.displayName = network.name;
    zone.setStatic(staticNames(network.records), staticNames(network.wildcard));
    zone.policy = policyOf(network, fold);
    if (zone.empty) this.#zones.delete(network.id);
    this.#networks.set(network.id, network);
    this.#tell({ op: 'setNetwork', value: network });
  }

  /** Forgets a network's static names and policy; its endpoints are forgotten one by one. */
  removeNetwork(id: string): void {
    if (this.#networks.delete(id)) this.#tell({ op: 'removeNetwork', value: id });
    const zone = this.#zones.get(id);
    if (zone === undefined) return;
    zone.setStatic(new Map(), new Map());
    zone.policy = OPEN;
    if (zone.empty) this.#zones.delete(id);
  }

  /** Makes a change that another table told its followers. */
  change(change: NameChange): void {
    if (change.op === 'setEndpoint') this.setEndpoint(change.value);
    else if (change.op === 'setSandbox') this.setSandbox(change.value);
    else if (change.op === 'setNetwork') this.setNetwork(change.value);
    else this[change.op](change.value);
  }

  /** Tells all that is there, as changes of an empty table, then every change. Returns how to stop that. */
  follow(follower: (change: NameChange) => void): () => void {
    for (const value of this.#networks.values()) follower({ op: 'setNetwork', value });
    for (const value of this.#endpoints.values()) follower({ op: 'setEndpoint', value });
    for (const [id, sight] of this.#sandboxes) follower({ op: 'setSandbox', value: { id, ...sight } });
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  lookup(sandbox: string, name: string, family: Family): readonly string[] | 'no-such-type' | undefined {
    const sight = this.#sandboxes.get(sandbox);
    if (sight === undefined) return undefined;
    return this.#search(sight, fold(name), (zone, host) => zone.find(host, family));
  }

  reverse(sandbox: string, address: string): readonly string[] | undefined {
    const plain = plainAddress(address);
    const sight = this.#sandboxes.get(sandbox);
    if (plain === undefined || sight === undefined) return undefined;
    for (const id of sight.networks) {
      const zone = this.#zones.get(id);
      const name = zone?.reverse(plain);
      if (zone !== undefined && name !== undefined) return [`${name}.${zone.displayName}`];
    }
    return undefined;
  }

  service(sandbox: string, name: string): readonly ServiceTarget[] | undefined {
    const [, service, host] = /^(_[^.]+\._[^.]+)\.(.+)$/.exec(fold(name)) ?? [];
    const sight = this.#sandboxes.get(sandbox);
    if (service === undefined || host === undefined || sight === undefined) return undefined;
    const targets = this.#search(sight, host, (zone, name) => zone.service(name, service));
    return targets === 'no-such-type' ? undefined : targets;
  }

  mayForward(sandbox: string, name: string, way: Way): boolean {
    const networks = this.#sandboxes.get(sandbox)?.networks ?? [];
    const policies = networks.map((id) => this.#zones.get(id)?.policy ?? OPEN);
    return isLetThrough(policies, fold(name), way);
  }

  allowedBy(sandbox: string, name: string): readonly string[] {
    const networks = this.#sandboxes.get(sandbox)?.networks ?? [];
    return networks.filter((id) => {
      const allow = this.#zones.get(id)?.policy.allow;
      return allow !== undefined && isListed(allow, fold(name));
    });
  }

  /**
   * Tries `a.b.c` as a name of any network, then `a.b` in network `c`, then `a` in network `b.c`. The first network
   * that has an answer wins; one that knows the name without such an address is remembered and the rest are asked.
   */
  #search<T>(
    sight: Sight,
    name: string,
    ask: (zone: Zone, host: string) => readonly T[] | 'no-such-type' | undefined,
  ): readonly T[] | 'no-such-type' | undefined {
    let known: 'no-such-type' | undefined;
    for (let end = name.length; end > 0; end = name.lastIndexOf('.', end - 1)) {
      const left = end === name.length ? name : name.slice(0, end);
      const network = end === name.length ? undefined : name.slice(end + 1);
      const host = sight.aliases?.get(left) ?? left;
      for (const id of sight.networks) {
        const zone = this.#zones.get(id);
        if (zone === undefined || (network !== undefined && zone.name !== network)) continue;
        const found = ask(zone, host);
        if (found === 'no-such-type') known = found;
        else if (found !== undefined) return found;
      }
      if (known !== undefined) return known;
      // The target of an alias may name its network: `{ db: 'postgres.back' }`.
      if (network === undefined && host !== left)
        return this.#search({ ...sight, aliases: undefined }, host, ask);
    }
    return undefined;
  }

  /** True when there was such an endpoint. */
  #forget(endpointId: string): boolean {
    const networkId = this.#endpoints.get(endpointId)?.networkId;
    if (networkId === undefined) return false;
    this.#endpoints.delete(endpointId);
    const zone = this.#zones.get(networkId);
    zone?.remove(endpointId);
    if (zone?.empty) this.#zones.delete(networkId);
    return true;
  }

  #tell(change: NameChange): void {
    for (const follower of this.#followers) follower(change);
  }

  #zone(id: string): Zone {
    const zone = this.#zones.get(id) ?? new Zone();
    this.#zones.set(id, zone);
    return zone;
  }
}

/** Names compare without case and without the root's dot. */
function fold(name: string): string {
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
}

function hostOf(endpoint: EndpointNames): Host {
  const names = new Set(endpoint.names.map(fold));
  names.delete('');
  return {
    id: endpoint.id,
    names: [...names],
    reverseName: endpoint.names[0],
    ipv4: plainAddress(endpoint.ipv4),
    ipv6: plainAddress(endpoint.ipv6),
    services: new Map((endpoint.services ?? []).map((it) => [fold(`_${it.name}._${it.protocol}`), it.port])),
  };
}

/** The canonical text of an address without its prefix's length. */
function plainAddress(text: string | undefined): string | undefined {
  const address = text === undefined ? undefined : parseAddress(text.split('/', 1)[0] ?? '');
  return address && formatAddress(address);
}

function staticNames(names: Readonly<Record<string, readonly string[]>> = {}): StaticNames {
  return new Map(Object.entries(names).map(([name, addresses]) => [fold(name), byFamily(addresses)]));
}

function byFamily(addresses: readonly string[]): StaticAddresses {
  const parsed = addresses.map(parseAddress).filter((address) => address !== undefined);
  const of = (family: Family) => parsed.filter((it) => it.family === family).map(formatAddress);
  return { ipv4: of('ipv4'), ipv6: of('ipv6') };
}

function aliasMap(aliases: SandboxNames['aliases']): ReadonlyMap<string, string> | undefined {
  const entries = aliases instanceof Map ? [...aliases] : Object.entries(aliases ?? {});
  return entries.length === 0
    ? undefined
    : new Map(entries.map(([alias, name]) => [fold(alias), fold(name)]));
}
