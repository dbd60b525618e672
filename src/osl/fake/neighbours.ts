/** Permanent neighbours, and the forwarding tables of bridges and vxlans. */
import { parseAddress } from '../../ip.ts';
import type { NeighbourSpec } from '../osl.ts';
import { checkMac } from './limits.ts';
import { needLink } from './netns.ts';
import { Refusal } from './refusal.ts';
import type { LinkState, NeighbourState, NetnsState } from './state.ts';

/** Where a vxlan sends frames that it knows no owner of; several remotes may stand under it. */
export const ANY_MAC = '00:00:00:00:00:00';

export function setNeighbour(netns: NetnsState, spec: NeighbourSpec): void {
  const entry = readNeighbour(netns, spec);
  netns.neighbours = [...netns.neighbours.filter((n) => !isSame(n, entry)), entry];
}

/** @throws Refusal ENOENT */
export function deleteNeighbour(netns: NetnsState, spec: NeighbourSpec): void {
  const entry = readNeighbour(netns, spec);
  const found = netns.neighbours.find((n) => isSame(n, entry));
  if (found === undefined) throw new Refusal('ENOENT');
  netns.neighbours = netns.neighbours.filter((n) => n !== found);
}

function readNeighbour(netns: NetnsState, spec: NeighbourSpec): NeighbourState {
  const link = needLink(netns, spec.link);
  const mac = spec.fdb && spec.macAddress === ANY_MAC ? ANY_MAC : checkMac(spec.macAddress);
  const address = spec.address === undefined ? undefined : parseAddress(spec.address);
  if (spec.address !== undefined && address === undefined)
    throw new Refusal('EINVAL', `not an address: ${spec.address}`);
  if (spec.fdb) {
    checkTable(link, address !== undefined);
    return { link, family: 'bridge', address, mac };
  }
  if (address === undefined) throw new Refusal('EINVAL', 'a neighbour has an address');
  return { link, family: address.family, address, mac };
}

/** Only a vxlan and a bridge's ports have forwarding tables; only a vxlan's entries have remotes. */
function checkTable(link: LinkState, remote: boolean): void {
  if (link.kind === 'vxlan') return;
  if (link.master === undefined && link.kind !== 'bridge') throw new Refusal('EOPNOTSUPP');
  if (remote) throw new Refusal('EINVAL', 'a port of a bridge has no remote');
}

/** A neighbour is known by its address; a forwarding entry by its MAC, the one for any MAC by its remote too. */
function isSame(a: NeighbourState, b: NeighbourState): boolean {
  if (a.link !== b.link || a.family !== b.family) return false;
  if (a.family !== 'bridge') return a.address?.value === b.address?.value;
  return a.mac === b.mac && (a.mac !== ANY_MAC || a.address?.value === b.address?.value);
}
