import {
  MessageType,
  RouteProtocol,
  RouteScope,
  RouteType,
  RoutingTableClass,
} from 'netlink/dist/rt/gen_structs.js';
import {
  type Address,
  type Family,
  formatAddress,
  formatPrefix,
  fromBytes,
  type Prefix,
  toBytes,
} from '../../../ip.ts';
import { familyName, familyNumber, type Scope, scopeName } from './address.ts';
import { eachAttribute, readNumber, requireLength, Writer } from './attributes.ts';
import { align } from './message.ts';

/** linux/rtnetlink.h */
export const RTM_NEWROUTE = MessageType.NEWROUTE;
export const RTM_DELROUTE = MessageType.DELROUTE;
export const RTM_GETROUTE = MessageType.GETROUTE;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RT_TABLE_UNSPEC = 0;
const RT_TABLE_MAIN = RoutingTableClass.MAIN;
const RTPROT_BOOT = RouteProtocol.BOOT;
const RTN_UNICAST = RouteType.UNICAST;
const RTM_F_CLONED = 0x200;
const SCOPE_LINK = RouteScope.LINK;
const SCOPE_ANY = RouteScope.NOWHERE;
const HEADER = 12;

export interface RouteFields {
  readonly family: Family;
  /** `undefined` for the default route. */
  readonly destination: Prefix | undefined;
  readonly gateway?: Address | undefined;
  readonly index?: number | undefined;
  readonly scope?: 'global' | 'link' | undefined;
  readonly metric?: number | undefined;
  /** Default: the main table. */
  readonly table?: number | undefined;
}

/** The payload of RTM_NEWROUTE. Without a gateway the scope is the link, as `ip route` has it. */
export function encodeNewRoute(route: RouteFields): Buffer {
  const onLink = route.scope === undefined ? route.gateway === undefined : route.scope === 'link';
  return encode(route, RTPROT_BOOT, onLink && route.family === 'ipv4' ? SCOPE_LINK : 0, RTN_UNICAST);
}

/** The payload of RTM_DELROUTE: what is not named matches anything. */
export function encodeDeleteRoute(route: RouteFields): Buffer {
  const scope = route.scope === undefined ? SCOPE_ANY : route.scope === 'link' ? SCOPE_LINK : 0;
  return encode(route, 0, route.family === 'ipv4' ? scope : 0, 0);
}

function encode(route: RouteFields, protocol: number, scope: number, type: number): Buffer {
  const { table = RT_TABLE_MAIN } = route;
  // Numbers beyond a byte are in the attribute alone.
  const headerTable = table < 256 ? table : RT_TABLE_UNSPEC;
  const writer = new Writer(96);
  writer.u8(familyNumber(route.family)).u8(route.destination?.length ?? 0);
  writer.u8(0).u8(0).u8(headerTable).u8(protocol).u8(scope).u8(type).u32(0);
  if (route.destination && route.destination.length > 0)
    writer.attrBytes(RTA_DST, toBytes(route.destination));
  if (route.gateway) writer.attrBytes(RTA_GATEWAY, toBytes(route.gateway));
  if (route.index !== undefined) writer.attrU32(RTA_OIF, route.index);
  if (route.metric !== undefined) writer.attrU32(RTA_PRIORITY, route.metric);
  if (table !== headerTable) writer.attrU32(RTA_TABLE, table);
  return writer.finish();
}

/** The payload of an RTM_GETROUTE dump of the main table. */
export function encodeGetRoutes(family: Family): Buffer {
  const writer = new Writer(HEADER + 8);
  writer.u8(familyNumber(family)).u8(0).u8(0).u8(0).u8(0).u8(0).u8(0).u8(0).u32(0);
  return writer.attrU32(RTA_TABLE, RT_TABLE_MAIN).finish();
}

export interface RawRoute {
  readonly family: Family;
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly index: number | undefined;
  readonly scope: Scope;
  readonly metric: number;
}

/** Decodes RTM_NEWROUTE: one route per next hop, none for other tables and families and for cached ones. */
export function decodeRoutes(data: Buffer): RawRoute[] {
  requireLength(data, HEADER);
  const family = familyName(data.readUInt8(0));
  let table = data.readUInt8(4);
  if (!family || (data.readUInt32LE(8) & RTM_F_CLONED) !== 0) return [];
  let target: Address | undefined;
  let metric = 0;
  let hop: Hop = { gateway: undefined, index: undefined };
  let hops: Hop[] = [];
  eachAttribute(data, HEADER, data.length, (type, start, end) => {
    if (type === RTA_TABLE) table = readNumber(data, start, end);
    else if (type === RTA_DST) target = fromBytes(data.subarray(start, end));
    else if (type === RTA_GATEWAY) hop = { ...hop, gateway: readAddress(data, start, end) };
    else if (type === RTA_OIF) hop = { ...hop, index: readNumber(data, start, end) };
    else if (type === RTA_PRIORITY) metric = readNumber(data, start, end);
    else if (type === RTA_MULTIPATH) hops = decodeHops(data, start, end);
  });
  if (table !== RT_TABLE_MAIN) return [];
  const length = data.readUInt8(1);
  const destination = target && length > 0 ? formatPrefix({ ...target, length }) : 'default';
  const scope = scopeName(data.readUInt8(6));
  return (hops.length > 0 ? hops : [hop]).map((each) => ({ family, destination, scope, metric, ...each }));
}

interface Hop {
  readonly gateway: string | undefined;
  readonly index: number | undefined;
}

/** `struct rtnexthop`: u16 length, u8 flags, u8 hops, u32 interface, then attributes. */
function decodeHops(data: Buffer, start: number, end: number): Hop[] {
  const hops: Hop[] = [];
  for (let at = start; at + 8 <= end; ) {
    const length = data.readUInt16LE(at);
    if (length < 8 || at + length > end) break;
    let gateway: string | undefined;
    eachAttribute(data, at + 8, at + length, (type, from, to) => {
      if (type === RTA_GATEWAY) gateway = readAddress(data, from, to);
    });
    hops.push({ gateway, index: data.readUInt32LE(at + 4) });
    at += align(length);
  }
  return hops;
}

function readAddress(data: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  return length === 4 || length === 16 ? formatAddress(fromBytes(data.subarray(start, end))) : undefined;
}
