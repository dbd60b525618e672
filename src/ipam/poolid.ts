import { invalid } from '../errors.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../ip.ts';

/** What a pool's id tells. */
export interface PoolKey {
  readonly space: string;
  readonly subnet: Prefix;
  /** The part of the subnet that addresses come from. */
  readonly range: Prefix | undefined;
}

/** `LocalDefault/10.9.0.0/24`, or with a range `LocalDefault/10.0.0.0/8/10.10.0.0/16`. */
export function formatPoolId({ space, subnet, range }: PoolKey): string {
  return [space, formatPrefix(subnet), ...(range ? [formatPrefix(range)] : [])].join('/');
}

/** @throws INVALID_ARGUMENT for a text that has not 3 or 5 parts, or whose parts are no prefixes */
export function parsePoolId(id: string): PoolKey {
  const parts = id.split('/');
  const [space = '', address, length, rangeAddress, rangeLength] = parts;
  const subnet = parsePrefix(`${address}/${length}`);
  const range = parts.length === 5 ? parsePrefix(`${rangeAddress}/${rangeLength}`) : undefined;
  if (space === '' || (parts.length !== 3 && parts.length !== 5) || !subnet || (parts.length === 5 && !range))
    throw invalid('poolId', id, 'must be a space and a subnet, such as LocalDefault/10.9.0.0/24');
  return { space, subnet, range };
}
