/** What a chosen key stands for. */
import { type Door, doorsOf, type Key, type Tile, tilesOf } from './scene.ts';
import { type ServiceGroup, servicesOf } from './services.ts';
import type { NetworkPlace, Topology } from './topology.ts';

export type Subject =
  | { readonly kind: 'host' }
  | { readonly kind: 'other'; readonly id: string; readonly tiles: readonly Tile[] }
  | ({ readonly kind: 'network' } & Members)
  | { readonly kind: 'tile'; readonly tile: Tile }
  | {
      readonly kind: 'door';
      readonly network: NetworkPlace;
      readonly tile: Tile;
      readonly door: Door;
    };

export interface Members {
  readonly network: NetworkPlace;
  readonly tiles: readonly Tile[];
  readonly doors: readonly Door[];
  readonly services: readonly ServiceGroup[];
}

/** `undefined` for what is gone. */
export function subjectOf(topology: Topology, key: Key): Subject | undefined {
  const [kind = '', id = ''] = key.split(':', 2);
  const tiles = tilesOf(topology);
  switch (kind) {
    case 'host': {
      if (id === '') return { kind: 'host' };
      const there = tiles.filter(({ endpoints }) => endpoints[0]?.host === id);
      return there.length === 0 ? undefined : { kind: 'other', id, tiles: there };
    }
    case 'network':
    case 'way':
    case 'more': {
      const network = topology.networks.find((each) => each.id === id);
      return network && { kind: 'network', network, ...membersOf(topology, network, tiles) };
    }
    case 'door':
      return doorSubject(topology, tiles, key, id);
    default: {
      const tile = tiles.find((each) => each.key === key);
      return tile && { kind: 'tile', tile };
    }
  }
}

function membersOf(
  { endpoints }: Topology,
  network: NetworkPlace,
  tiles: readonly Tile[],
): Omit<Members, 'network'> {
  const own = tiles.filter(({ endpoints }) => endpoints.some(({ networkId }) => networkId === network.id));
  return { tiles: own, doors: doorsOf(network, own), services: servicesOf(endpoints, network.id) };
}

function doorSubject(
  topology: Topology,
  tiles: readonly Tile[],
  key: Key,
  endpointId: string,
): Subject | undefined {
  const endpoint = topology.endpoints.find(({ id }) => id === endpointId);
  const network = topology.networks.find(({ id }) => id === endpoint?.networkId);
  const door = network && doorsOf(network, tiles).find((each) => each.key === key);
  const tile = tiles.find((each) => each.key === door?.tile);
  return network && door && tile && { kind: 'door', network, tile, door };
}
