import { isIP } from 'node:net';

/** The two address families; every operation runs over both by one code path (design rule 9). */
export type Family = 'ipv4' | 'ipv6';
export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** An address as a number of its family: 32 or 128 bits. */
export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** A prefix: the network address (host bits zero) and its length in bits. */
export interface Prefix {
  readonly family: Family;
  readonly value: bigint;
  readonly length: number;
}

/** An address with the length of its network's prefix: `10.9.0.5/24`. */
export interface InterfaceAddress {
  readonly address: Address;
  readonly prefix: Prefix;
}

export function bits(family: Family): 32 | 128 {
  return family === 'ipv4' ? 32 : 128;
}

/** The family of an address's text, or `undefined` where it is none. Zone ids are refused. */
export function familyOf(text: string): Family | undefined {
  if (text.includes('%')) return undefined;
  const version = isIP(text);
  return version === 4 ? 'ipv4' : version === 6 ? 'ipv6' : undefined;
}

/** Parses an address; `undefined` for anything else. IPv4-mapped IPv6 stays IPv6. */
export function parseAddress(text: string): Address | undefined {
  const family = familyOf(text);
  if (family === undefined) return undefined;
  return { family, value: family === 'ipv4' ? parse4(text) : parse6(text) };
}

/** Parses `address/length`, keeping the host bits; `undefined` for anything else. */
export function parseCidr(text: string): InterfaceAddress | undefined {
  const slash = text.indexOf('/');
  const address = slash < 0 ? undefined : parseAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  if (length > bits(address.family)) return undefined;
  return { address, prefix: prefixOf(address, length) };
}

/** Prefixes by text: a machine has the same few thousand routes and pools, and each new network asks for all of them. */
const parsed = new Map<string, Prefix>();
const MOST_PARSED = 4096;

/** Parses a prefix; `undefined` when it is none or has host bits set. */
export function parsePrefix(text: string): Prefix | undefined {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const cidr = parseCidr(text);
  if (cidr === undefined || cidr.address.value !== cidr.prefix.value) return undefined;
  if (parsed.size >= MOST_PARSED) parsed.clear();
  parsed.set(text, Object.freeze(cidr.prefix));
  return cidr.prefix;
}

/** The prefix of the given length that holds the address. */
export function prefixOf(address: Address, length: number): Prefix {
  const shift = BigInt(bits(address.family) - length);
  return { family: address.family, value: (address.value >> shift) << shift, length };
}

export function formatAddress(address: Address): string {
  return address.family === 'ipv4' ? format4(address.value) : format6(address.value);
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix)}/${prefix.length}`;
}

export function formatCidr(cidr: InterfaceAddress): string {
  return `${formatAddress(cidr.address)}/${cidr.prefix.length}`;
}

/** The number of addresses in a prefix. */
export function sizeOf(prefix: Prefix): bigint {
  return 1n << BigInt(bits(prefix.family) - prefix.length);
}

/** The last address of a prefix: the broadcast address of an IPv4 network. */
export function lastOf(prefix: Prefix): Address {
  return { family: prefix.family, value: prefix.value + sizeOf(prefix) - 1n };
}

/** True when the prefix holds the address, or the whole of the other prefix. */
export function contains(prefix: Prefix, other: Address | Prefix): boolean {
  if (prefix.family !== other.family) return false;
  const shift = BigInt(bits(prefix.family) - prefix.length);
  return (
    prefix.value >> shift === other.value >> shift && (!('length' in other) || other.length >= prefix.length)
  );
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return contains(a, b) || contains(b, a);
}

/** The bytes of an address in network order: 4 or 16. */
export function toBytes(address: Address): Buffer {
  const size = bits(address.family) / 8;
  return Buffer.from(address.value.toString(16).padStart(size * 2, '0'), 'hex');
}

/** The address in 4 or 16 bytes of network order. */
export function fromBytes(bytes: Uint8Array): Address {
  const family = bytes.length === 4 ? 'ipv4' : 'ipv6';
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
  return { family, value: BigInt(`0x${hex || '0'}`) };
}

export function equal(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value;
}

/** The name under which DNS looks an address up in reverse: `5.0.9.10.in-addr.arpa`. */
export function reverseName(address: Address): string {
  if (address.family === 'ipv4') return `${[...toBytes(address)].reverse().join('.')}.in-addr.arpa`;
  return `${[...toBytes(address).toString('hex')].reverse().join('.')}.ip6.arpa`;
}

function parse4(text: string): bigint {
  let value = 0;
  for (const part of text.split('.')) value = value * 256 + Number(part);
  return BigInt(value);
}

function parse6(text: string): bigint {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const low = dotted?.[2] === undefined ? undefined : parse4(dotted[2]);
  const plain =
    low === undefined ? text : `${dotted?.[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  const [head = '', tail] = plain.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : new Array<string>(8 - before.length - after.length).fill('0');
  return BigInt(`0x${[...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join('')}`);
}

function format4(value: bigint): string {
  const n = Number(value);
  return `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
}

/** The canonical text of RFC 5952. */
function format6(value: bigint): string {
  if (value >> 32n === 0xffffn) return `::ffff:${format4(value & 0xffffffffn)}`;
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  );
  const run = longestZeroRun(groups);
  if (run.length < 2) return groups.join(':');
  return `${groups.slice(0, run.start).join(':')}::${groups.slice(run.start + run.length).join(':')}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  return best;
}
