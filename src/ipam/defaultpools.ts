import { createHash } from 'node:crypto';
import { invalid, LibnetworkError } from '../errors.ts';
import {
  bits,
  contains,
  type Family,
  formatPrefix,
  lastOf,
  type Prefix,
  parseAddress,
  parseCidr,
  parsePrefix,
  prefixOf,
  sizeOf,
} from '../ip.ts';
import { min } from './bigint.ts';
import type { Excluded } from './ipam.ts';
import type { PrefixTree } from './prefixtree.ts';

/** A block that default pools are cut from, and the length in bits of each pool's prefix. */
export interface DefaultPool {
  readonly base: string;
  readonly size: number;
}

/** Upstream's 31 networks, and 4,096 more /24 for hosts that need them. */
export const LOCAL_DEFAULT_POOLS: readonly DefaultPool[] = [
  { base: '172.17.0.0/16', size: 16 },
  { base: '172.18.0.0/16', size: 16 },
  { base: '172.19.0.0/16', size: 16 },
  { base: '172.20.0.0/14', size: 16 },
  { base: '172.24.0.0/14', size: 16 },
  { base: '172.28.0.0/14', size: 16 },
  { base: '192.168.0.0/16', size: 20 },
  { base: '10.192.0.0/12', size: 24 },
];

/** 65,536 networks. */
export const GLOBAL_DEFAULT_POOLS: readonly DefaultPool[] = [{ base: '10.0.0.0/8', size: 24 }];

/** A block to cut default pools from, parsed. */
export interface Block {
  readonly base: Prefix;
  readonly length: number;
}

/** @throws INVALID_ARGUMENT naming the pool that is malformed */
export function parseDefaultPools(
  pools: readonly DefaultPool[],
  field = 'defaultAddressPools',
): readonly Block[] {
  return pools.map(({ base, size }, index) => {
    const prefix = parsePrefix(base);
    if (prefix === undefined)
      throw invalid(
        `${field}[${index}].base`,
        base,
        'must be a prefix without host bits, such as 10.200.0.0/16',
      );
    if (!Number.isInteger(size) || size < Math.max(1, prefix.length) || size > bits(prefix.family))
      throw invalid(
        `${field}[${index}].size`,
        size,
        `must be from ${prefix.length} to ${bits(prefix.family)}`,
      );
    return { base: prefix, length: size };
  });
}

/** The blocks that can be cut into prefixes of the given length. */
export function resized(blocks: readonly Block[], length: number): Block[] {
  return blocks.filter(({ base }) => base.length <= length).map(({ base }) => ({ base, length }));
}

/**
 * A unique local /48 for a host, cut into /64 pools: `fd`, then 40 bits of the SHA-256 of the host's id (RFC 4193).
 */
export function uniqueLocalBlock(hostId: string): Block {
  const hash = createHash('sha256').update(hostId).digest().readBigUInt64BE();
  const value = (0xfdn << 120n) | ((hash & 0xff_ffff_ffffn) << 80n);
  return { base: { family: 'ipv6', value, length: 48 }, length: 64 };
}

/** What lies in the way of default pools, besides other pools. */
export class Exclusions {
  readonly #ranges: { readonly prefix: Prefix; readonly reason: string }[];

  /** @throws INVALID_ARGUMENT for an entry that is neither an address nor a prefix */
  constructor(excluded: readonly Excluded[], family: Family) {
    const parsed = excluded.map(({ prefix, reason }, index) => {
      const found = parsePrefix(prefix) ?? parseCidr(prefix)?.prefix ?? hostPrefix(prefix);
      if (!found) throw invalid(`exclude[${index}].prefix`, prefix, 'must be an address or a prefix');
      return { prefix: found, reason };
    });
    // Of prefixes one in the other, only the widest decides.
    const sorted = parsed
      .filter(({ prefix }) => prefix.family === family)
      .sort((a, b) => compare(a.prefix.value, b.prefix.value) || a.prefix.length - b.prefix.length);
    this.#ranges = [];
    for (const each of sorted) {
      const last = this.#ranges.at(-1);
      if (!last || !contains(last.prefix, each.prefix)) this.#ranges.push(each);
    }
  }

