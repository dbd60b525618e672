import { invalid } from '../errors.ts';
import { bits, contains, type Family, formatPrefix, type Prefix, parseCidr } from '../ip.ts';
import type { PoolRequest } from './ipam.ts';

/** What a request for a pool asks for. */
export interface Wanted {
  readonly subnet?: Prefix;
  readonly range?: Prefix;
  /** Any default pool, but of this length: asked for as `0.0.0.0/24` or `::/64`. */
  readonly length?: number;
}

/** @throws INVALID_ARGUMENT for a prefix that is malformed, of the other family, or a range outside its subnet */
export function parsePoolRequest({ subnet, ipRange, family }: PoolRequest): Wanted {
  if (subnet === undefined) {
    if (ipRange !== undefined) throw invalid('ipam.pools.ipRange', ipRange, 'needs a subnet that it lies in');
    return {};
  }
  const whole = parseOf(family, 'ipam.pools.subnet', subnet);
  if (whole.value === 0n && whole.length > 0 && ipRange === undefined) return { length: whole.length };
  if (ipRange === undefined) return { subnet: whole };
  const range = parseOf(family, 'ipam.pools.ipRange', ipRange);
  // As upstream: a range that covers the whole subnet means the subnet.
  if (contains(range, whole)) return { subnet: whole, range: whole };
  if (!contains(whole, range))
    throw invalid('ipam.pools.ipRange', ipRange, `must lie in ${formatPrefix(whole)}`);
  return { subnet: whole, range };
}

function parseOf(family: Family, field: string, text: string): Prefix {
  const prefix = parseCidr(text)?.prefix;
  if (!prefix || prefix.family !== family)
    throw invalid(
      field,
      text,
      `must be an ${family} prefix of up to /${bits(family)}, such as ${example[family]}`,
    );
  return prefix;
}

const example = { ipv4: '10.9.0.0/24', ipv6: 'fd00:9::/64' } as const;
