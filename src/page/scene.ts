/** What is to be drawn, without where: lanes of networks, and in each the containers that are at home there. */
import { type ServiceGroup, servicesOf, virtualText } from './services.ts';
import type { EndpointPlace, NetworkPlace, PublishedPort, SandboxPlace, Topology } from './topology.ts';
import { addressesOf, compareNames, distinctPorts, doorText, titleOf } from './words.ts';

/** What can be chosen: `network:ID`, `sandbox:ID`, `endpoint:ID`, `door:…`, `way:NETWORK`, `more:NETWORK`, `host`, `host:ID`. */
export type Key = string;

/** A container, or an endpoint that is in none. */
export interface Tile {
  readonly key: Key;
  readonly title: string;
  readonly sandbox?: SandboxPlace | undefined;
  /** The first is of the network in whose lane it is drawn. */
  readonly endpoints: readonly EndpointPlace[];
}

/** A published port, in the wall of the host. */
export interface Door {
  readonly key: Key;
  readonly tile: Key;
  readonly port: PublishedPort;
}

export interface Lane {
  readonly network: NetworkPlace;
  readonly tiles: readonly Tile[];
  readonly doors: readonly Door[];
  readonly services: readonly ServiceGroup[];
  /** Endpoints of the network, also of containers that are drawn in other lanes or not at all. */
  readonly total: number;
}

/** What another host has on networks that hosts share. */
export interface OtherHost {
  readonly id: string;
  readonly lanes: readonly Pick<Lane, 'network' | 'tiles'>[];
}

export interface Scene {
  readonly lanes: readonly Lane[];
  /** Containers without a network. */
  readonly loose: readonly Tile[];
  /** Networks without endpoints. */
  readonly unused: readonly NetworkPlace[];
  readonly others: readonly OtherHost[];
  /** Of all tiles that fit the search, wherever they are drawn. */
  readonly keys: ReadonlySet<Key>;
  /** How many these are, and how many there are in all. */
  readonly shown: number;
  readonly total: number;
}

/** @param search words that must all be in what is told of a tile; empty: everything */
export function sceneOf(topology: Topology, search = ''): Scene {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const networks = new Map(topology.networks.map((network) => [network.id, network]));
  const all = tilesOf(topology);
  const fits = (tile: Tile): boolean => {
    const text = textOf(tile, networks);
    return words.every((word) => text.includes(word));
  };
  const tiles = words.length === 0 ? all : all.filter(fits);
  const isNamed = ({ name, driver, pools }: NetworkPlace): boolean => {
    const text = [name, driver, ...pools.map(({ subnet }) => subnet)].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const totals = countBy(topology.endpoints, ({ networkId }) => networkId);
  const here = tiles.filter((tile) => tile.endpoints[0]?.host === undefined);
  const linked = new Set(tiles.flatMap(({ endpoints }) => endpoints.map(({ networkId }) => networkId)));
  const home = groupBy(here, (tile) => tile.endpoints[0]?.networkId);
  const shown = topology.networks.filter((network) => linked.has(network.id) || isNamed(network));
  return {
    lanes: shown
      .filter(({ id }) => totals.has(id))
      .map((network) => ({
        network,
        tiles: home.get(network.id) ?? [],
        doors: doorsOf(network, here),
        services: servicesOf(topology.endpoints, network.id),
        total: totals.get(network.id) ?? 0,
      })),
    loose: home.get(undefined) ?? [],
    unused: shown.filter(({ id }) => !totals.has(id)),
    others: othersOf(tiles, shown),
    keys: new Set(tiles.map(({ key }) => key)),
    shown: tiles.length,
    total: all.length,
  };
}

/** Every container, and every endpoint that is in none, by name. */
export function tilesOf(topology: Topology): Tile[] {
  const networks = new Map(topology.networks.map((network) => [network.id, network]));
  const endpoints = new Map(topology.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const containers = topology.sandboxes.map((sandbox): Tile => {
    const joined = sandbox.endpoints.flatMap((id) => endpoints.get(id) ?? []);
    const key = `sandbox:${sandbox.id}`;
    return { key, title: titleOf(sandbox, joined), sandbox, endpoints: homeFirst(joined, networks) };
  });
  const inside = new Set(topology.sandboxes.flatMap((sandbox) => sandbox.endpoints));
  const alone = topology.endpoints
    .filter(({ id, networkId }) => !inside.has(id) && networks.has(networkId))
    .map(
      (endpoint): Tile => ({ key: `endpoint:${endpoint.id}`, title: endpoint.name, endpoints: [endpoint] }),
    );
  return [...containers, ...alone].sort((a, b) => compareNames(a.title, b.title) || (a.key < b.key ? -1 : 1));
}

/** A container is at home where its way out is: in the first of its networks that is not internal. */
function homeFirst(
  joined: readonly EndpointPlace[],
  networks: ReadonlyMap<string, NetworkPlace>,
): readonly EndpointPlace[] {
  const known = joined.filter(({ networkId }) => networks.has(networkId));
  const home = known.find(({ networkId }) => networks.get(networkId)?.internal === false) ?? known[0];
  return home === undefined ? [] : [home, ...known.filter((endpoint) => endpoint !== home)];
}

function textOf({ title, sandbox, endpoints }: Tile, networks: ReadonlyMap<string, NetworkPlace>): string {
  const parts = endpoints.flatMap((endpoint) => [
    endpoint.name,
    ...endpoint.aliases,
    ...addressesOf(endpoint),
    endpoint.macAddress ?? '',
    networks.get(endpoint.networkId)?.name ?? '',
    ...endpoint.ports.map(doorText),
    ...serviceWords(endpoint),
  ]);
  return [title, sandbox?.containerId ?? '', sandbox?.hostname ?? '', ...parts].join(' ').toLowerCase();
}

function serviceWords({ service }: EndpointPlace): string[] {
  return service ? [service.name, ...service.aliases, virtualText(service)] : [];
}

/** Of whichever container that is on the network, wherever it is drawn. */
export function doorsOf({ id }: Pick<NetworkPlace, 'id'>, tiles: readonly Tile[]): Door[] {
  const doors = tiles.flatMap((tile) =>
    tile.endpoints
      .filter(({ networkId }) => networkId === id)
      .flatMap((endpoint) =>
        distinctPorts(endpoint.ports).map((port) => ({
          key: `door:${endpoint.id}:${doorText(port)}:${port.container}`,
          tile: tile.key,
          port,
        })),
      ),
  );
  return doors.sort((a, b) => a.port.host - b.port.host || (a.key < b.key ? -1 : 1));
}

function othersOf(tiles: readonly Tile[], networks: readonly NetworkPlace[]): OtherHost[] {
  const hosts = groupBy(
    tiles.filter((tile) => tile.endpoints[0]?.host !== undefined),
    (tile) => tile.endpoints[0]?.host ?? '',
  );
  return [...hosts]
    .sort(([a], [b]) => compareNames(a, b))
    .map(([id, own]) => {
      const byNetwork = groupBy(own, (tile) => tile.endpoints[0]?.networkId);
      const lanes = networks.flatMap((network) => {
        const there = byNetwork.get(network.id);
        return there ? [{ network, tiles: there }] : [];
      });
      return { id, lanes };
    });
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

function countBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}
