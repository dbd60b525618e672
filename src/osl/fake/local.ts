import { type Address, contains } from '../../ip.ts';
import type { AddressState, NetnsState } from './state.ts';

/** The entry of an address that is the namespace's own; those of IPv4 count on links that are down too. */
export function localAddress(netns: NetnsState, address: Address): AddressState | undefined {
  const own = netns.addresses.find(
    (a) => a.address.family === address.family && a.address.value === address.value,
  );
  if (own !== undefined || address.family === 'ipv6') return own;
  // The whole of an IPv4 loopback prefix is local, not only its one address (RFC 1122, 3.2.1.3).
  return netns.addresses.find((a) => a.wholePrefix && a.link.up && contains(a.prefix, address));
}

/** `127.0.0.0/8` and `::1` (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). */
export function isLoopback(address: Address): boolean {
  return address.family === 'ipv4' ? address.value >> 24n === 127n : address.value === 1n;
}

/** `fe80::/10` (RFC 4291, 2.5.6). */
export function isLinkLocal(address: Address): boolean {
  return address.family === 'ipv6' && address.value >> 118n === 0x3fan;
}
