import { type Address, type Family, fromBytes, type Prefix, toBytes } from '../../../ip.ts';
import { familyNumber } from './address.ts';
import { requireLength, type Writer } from './attributes.ts';

/** What states and policies of IPsec share (linux/xfrm.h). Every address has room for 16 bytes. */

export const XFRMA_TMPL = 5;
export const XFRMA_ALG_AEAD = 18;
export const XFRMA_MARK = 21;
export const XFRMA_REPLAY_ESN_VAL = 23;
export const IPPROTO_ESP = 50;
export const MODES = { transport: 0, tunnel: 1 } as const;

export type XfrmMode = keyof typeof MODES;

/** Packets that carry a mark in the bits of a mask. */
export interface XfrmMark {
  readonly value: number;
  readonly mask: number;
}

/** Which packets: those that everything named is true of. */
export interface XfrmSelector {
  readonly source: Prefix;
  readonly destination: Prefix;
  /** An IP protocol number; default: all. */
  readonly protocol?: number | undefined;
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
}

export const SELECTOR_SIZE = 56;
const ADDRESS_SIZE = 16;

export function writeAddress(writer: Writer, address: Address): void {
  const bytes = toBytes(address);
  writer.bytes(bytes).bytes(Buffer.alloc(ADDRESS_SIZE - bytes.length));
}

export function readAddress(data: Buffer, at: number, family: Family): Address {
  return fromBytes(data.subarray(at, at + (family === 'ipv4' ? 4 : ADDRESS_SIZE)));
}

export function writeU16BE(writer: Writer, value: number): void {
  writer.u8(value >> 8).u8(value & 0xff);
}

export function writeU32BE(writer: Writer, value: number): void {
  writeU16BE(writer, value >>> 16);
  writeU16BE(writer, value & 0xffff);
}

/** `struct xfrm_selector`; without one, that of all packets of a family. */
export function writeSelector(writer: Writer, family: Family, selector?: XfrmSelector): void {
  if (!selector) {
    writer.bytes(Buffer.alloc(40)).u16(familyNumber(family)).bytes(Buffer.alloc(14));
    return;
  }
  const { source, destination, sourcePort, destinationPort } = selector;
  writeAddress(writer, destination);
  writeAddress(writer, source);
  for (const port of [destinationPort, sourcePort]) {
    writeU16BE(writer, port ?? 0);
    writeU16BE(writer, port === undefined ? 0 : 0xffff);
  }
  writer.u16(familyNumber(family)).u8(destination.length).u8(source.length);
  writer
    .u8(selector.protocol ?? 0)
    .u8(0)
    .u16(0)
    .u32(0)
    .u32(0);
}

export function readSelector(data: Buffer, at: number, family: Family): XfrmSelector {
  requireLength(data, at + SELECTOR_SIZE);
  const port = (offset: number) =>
    data.readUInt16BE(at + offset + 2) === 0 ? undefined : data.readUInt16BE(at + offset);
  return {
    destination: { ...readAddress(data, at, family), length: data.readUInt8(at + 42) },
    source: { ...readAddress(data, at + 16, family), length: data.readUInt8(at + 43) },
    protocol: data.readUInt8(at + 44) || undefined,
    destinationPort: port(32),
    sourcePort: port(36),
  };
}

/** `struct xfrm_lifetime_cfg` without limits, and `struct xfrm_lifetime_cur` of nothing yet. */
export function writeLifetimes(writer: Writer): void {
  writer.bytes(Buffer.alloc(32, 0xff)).bytes(Buffer.alloc(32 + 32));
}

/** `struct xfrm_mark`. */
export function writeMark(writer: Writer, mark: XfrmMark): void {
  writer.nest(XFRMA_MARK, (w) => w.u32(mark.value).u32(mark.mask));
}

export function readMark(data: Buffer, start: number, end: number): XfrmMark | undefined {
  if (end - start !== 8) return undefined;
  return { value: data.readUInt32LE(start), mask: data.readUInt32LE(start + 4) };
}

export function modeName(number: number): XfrmMode | undefined {
  return (Object.keys(MODES) as XfrmMode[]).find((name) => MODES[name] === number);
}
