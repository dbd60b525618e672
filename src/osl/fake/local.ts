import { type Address, prefixOf } from '../../ip.ts';
import type { AddressState, NetnsState } from './state.ts';

/** The entry of an address that is the namespace's own; those of IPv4 count on links that are down too. */
export function localAddress(netns: NetnsState, address: Address): AddressState | undefined {
  const own = netns.addresses.find(
    (a) => a.address.family === address.family && a.address.value === address.value,
  );
  if (own !== undefined || address.family === 'ipv6') return own;
  // The whole of an IPv4 loopback prefix is local, not only its one address (RFC 1122, 3.2.1.3).
  return netns.addresses.find(
    (a) => a.link.kind === 'loopback' && a.link.up && sharesPrefix(a, address) && a.address.family === 'ipv4',
  );
}

function sharesPrefix(entry: AddressState, address: Address): boolean {
  return prefixOf(address, entry.prefix.length).value === entry.prefix.value;
}
