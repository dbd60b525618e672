import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import { type Address, type Family, formatAddress, fromBytes, toBytes } from '../../../ip.ts';
import { AF_BRIDGE } from '../constants.ts';
import { familyName, familyNumber } from './address.ts';
import { eachAttribute, requireLength, Writer } from './attributes.ts';
import { formatMac } from './link.ts';

/** linux/rtnetlink.h, linux/neighbour.h */
export const RTM_NEWNEIGH = MessageType.NEWNEIGH;
export const RTM_DELNEIGH = MessageType.DELNEIGH;
export const RTM_GETNEIGH = MessageType.GETNEIGH;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;
const NTF_SELF = 0x02;
const NTF_MASTER = 0x04;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const HEADER = 12;

export interface NeighbourFields {
  readonly index: number;
  readonly address: Address | undefined;
  readonly macAddress: Uint8Array;
  /** An entry of the link's own forwarding table (vxlan), or of the bridge that it is a port of. */
  readonly fdb: 'self' | 'master' | undefined;
}

/** The payload of RTM_NEWNEIGH and RTM_DELNEIGH: a permanent entry. */
export function encodeNeighbour(fields: NeighbourFields): Buffer {
  const family = fields.fdb ? AF_BRIDGE : familyNumber(fields.address?.family ?? 'ipv4');
  const flags = fields.fdb === 'self' ? NTF_SELF : fields.fdb === 'master' ? NTF_MASTER : 0;
  const writer = new Writer(64);
  writer.u8(family).u8(0).u16(0).u32(fields.index).u16(NUD_PERMANENT).u8(flags).u8(0);
  if (fields.address) writer.attrBytes(NDA_DST, toBytes(fields.address));
  return writer.attrBytes(NDA_LLADDR, fields.macAddress).finish();
}

/** The payload of an RTM_GETNEIGH dump, of addresses or of forwarding tables; index 0 asks for all links. */
export function encodeGetNeighbours(table: 'addresses' | 'bridge', index: number): Buffer {
  const writer = new Writer(HEADER + 8);
  writer
    .u8(table === 'bridge' ? AF_BRIDGE : 0)
    .u8(0)
    .u16(0)
    .u32(0)
    .u32(0);
  if (index > 0) writer.attrU32(NDA_IFINDEX, index);
  return writer.finish();
}

export interface RawNeighbour {
  readonly index: number;
  readonly family: Family | 'bridge';
  readonly address: string | undefined;
  readonly macAddress: string | undefined;
  readonly permanent: boolean;
}

/** Decodes RTM_NEWNEIGH; `undefined` for other families and for what needs no resolving (multicast, loopback). */
export function decodeNeighbour(data: Buffer): RawNeighbour | undefined {
  requireLength(data, HEADER);
  const number = data.readUInt8(0);
  const family = number === AF_BRIDGE ? 'bridge' : familyName(number);
  const state = data.readUInt16LE(8);
  if (!family || (family !== 'bridge' && (state === 0 || (state & NUD_NOARP) !== 0))) return undefined;
  let address: string | undefined;
  let macAddress: string | undefined;
  eachAttribute(data, HEADER, data.length, (type, start, end) => {
    const length = end - start;
    if (type === NDA_DST && (length === 4 || length === 16))
      address = formatAddress(fromBytes(data.subarray(start, end)));
    else if (type === NDA_LLADDR && length === 6) macAddress = formatMac(data.subarray(start, end));
  });
  const permanent = (state & NUD_PERMANENT) !== 0;
  return { index: data.readUInt32LE(4), family, address, macAddress, permanent };
}
