/**
 * Values as the kernel compares them: in registers of four bytes, each part of a concatenation starting a new one.
 */
import { formatAddress, fromBytes, parseAddress, toBytes } from '../../../ip.ts';
import { type KeyType, PROTOCOL_NUMBERS } from '../../firewall/model.ts';
import { requireLength } from '../netlink/attributes.ts';

interface Type {
  /** How `nft` calls it, in NFTA_SET_KEY_TYPE; the kernel only keeps it. */
  readonly number: number;
  /** Bytes in registers: a multiple of four. */
  readonly size: number;
  readonly encode: (text: string) => Uint8Array;
  readonly decode: (bytes: Buffer) => string;
}

const protocols: Readonly<Record<string, number>> = PROTOCOL_NUMBERS;
const protocolNames = new Map(Object.entries(protocols).map(([name, number]) => [number, name]));

export const TYPES: Readonly<Record<KeyType, Type>> = {
  ipv4: { number: 7, size: 4, encode: encodeAddress, decode: (bytes) => decodeAddress(bytes.subarray(0, 4)) },
  ipv6: { number: 8, size: 16, encode: encodeAddress, decode: decodeAddress },
  protocol: {
    number: 12,
    size: 4,
    encode: (text) => Uint8Array.of(protocolNumber(text), 0, 0, 0),
    decode: (bytes) => protocolNames.get(bytes.readUInt8(0)) ?? String(bytes.readUInt8(0)),
  },
  port: {
    number: 13,
    size: 4,
    encode: (text) => Uint8Array.of(Number(text) >> 8, Number(text) & 0xff, 0, 0),
    decode: (bytes) => String(bytes.readUInt16BE(0)),
  },
  slot: {
    number: 4,
    size: 4,
    // Numbers that are drawn are in the machine's own order; Node runs on little-endian machines.
    encode: (text) => Uint8Array.of(...[0, 8, 16, 24].map((shift) => (Number(text) >> shift) & 0xff)),
    decode: (bytes) => String(bytes.readUInt32LE(0)),
  },
  ifname: {
    number: 41,
    size: 16,
    encode: encodeName,
    decode: (bytes) => bytes.toString('utf8').replace(/\0.*$/s, ''),
  },
};

const TYPE_BITS = 6;
const typeNames = new Map(Object.entries(TYPES).map(([name, { number }]) => [number, name as KeyType]));

export function protocolNumber(name: string): number {
  return protocols[name] ?? Number(name);
}

export function encodeName(name: string): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
}

export function encodeAddress(text: string): Uint8Array {
  const address = parseAddress(text);
  if (address === undefined) throw new TypeError(`not an address: ${text}`);
  return toBytes(address);
}

function decodeAddress(bytes: Buffer): string {
  return formatAddress(fromBytes(bytes));
}

export function sizeOf(types: readonly KeyType[]): number {
  return types.reduce((size, type) => size + TYPES[type].size, 0);
}

/** The number of a concatenation: six bits a type, the first in front. */
export function typeNumber(types: readonly KeyType[]): number {
  return types.reduce((number, type) => (number << TYPE_BITS) | TYPES[type].number, 0);
}

/** The types of a number; `undefined` when one of them is not ours. */
export function typesOf(number: number): KeyType[] | undefined {
  const types: KeyType[] = [];
  for (let rest = number; rest > 0; rest >>>= TYPE_BITS) {
    const type = typeNames.get(rest & ((1 << TYPE_BITS) - 1));
    if (type === undefined) return undefined;
    types.unshift(type);
  }
  return types;
}

export function encodeValue(types: readonly KeyType[], texts: readonly string[]): Buffer {
  const bytes = Buffer.alloc(sizeOf(types));
  let at = 0;
  for (const [index, type] of types.entries()) {
    bytes.set(TYPES[type].encode(texts[index] ?? ''), at);
    at += TYPES[type].size;
  }
  return bytes;
}

/** @throws INTERNAL for too few bytes */
export function decodeValue(types: readonly KeyType[], bytes: Buffer): string[] {
  requireLength(bytes, sizeOf(types));
  let at = 0;
  return types.map((type) => {
    const { size, decode } = TYPES[type];
    const part = bytes.subarray(at, at + size);
    at += size;
    return decode(part);
  });
}
