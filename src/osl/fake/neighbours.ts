/** Permanent neighbours, and the forwarding tables of bridges and vxlans. */
import { type Family, parseAddress } from '../../ip.ts';
import type { NeighbourSpec } from '../osl.ts';
import { checkMac, takesIpv6 } from './limits.ts';
import { needLink } from './netns.ts';
import { Refusal } from './refusal.ts';
import type { LinkState, NeighbourState, NetnsState } from './state.ts';
import { linkSetting } from './sysctls.ts';

/** Where a vxlan sends frames that it knows no owner of; several remotes may stand under it. */
export const ANY_MAC = '00:00:00:00:00:00';

export function setNeighbour(netns: NetnsState, spec: NeighbourSpec): void {
  const entry = readNeighbour(netns, spec);
  const { link } = entry;
  if (entry.family === 'bridge') checkTable(link, entry.address !== undefined);
  const without = !takesIpv6(link) || linkSetting(link, 'ipv6', 'disable_ipv6') !== 0;
  if (entry.family === 'ipv6' && without) throw new Refusal('EINVAL', 'IPv6 is disabled on this device');
  // Loopback has one entry for every IPv4 address, which is found by none of them (arp_constructor).
  const one = link.kind === 'loopback' && entry.family === 'ipv4';
  const kept: NeighbourState = one ? { ...entry, address: { family: 'ipv4', value: 0n } } : entry;
  netns.neighbours = [...netns.neighbours.filter((n) => !isSame(n, kept)), kept];
}

/** @throws Refusal ENOENT */
export function deleteNeighbour(netns: NetnsState, spec: NeighbourSpec): void {
  const entry = readNeighbour(netns, spec);
  const made = entry.link.spec;
  if (spec.fdb && made?.kind === 'macvlan' && made.mode !== 'passthru') throw new Refusal('EOPNOTSUPP');
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
  if (spec.fdb && link.kind === 'loopback')
    throw new Refusal('EINVAL', 'FDB only supported for Ethernet devices');
  // Only a vxlan keeps the remote; it makes any other's entry one of its own table all the same (ndo_dflt_fdb_add).
  const own = address !== undefined;
  if (spec.fdb && link.kind !== 'vxlan') return { link, family: 'bridge', address: undefined, mac, own };
  if (spec.fdb) return { link, family: 'bridge', address, mac, own };
  if (address === undefined) throw new Refusal('EINVAL', 'a neighbour has an address');
  return { link, family: address.family, address, mac };
}

/** Only a vxlan's entries have remotes, and need them unless they are of the bridge that it is a port of. */
function checkTable(link: LinkState, remote: boolean): void {
  if (link.kind === 'macvlan') throw new Refusal('EOPNOTSUPP');
  const needed = link.kind === 'vxlan' && link.master === undefined;
  if (needed && !remote) throw new Refusal('EINVAL', 'an entry of a vxlan has a remote');
}

/**
 * A neighbour is known by its address; a forwarding entry by its MAC, the one for any MAC by its remote too. All ports
 * of a bridge share one table, so that an entry moves from port to port.
 */
function isSame(a: NeighbourState, b: NeighbourState): boolean {
  if (a.family !== b.family) return false;
  if (a.family !== 'bridge') return a.link === b.link && a.address?.value === b.address?.value;
  const sameRemote = a.mac !== ANY_MAC || a.address?.value === b.address?.value;
  return tableOf(a) === tableOf(b) && a.mac === b.mac && sameRemote;
}

function tableOf({ link, own }: NeighbourState): LinkState {
  return own ? link : (link.master ?? link);
}

/** Permanent ones go too: with the link's state, with IPv6 on it, and when its MAC changes (neigh_changeaddr). */
export function forgetNeighbours(link: LinkState, family?: Family): void {
  const { home } = link;
  home.neighbours = home.neighbours.filter(
    (n) => n.link !== link || n.family === 'bridge' || (family !== undefined && n.family !== family),
  );
}