  /** The first one that overlaps a prefix. */
  find(prefix: Prefix): { readonly prefix: Prefix; readonly reason: string } | undefined {
    const end = lastOf(prefix).value;
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const range = this.#ranges[middle];
      if (range && lastOf(range.prefix).value < prefix.value) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low];
    return range && range.prefix.value <= end ? range : undefined;
  }
}

/** The lowest prefix of the first block that has one which overlaps neither a pool nor an exclusion. */
export function findFree(
  blocks: readonly Block[],
  pools: PrefixTree<unknown>,
  exclusions: Exclusions,
): Prefix | undefined {
  for (const { base, length } of blocks) {
    let candidate = pools.firstFree(base, length);
    for (let obstacle = candidate && exclusions.find(candidate); candidate && obstacle; ) {
      // Everything up to the obstacle's end is out, however many candidates that is.
      candidate = pools.firstFree(base, length, lastOf(obstacle.prefix).value + 1n);
      obstacle = candidate && exclusions.find(candidate);
    }
    if (candidate) return candidate;
  }
  return undefined;
}

/** Candidates in a row that one obstacle excludes. */
export interface Obstructed {
  readonly from: string;
  readonly to: string;
  readonly by: string;
}

/** How many lines the message of an exhaustion has; the error's `value` has up to ten thousand. */
const MAX_LINES = 64;
const MAX_OBSTRUCTED = 10_000;

/** The failure when no default pool is left: every candidate, with what is in its way. */
export function noPoolLeft(
  family: Family,
  blocks: readonly Block[],
  pools: PrefixTree<{ readonly prefix: Prefix; readonly title: string }>,
  exclusions: Exclusions,
): LibnetworkError {
  const found: Obstructed[] = [];
  for (const block of blocks) explain(block, pools, exclusions, found);
  const lines = found
    .slice(0, MAX_LINES)
    .map(({ from, to, by }) => `  ${from === to ? from : `${from} to ${to}`}: ${by}`);
  if (found.length > MAX_LINES) lines.push(`  and ${found.length - MAX_LINES} more`);
  const list = found.length === 0 ? ' there are none of this family' : `\n${lines.join('\n')}`;
  return new LibnetworkError(
    'UNAVAILABLE',
    `no default ${family} pool is left; name a subnet, or add to defaultAddressPools. What excluded each candidate:${list}`,
    { field: 'ipam.pools.subnet', limit: 'defaultAddressPools', value: found },
  );
}

function explain(
  { base, length }: Block,
  pools: PrefixTree<{ readonly prefix: Prefix; readonly title: string }>,
  exclusions: Exclusions,
  into: Obstructed[],
): void {
  const step = sizeOf({ ...base, length });
  const end = lastOf(base).value;
  for (let value = base.value; value <= end && into.length < MAX_OBSTRUCTED; ) {
    const candidate = { family: base.family, value, length };
    const route = exclusions.find(candidate);
    const pool = route ? undefined : pools.overlapping(candidate);
    const obstacle = route?.prefix ?? pool?.prefix ?? candidate;
    const last = min(lastOf(obstacle).value, end);
    const lastCandidate = last < value + step ? value : base.value + ((last - base.value) / step) * step;
    into.push({
      from: formatPrefix(candidate),
      to: formatPrefix({ ...candidate, value: lastCandidate }),
      by: route?.reason ?? pool?.title ?? 'nothing',
    });
    value = lastCandidate + step;
  }
}

/** An address as the prefix of its own. */
function hostPrefix(text: string): Prefix | undefined {
  const address = parseAddress(text);
  return address && prefixOf(address, bits(address.family));
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
