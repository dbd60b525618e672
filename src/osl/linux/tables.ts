import { LibnetworkError } from '../../errors.ts';
import { FAMILIES, type Family } from '../../ip.ts';
import type { Link, LinkAddress, Neighbour, Route } from '../osl.ts';
import { decodeAddress, encodeGetAddresses, RTM_GETADDR } from './netlink/address.ts';
import { decodeLink, encodeGetLink, type RawLink, RTM_GETLINK } from './netlink/link.ts';
import type { NetlinkRequest } from './netlink/message.ts';
import { decodeNeighbour, encodeGetNeighbours, RTM_GETNEIGH } from './netlink/neighbour.ts';
import { decodeRoutes, encodeGetRoutes, type RawRoute, RTM_GETROUTE } from './netlink/route.ts';
import type { NetlinkSocket, RequestOptions } from './netlink/socket.ts';
import { requireLinkName } from './values.ts';

/** The kernel's tables of one namespace, read through its socket, with names in place of indexes. */

export async function readLinks(socket: NetlinkSocket): Promise<readonly Link[]> {
  const raw = await dumpLinks(socket, true);
  const names = new Map(raw.map((link) => [link.index, link.name]));
  return raw.map((link) => withMaster(link, names));
}

/** All links, with masters by index; without `statistics` much less is copied. */
export async function dumpLinks(
  socket: NetlinkSocket,
  statistics: boolean,
  options?: RequestOptions,
): Promise<readonly RawLink[]> {
  const all = request(RTM_GETLINK, encodeGetLink({}, statistics), 'list links');
  const payloads = await socket.dump(all, options);
  return payloads.map(decodeLink);
}

export async function readLink(socket: NetlinkSocket, name: string): Promise<Link | undefined> {
  requireLinkName(name, 'name');
  const link = await find(socket, { name }, true);
  if (link?.master === undefined) return link && withMaster(link, new Map());
  const master = await find(socket, { index: link.master }, false);
  return withMaster(link, new Map(master ? [[master.index, master.name]] : []));
}

/** The index of a link. @throws NOT_FOUND with `errno` ENODEV */
export async function indexOf(socket: NetlinkSocket, name: string): Promise<number> {
  requireLinkName(name, 'link');
  const link = await find(socket, { name }, false);
  if (link) return link.index;
  throw new LibnetworkError('NOT_FOUND', `there is no link ${name}: ENODEV`, {
    operation: 'find a link',
    errno: 'ENODEV',
  });
}

export async function readAddresses(socket: NetlinkSocket, link?: string): Promise<readonly LinkAddress[]> {
  const index = link === undefined ? 0 : await indexOf(socket, link);
  const payloads = await socket.dump(request(RTM_GETADDR, encodeGetAddresses(index), 'list addresses'));
  const names = await namesOf(socket, link, index);
  return payloads.flatMap((payload) => {
    const found = decodeAddress(payload);
    const name = found && names.get(found.index);
    if (!found || name === undefined) return [];
    return { link: name, family: found.family, address: found.address, scope: found.scope };
  });
}

export async function readRoutes(socket: NetlinkSocket, family?: Family): Promise<readonly Route[]> {
  const routes = await dumpRoutes(socket, family === undefined ? FAMILIES : [family]);
  const names = await namesOf(socket, undefined, 0);
  return routes.map(({ index, ...route }) => ({
    ...route,
    link: index === undefined ? undefined : names.get(index),
  }));
}

/** The routes of the main table, with links by index. */
export async function dumpRoutes(
  socket: NetlinkSocket,
  families: readonly Family[],
): Promise<readonly RawRoute[]> {
  const dumps = await Promise.all(
    families.map((each) =>
      socket.dump(request(RTM_GETROUTE, encodeGetRoutes(each), 'list routes')).catch(noTable),
    ),
  );
  return dumps.flat().flatMap(decodeRoutes);
}

/** A young namespace has no main table yet, which is to say no routes (fib_trie: "FIB table does not exist"). */
function noTable(error: unknown): readonly Buffer[] {
  if (LibnetworkError.is(error) && error.errno === 'ENOENT') return [];
  throw error;
}

export async function readNeighbours(socket: NetlinkSocket, link?: string): Promise<readonly Neighbour[]> {
  const index = link === undefined ? 0 : await indexOf(socket, link);
  const dumps = await Promise.all(
    (['addresses', 'bridge'] as const).map((table) =>
      socket.dump(request(RTM_GETNEIGH, encodeGetNeighbours(table, index), 'list neighbours')),
    ),
  );
  const names = await namesOf(socket, link, index);
  // A bridge that knows VLANs has an entry for each VLAN of the port.
  const known = new Set<string>();
  return dumps.flat().flatMap((payload) => {
    const found = decodeNeighbour(payload);
    const name = found && names.get(found.index);
    if (!found || name === undefined) return [];
    const { family, address, macAddress, permanent } = found;
    const key = `${name} ${family} ${address} ${macAddress}`;
    if (family === 'bridge' && known.has(key)) return [];
    known.add(key);
    return { link: name, family, address, macAddress, permanent };
  });
}

async function find(
  socket: NetlinkSocket,
  which: { readonly name: string } | { readonly index: number },
  statistics: boolean,
): Promise<RawLink | undefined> {
  const [reply] = await socket.request([
    request(RTM_GETLINK, encodeGetLink(which, statistics), 'find a link'),
  ]);
  if (reply?.error?.errno === 'ENODEV') return undefined;
  if (reply?.error) throw reply.error;
  const payload = reply?.payloads[0];
  return payload && decodeLink(payload);
}

async function namesOf(
  socket: NetlinkSocket,
  link: string | undefined,
  index: number,
): Promise<ReadonlyMap<number, string>> {
  if (link !== undefined) return new Map([[index, link]]);
  return new Map((await dumpLinks(socket, false)).map((each) => [each.index, each.name]));
}

function withMaster(link: RawLink, names: ReadonlyMap<number, string>): Link {
  return { ...link, master: link.master === undefined ? undefined : names.get(link.master) };
}

function request(type: number, payload: Buffer, operation: string): NetlinkRequest {
  return { type, flags: 0, payload, operation };
}
