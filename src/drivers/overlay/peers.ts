/** Which neighbours and forwarding entries a network's VXLAN devices must have: a projection of its peers. */
import type { Peer, PeerChange } from '../../driverapi/driver.ts';
import type { EndpointId } from '../../ids.ts';
import { FAMILIES } from '../../ip.ts';
import type { Change, NeighbourSpec } from '../../osl/osl.ts';
import { type OverlayConfig, segmentOf } from './config.ts';

/** The name of an entry: its device, and the address or MAC address that it is found by. */
type Key = string;

/** An entry, and whose it is. Of several with one name the latest counts; an address moves from host to host so. */
interface Claim {
  readonly owner: EndpointId;
  readonly spec: NeighbourSpec;
}

export class PeerTable {
  readonly #config: OverlayConfig;
  readonly #peers = new Map<EndpointId, Peer>();
  readonly #claims = new Map<Key, Claim[]>();

  constructor(config: OverlayConfig) {
    this.#config = config;
  }

  peers(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  /** Takes a change over; answers which entries to set and which to delete for it. */
  change({ set, removed }: PeerChange): { readonly set: Change[]; readonly remove: Change[] } {
    const before = new Map<Key, NeighbourSpec | undefined>();
    const touch = (key: Key): void => {
      if (!before.has(key)) before.set(key, this.#claims.get(key)?.at(-1)?.spec);
    };
    for (const id of removed) this.#drop(id, touch);
    for (const peer of set) {
      this.#drop(peer.id, touch);
      this.#peers.set(peer.id, peer);
      for (const [key, spec] of entriesOf(this.#config, peer)) {
        touch(key);
        this.#claims.set(key, [...(this.#claims.get(key) ?? []), { owner: peer.id, spec }]);
      }
    }
    const changes = { set: [] as Change[], remove: [] as Change[] };
    for (const [key, was] of before) {
      const now = this.#claims.get(key)?.at(-1)?.spec;
      if (now && !sameEntry(now, was)) changes.set.push({ op: 'setNeighbour', ...now });
      else if (!now && was) changes.remove.push({ op: 'deleteNeighbour', ...was });
    }
    return changes;
  }

  /** Every entry that should be there, by name. */
  wanted(): ReadonlyMap<Key, NeighbourSpec> {
    const wanted = new Map<Key, NeighbourSpec>();
    for (const [key, claims] of this.#claims) {
      const spec = claims.at(-1)?.spec;
      if (spec) wanted.set(key, spec);
    }
    return wanted;
  }

  #drop(id: EndpointId, touch: (key: Key) => void): void {
    const peer = this.#peers.get(id);
    if (!peer) return;
    this.#peers.delete(id);
    for (const [key] of entriesOf(this.#config, peer)) {
      touch(key);
      const left = (this.#claims.get(key) ?? []).filter(({ owner }) => owner !== id);
      if (left.length > 0) this.#claims.set(key, left);
      else this.#claims.delete(key);
    }
  }
}

export function keyOf({ link, address, macAddress, fdb }: NeighbourSpec): Key {
  return fdb ? `${link} mac ${macAddress}` : `${link} ${address}`;
}

export function sameEntry(
  a: NeighbourSpec,
  b: Pick<NeighbourSpec, 'address' | 'macAddress'> | undefined,
): boolean {
  return a.address === b?.address && a.macAddress === b?.macAddress;
}

/** Its addresses are at its MAC address, and that is reached by its host. */
function entriesOf(config: OverlayConfig, peer: Peer): [Key, NeighbourSpec][] {
  const entries: [Key, NeighbourSpec][] = [];
  const { macAddress, via } = peer;
  for (const family of FAMILIES) {
    const cidr = peer[family];
    const link = segmentOf(config, cidr)?.vxlan;
    if (cidr === undefined || link === undefined) continue;
    const address = cidr.split('/')[0];
    for (const spec of [
      { link, address, macAddress },
      { link, address: via, macAddress, fdb: true },
    ])
      entries.push([keyOf(spec), spec]);
  }
  return [...new Map(entries)];
}
