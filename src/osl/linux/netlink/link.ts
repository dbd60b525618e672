import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import type { Link, LinkKind, LinkStatistics } from '../../osl.ts';
import { eachAttribute, readNumber, readString, requireLength, Writer } from './attributes.ts';
import { type BridgeOptions, hasBridgeOptions, writeBridgeOptions } from './bridge.ts';
import type { NetlinkRequest } from './message.ts';
import { readVxlanId, type VxlanInfo, writeVxlan } from './vxlan.ts';

/** linux/rtnetlink.h, linux/if_link.h, linux/if.h */
export const RTM_NEWLINK = MessageType.NEWLINK;
export const RTM_DELLINK = MessageType.DELLINK;
export const RTM_GETLINK = MessageType.GETLINK;
export const RTM_SETLINK = MessageType.SETLINK;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_PROTINFO = 12;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_STATS64 = 23;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_BRPORT_MODE = 4;
const VETH_INFO_PEER = 1;
const IFLA_VLAN_ID = 1;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_LOWER_UP = 0x10000;
const AF_BRIDGE = 7;
const HEADER = 16;

/** What an interface can be given at birth or later; numbers where the contract has names. */
export interface LinkFields {
  /** The index that a new link shall have; default: the kernel's next. */
  readonly index?: number | undefined;
  readonly name?: string | undefined;
  readonly macAddress?: Uint8Array | undefined;
  readonly mtu?: number | undefined;
  /** The index of the bridge; 0 leaves it. */
  readonly master?: number | undefined;
  readonly up?: boolean | undefined;
  readonly alias?: string | undefined;
  readonly group?: number | undefined;
  /** A descriptor of the namespace to be born in or to move to. */
  readonly namespaceFd?: number | undefined;
}

/** The kind of a new link with its own data, by index and bytes. */
export type LinkInfo =
  | ({ readonly kind: 'bridge' } & BridgeOptions)
  | { readonly kind: 'dummy' | 'ifb' }
  | { readonly kind: 'veth'; readonly peer: LinkFields }
  | { readonly kind: 'vlan'; readonly parent: number; readonly id: number }
  | { readonly kind: 'macvlan'; readonly parent: number; readonly mode: number }
  | { readonly kind: 'ipvlan'; readonly parent: number; readonly mode: number; readonly flag: number }
  | VxlanInfo;

export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
export const IPVLAN_FLAGS = { bridge: 0, private: 1, vepa: 2 } as const;

/** The payload of RTM_NEWLINK that makes a link. */
export function encodeNewLink(fields: LinkFields, info: LinkInfo): Buffer {
  const writer = new Writer();
  writeFields(writer, fields.index ?? 0, fields);
  if (info.kind === 'veth') writeSingleQueues(writer);
  if ('parent' in info && info.kind !== 'vxlan') writer.attrU32(IFLA_LINK, info.parent);
  writer.nest(IFLA_LINKINFO, (w) => {
    w.attrString(IFLA_INFO_KIND, info.kind);
    if (hasData(info)) w.nest(IFLA_INFO_DATA, () => writeData(w, info));
  });
  return writer.finish();
}

/**
 * The payload of RTM_SETLINK. By index, or by `fields.name` when the index is 0; with an index, a name renames.
 */
export function encodeSetLink(index: number, fields: LinkFields): Buffer {
  const writer = new Writer(128);
  writeFields(writer, index, fields);
  return writer.finish();
}

/** The payload of RTM_SETLINK that sets a bridge port's hairpin mode. */
export function encodeHairpin(index: number, on: boolean): Buffer {
  const writer = new Writer(64);
  writeHeader(writer, AF_BRIDGE, index, 0, 0);
  writer.nest(IFLA_PROTINFO, (w) => w.attrU8(IFLA_BRPORT_MODE, on ? 1 : 0), true);
  return writer.finish();
}

/** The payload of RTM_DELLINK, by name or by group. */
export function encodeDeleteLink(which: { readonly name: string } | { readonly group: number }): Buffer {
  const writer = new Writer(64);
  writeHeader(writer, 0, 0, 0, 0);
  if ('name' in which) writer.attrString(IFLA_IFNAME, which.name);
  else writer.attrU32(IFLA_GROUP, which.group);
  return writer.finish();
}

