import { invalid, LibnetworkError } from '../errors.ts';
import { type Address, formatPrefix, type Prefix } from '../ip.ts';
import { IPV6_FROM_MAC } from './options.ts';

/**
 * The IPv6 address whose low 48 bits are the MAC address, as Docker's bridge made them: `fe90::/64` and
 * `aa:bb:cc:dd:ee:ff` give `fe90::aabb:ccdd:eeff`.
 * @throws INVALID_ARGUMENT without a MAC address, or in a pool that leaves fewer than 48 bits
 */
export function addressFromMac(pool: Prefix, mac: string | undefined): Address {
  if (mac === undefined || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac))
    throw invalid('macAddress', mac, `must be six bytes in hex, since ${IPV6_FROM_MAC} is on`);
  if (pool.length > 80)
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      `${formatPrefix(pool)} leaves fewer than the 48 bits of a MAC address; use a prefix of up to /80 or turn ${IPV6_FROM_MAC} off`,
      { field: 'ipam.pools.subnet', value: formatPrefix(pool), limit: '48 host bits' },
    );
  return { family: 'ipv6', value: pool.value | BigInt(`0x${mac.replaceAll(':', '')}`) };
}
