import { type Address, prefixOf } from '../../ip.ts';
import type { AddressState, LinkState } from './state.ts';

/**
 * The address that a packet leaves with when its sender bound none (inet_select_addr, RFC 6724): of the link's own
 * the one in the next hop's prefix, then any of the link, then a global one of another link.
 */
export function sourceFor(link: LinkState, nextHop: Address): Address | undefined {
  const all = link.home.addresses.filter((a) => a.address.family === nextHop.family);
  const own = all.filter((a) => a.link === link);
  const near = own.find((a) => holds(a, nextHop));
  const best =
    near ?? own.find((a) => a.scope === 'global') ?? all.find((a) => a.scope === 'global') ?? own[0];
  return best?.address;
}

function holds({ prefix }: AddressState, address: Address): boolean {
  return prefixOf(address, prefix.length).value === prefix.value;
}
