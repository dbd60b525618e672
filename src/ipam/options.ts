/** The keys of IPAM options, Docker's where it has one, and what pools make of them. */
import { invalid } from '../errors.ts';
import { type Family, lastOf, type Prefix, parseAddress, parseCidr } from '../ip.ts';
import { max, min } from './bigint.ts';
import type { Range } from './ranges.ts';

/** An address option: what the address is for. */
export const REQUEST_ADDRESS_TYPE = 'RequestAddressType';
/** The address is a network's gateway; also the key under which a pool's `meta` may name one. */
export const GATEWAY = 'com.docker.network.gateway';
/** The address is an auxiliary address of a network. */
export const AUXILIARY_ADDRESS = 'com.docker.network.auxiliary';
/** An address or pool option: exactly `true` gives addresses one after the other instead of the lowest free one. */
export const SERIAL = 'com.docker.network.ipam.serial';
/** An address option: the MAC address of the interface. */
export const MAC_ADDRESS = 'com.docker.network.endpoint.macaddress';
/** An address or pool option: exactly `true` makes IPv6 addresses of MAC addresses, in pools of up to a /80. */
export const IPV6_FROM_MAC = 'com.docker.network.ipam.ipv6-from-mac';
/**
 * A pool option: addresses that are given only to who asks for them. A list, separated by commas, of addresses,
 * prefixes and ranges: `10.9.0.5, 10.9.0.32/28, 10.9.0.100-10.9.0.120`. Those outside the pool are left out, so
 * that one list can serve all pools of a network.
 */
export const RESERVED = 'com.docker.network.ipam.reserved';
/** A pool option: milliseconds during which a released address is not given again. */
export const REUSE_DELAY = 'com.docker.network.ipam.reuse-delay';

export type Options = Readonly<Record<string, string>>;

/** The options that change how a pool gives out addresses; they are kept with it. */
export function poolOptions(options: Options = {}): Options {
  const kept = [SERIAL, IPV6_FROM_MAC, RESERVED, REUSE_DELAY];
  return Object.fromEntries(Object.entries(options).filter(([key]) => kept.includes(key)));
}

/** The quiet time of a pool in milliseconds. @throws INVALID_ARGUMENT */
export function reuseDelay(options: Options, otherwise: number): number {
  const text = options[REUSE_DELAY];
  if (text === undefined) return otherwise;
  const delay = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(delay))
    throw invalid(`ipam.options["${REUSE_DELAY}"]`, text, 'must be a number of milliseconds');
  return delay;
}

/** The reserved addresses of a pool, as ordinals in it. @throws INVALID_ARGUMENT */
export function reservedRanges(options: Options, pool: Prefix): Range[] {
  const text = options[RESERVED]?.trim() ?? '';
  if (text === '') return [];
  return text.split(',').flatMap((item) => {
    const { family, first, last } = parseRange(item.trim());
    const [from, to] = [max(first, pool.value), min(last, lastOf(pool).value)];
    return family === pool.family && from <= to ? [[from - pool.value, to - pool.value] as const] : [];
  });
}

/** The first and last address of `a`, `a/length` or `a-b`. */
function parseRange(item: string): {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
} {
  const prefix = parseCidr(item)?.prefix;
  if (prefix) return { family: prefix.family, first: prefix.value, last: lastOf(prefix).value };
  const [from, to = from, ...more] = item.split('-').map((part) => parseAddress(part.trim()));
  if (!from || !to || more.length > 0 || from.family !== to.family || from.value > to.value)
    throw invalid(
      `ipam.options["${RESERVED}"]`,
      item,
      'must be an address, a prefix, or two addresses in order',
    );
  return { family: from.family, first: from.value, last: to.value };
}