/** The payload of RTM_GETLINK: by name, by index, or of a dump. Without `statistics` answers are much shorter. */
export function encodeGetLink(
  which: { readonly name?: string; readonly index?: number },
  statistics: boolean,
): Buffer {
  const writer = new Writer(64);
  writeHeader(writer, 0, which.index ?? 0, 0, 0);
  if (which.name !== undefined) writer.attrString(IFLA_IFNAME, which.name);
  if (!statistics) writer.attrU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  return writer.finish();
}

/** Asks for one link, without its statistics. */
export function askForLink(which: Parameters<typeof encodeGetLink>[0], operation: string): NetlinkRequest {
  return { type: RTM_GETLINK, flags: 0, payload: encodeGetLink(which, false), operation };
}

/** A link as the kernel tells it: its master by index. */
export interface RawLink extends Omit<Link, 'master'> {
  readonly master: number | undefined;
}

/** Only where a link is: its index, and the bridge it is a port of. @throws INTERNAL for what is no link message */
export function decodePlace(data: Buffer): Pick<RawLink, 'index' | 'master'> {
  requireLength(data, HEADER);
  let master: number | undefined;
  eachAttribute(data, HEADER, data.length, (type, start, end) => {
    if (type === IFLA_MASTER) master = readNumber(data, start, end);
  });
  return { index: data.readInt32LE(4), master };
}

/** Decodes RTM_NEWLINK. @throws INTERNAL for what is no link message */
export function decodeLink(data: Buffer): RawLink {
  requireLength(data, HEADER);
  const flags = data.readUInt32LE(8);
  let name = '';
  let kind: string | undefined;
  let info: readonly [start: number, end: number] | undefined;
  let mtu = 0;
  let macAddress: string | undefined;
  let alias: string | undefined;
  let master: number | undefined;
  let peerIndex: number | undefined;
  let group = 0;
  let statistics = NO_STATISTICS;
  eachAttribute(data, HEADER, data.length, (type, start, end) => {
    if (type === IFLA_IFNAME) name = readString(data, start, end);
    else if (type === IFLA_MTU) mtu = readNumber(data, start, end);
    else if (type === IFLA_ADDRESS) macAddress = readMac(data, start, end);
    else if (type === IFLA_IFALIAS) alias = readString(data, start, end);
    else if (type === IFLA_MASTER) master = readNumber(data, start, end);
    else if (type === IFLA_LINK) peerIndex = readNumber(data, start, end);
    else if (type === IFLA_GROUP) group = readNumber(data, start, end);
    else if (type === IFLA_STATS64) statistics = readStatistics(data, start, end);
    else if (type === IFLA_LINKINFO)
      eachAttribute(data, start, end, (inner, from, to) => {
        if (inner === IFLA_INFO_KIND) kind = readString(data, from, to);
        else if (inner === IFLA_INFO_DATA) info = [from, to];
      });
  });
  const loopback = (flags & IFF_LOOPBACK) !== 0;
  return {
    index: data.readInt32LE(4),
    name,
    kind: loopback ? 'loopback' : linkKind(kind),
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_UP) !== 0 && (flags & IFF_LOWER_UP) !== 0,
    mtu,
    macAddress,
    alias,
    master,
    peerIndex,
    id: info && readId(kind, data, ...info),
    group,
    statistics,
  };
}

function writeHeader(writer: Writer, family: number, index: number, flags: number, change: number): void {
  writer.u8(family).u8(0).u16(0).u32(index).u32(flags).u32(change);
}

function writeFields(writer: Writer, index: number, fields: LinkFields): void {
  writeHeader(writer, 0, index, fields.up === true ? IFF_UP : 0, fields.up === undefined ? 0 : IFF_UP);
  if (fields.name !== undefined) writer.attrString(IFLA_IFNAME, fields.name);
  if (fields.macAddress !== undefined) writer.attrBytes(IFLA_ADDRESS, fields.macAddress);
  if (fields.mtu !== undefined) writer.attrU32(IFLA_MTU, fields.mtu);
  if (fields.master !== undefined) writer.attrU32(IFLA_MASTER, fields.master);
  if (fields.group !== undefined) writer.attrU32(IFLA_GROUP, fields.group);
  if (fields.alias !== undefined) writer.attrBytes(IFLA_IFALIAS, Buffer.from(fields.alias));
  if (fields.namespaceFd !== undefined) writer.attrU32(IFLA_NET_NS_FD, fields.namespaceFd);
}

/**
 * One queue each way, which is what a veth uses in any case: not told so, the kernel makes as many as there are
 * processors and puts them out of use again, one grace period for each end (`veth_init_queues` of
 * drivers/net/veth.c): a third of what the pair costs.
 */
function writeSingleQueues(writer: Writer): void {
  writer.attrU32(IFLA_NUM_TX_QUEUES, 1).attrU32(IFLA_NUM_RX_QUEUES, 1);
}

type InfoWithData = Exclude<LinkInfo, { kind: 'dummy' | 'ifb' }>;

function hasData(info: LinkInfo): info is InfoWithData {
  if (info.kind === 'bridge') return hasBridgeOptions(info);
  return info.kind !== 'dummy' && info.kind !== 'ifb';
}

/** IFLA_INFO_DATA: each kind numbers its attributes for itself (linux/if_link.h, linux/veth.h). */
function writeData(writer: Writer, info: InfoWithData): void {
  switch (info.kind) {
    case 'bridge':
      writeBridgeOptions(writer, info);
      return;
    case 'veth':
      writer.nest(VETH_INFO_PEER, () => {
        writeFields(writer, info.peer.index ?? 0, info.peer);
        writeSingleQueues(writer);
      });
      return;
    case 'vlan':
      writer.attrU16(IFLA_VLAN_ID, info.id);
      return;
    case 'macvlan':
      writer.attrU32(1, info.mode);
      return;
    case 'ipvlan':
      writer.attrU16(1, info.mode).attrU16(2, info.flag);
      return;
    case 'vxlan':
      writeVxlan(writer, info);
  }
}

/** The number of a vlan or vxlan. */
function readId(kind: string | undefined, data: Buffer, start: number, end: number): number | undefined {
  if (kind === 'vxlan') return readVxlanId(data, start, end);
  if (kind !== 'vlan') return undefined;
  let id: number | undefined;
  eachAttribute(data, start, end, (type, from, to) => {
    if (type === IFLA_VLAN_ID) id = readNumber(data, from, to);
  });
  return id;
}

const KINDS: ReadonlySet<string> = new Set<LinkKind>([
  'veth',
  'bridge',
  'vxlan',
  'macvlan',
  'ipvlan',
  'vlan',
  'dummy',
  'ifb',
]);

function linkKind(kind: string | undefined): LinkKind {
  return kind !== undefined && KINDS.has(kind) ? (kind as LinkKind) : 'other';
}

/** Ethernet addresses only; `lo` has one of zeros. */
function readMac(data: Buffer, start: number, end: number): string | undefined {
  return end - start === 6 ? formatMac(data.subarray(start, end)) : undefined;
}

/** Six hex pairs in lower case. */
export function formatMac(bytes: Buffer): string {
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

const NO_STATISTICS: LinkStatistics = {
  rxBytes: 0,
  txBytes: 0,
  rxPackets: 0,
  txPackets: 0,
  rxErrors: 0,
  txErrors: 0,
  rxDropped: 0,
  txDropped: 0,
};

function readStatistics(data: Buffer, start: number, end: number): LinkStatistics {
  if (end - start < 64) return NO_STATISTICS;
  const at = (index: number) => Number(data.readBigUInt64LE(start + 8 * index));
  return {
    rxPackets: at(0),
    txPackets: at(1),
    rxBytes: at(2),
    txBytes: at(3),
    rxErrors: at(4),
    txErrors: at(5),
    rxDropped: at(6),
    txDropped: at(7),
  };
}
