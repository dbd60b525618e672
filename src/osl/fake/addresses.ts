/** Addresses of links, and what the kernel does with them when a link comes up or goes (devinet.c, addrconf.c). */
import {
  type Address,
  type Family,
  formatAddress,
  type InterfaceAddress,
  parseAddress,
  parseCidr,
} from '../../ip.ts';
import { MIN_IPV4_MTU, MIN_IPV6_MTU, takesIpv6 } from './limits.ts';
import { isLinkLocal } from './local.ts';
import { forgetNeighbours } from './neighbours.ts';
import { hasCarrier, isRunning, needLink } from './netns.ts';
import { Refusal } from './refusal.ts';
import { addConnectedRoute, dropRoutes, removeConnectedRoute } from './routes.ts';
import type { AddressState, LinkState, NetnsState, Scope } from './state.ts';
import { linkSetting } from './sysctls.ts';

export function addressesOf(link: LinkState, family?: Family): readonly AddressState[] {
  return link.home.addresses.filter(
    (a) => a.link === link && (family === undefined || a.address.family === family),
  );
}

export function addAddress(netns: NetnsState, linkName: string, text: string): void {
  const cidr = readCidr(text);
  const link = needLink(netns, linkName);
  if (cidr.address.family === 'ipv6') checkIpv6(link, cidr.address);
  else if (link.mtu < MIN_IPV4_MTU) throw new Refusal('ENOBUFS');
  // The same IPv4 address may stand there with several prefixes.
  const taken = addressesOf(link, cidr.address.family).some(
    ({ address, prefix }) =>
      address.value === cidr.address.value &&
      (address.family === 'ipv6' || prefix.length === cidr.prefix.length),
  );
  if (taken) throw new Refusal('EEXIST', `${cidr.address.family}: Address already assigned`);
  insert(link, cidr, scopeOf(cidr.address));
}

export function deleteAddress(netns: NetnsState, linkName: string, text: string): void {
  const cidr = readCidr(text);
  const link = needLink(netns, linkName);
  const { family, value } = cidr.address;
  if (family === 'ipv6' && !takesIpv6(link)) throw new Refusal('ENXIO', 'IPv6 is disabled on this device');
  if (family === 'ipv4' && link.mtu < MIN_IPV4_MTU) throw new Refusal('ENODEV');
  const entry = addressesOf(link, family).find(
    (a) => a.address.value === value && a.prefix.length === cidr.prefix.length,
  );
  if (entry === undefined) throw new Refusal('EADDRNOTAVAIL', `${family}: Address not found`);
  remove(entry);
}

function readCidr(text: string): InterfaceAddress {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Refusal('EINVAL', `not an address with a prefix length: ${text}`);
  return cidr;
}

function checkIpv6(link: LinkState, address: Address): void {
  if (!takesIpv6(link)) throw new Refusal('EINVAL', 'IPv6 needs an MTU of at least 1280');
  if (linkSetting(link, 'ipv6', 'disable_ipv6') !== 0)
    throw new Refusal('EACCES', 'IPv6 is disabled on this device');
  if (address.value === 0n || address.value >> 120n === 0xffn) throw new Refusal('EADDRNOTAVAIL');
  if (address.value === 1n && link.kind !== 'loopback')
    throw new Refusal('EADDRNOTAVAIL', 'Cannot assign loopback address on this device');
}

function scopeOf(address: Address): Scope {
  if (address.family === 'ipv4') return address.value >> 24n === 127n ? 'host' : 'global';
  if (address.value === 1n) return 'host';
  return isLinkLocal(address) ? 'link' : 'global';
}

function insert(link: LinkState, cidr: InterfaceAddress, scope: Scope): void {
  const first = addressesOf(link, 'ipv4').some(
    (a) => a.prefix.length === cidr.prefix.length && a.prefix.value === cidr.prefix.value && !a.secondary,
  );
  const entry: AddressState = {
    link,
    address: cidr.address,
    prefix: cidr.prefix,
    scope,
    secondary: cidr.address.family === 'ipv4' && first,
    wholePrefix: false,
  };
  link.home.addresses.push(entry);
  if (link.up) connect(entry);
}

/** Removes an address with its prefix's route; an IPv4 primary takes its secondaries along, or is succeeded by one. */
function remove(entry: AddressState): void {
  const { link } = entry;
  const netns = link.home;
  netns.addresses = netns.addresses.filter((a) => a !== entry);
  const followers = entry.secondary
    ? []
    : addressesOf(link, entry.address.family).filter((a) => a.secondary && samePrefix(a, entry));
  const heir = linkSetting(link, 'ipv4', 'promote_secondaries') !== 0 ? followers[0] : undefined;
  if (heir !== undefined) heir.secondary = false;
  else netns.addresses = netns.addresses.filter((a) => !followers.includes(a));
  const kept = addressesOf(link, entry.address.family).some((a) => samePrefix(a, entry));
  if (!kept && !entry.secondary) removeConnectedRoute(entry);
  // The last IPv4 address of a link takes all of the family's routes along (fib_disable_ip).
  if (entry.address.family === 'ipv4' && addressesOf(link, 'ipv4').length === 0) dropRoutes(link, 'ipv4');
}

function samePrefix(a: AddressState, b: AddressState): boolean {
  return a.prefix.length === b.prefix.length && a.prefix.value === b.prefix.value;
}

/** The prefix of an address on a link that is up: a route by the link, or local as a whole. */
function connect(entry: AddressState): void {
  if (entry.link.kind === 'loopback' && entry.address.family === 'ipv4') entry.wholePrefix = true;
  else addConnectedRoute(entry);
}

/** What a link's coming up does: loopback gets its addresses, every address its prefix's route. */
export function linkUp(link: LinkState): void {
  const had4 = addressesOf(link, 'ipv4').length > 0;
  if (link.kind === 'loopback' && !had4) insertText(link, '127.0.0.1/8', 'host');
  if (link.kind === 'loopback' && link.mtu >= MIN_IPV6_MTU && !ipv6Off(link) && !owns(link, '::1'))
    insertText(link, '::1/128', 'host');
  for (const entry of addressesOf(link)) connect(entry);
  carrierChanged(link);
}

/** With its first carrier after coming up, a link gets its IPv6 link-local address (RFC 4862, EUI-64). */
export function carrierChanged(link: LinkState): void {
  if (link.ready || !isRunning(link) || !hasCarrier(link) || ipv6Off(link)) return;
  link.ready = true;
  const address = linkLocal(link);
  if (address !== undefined && !owns(link, address)) insertText(link, `${address}/64`, 'link');
}

function ipv6Off(link: LinkState): boolean {
  return !takesIpv6(link) || linkSetting(link, 'ipv6', 'disable_ipv6') !== 0;
}

function linkLocal(link: LinkState): string | undefined {
  if (link.kind === 'loopback' || link.mac === undefined || /^(00:){5}00$/.test(link.mac)) return undefined;
  if (linkSetting(link, 'ipv6', 'addr_gen_mode') !== 0) return undefined;
  const bytes = link.mac.split(':').map((pair) => Number.parseInt(pair, 16));
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  const value = [a ^ 2, b, c, 0xff, 0xfe, d, e, f].reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return formatAddress({ family: 'ipv6', value: (0xfe80n << 112n) | value });
}

function owns(link: LinkState, text: string): boolean {
  return addressesOf(link).some((a) => formatAddress(a.address) === text);
}

function insertText(link: LinkState, text: string, scope: Scope): void {
  const cidr = parseCidr(text);
  if (cidr !== undefined && parseAddress(text.split('/')[0] ?? '') !== undefined) insert(link, cidr, scope);
}

/** What a link's going down does: no routes by it, and no IPv6 address stays (`keep_addr_on_down` 0). */
export function linkDown(link: LinkState): void {
  dropRoutes(link, 'ipv4');
  loseIpv6(link);
  forgetNeighbours(link, 'ipv4');
}

/** Takes IPv4 off a link: its MTU is below 68. */
export function loseIpv4(link: LinkState): void {
  link.home.addresses = link.home.addresses.filter((a) => a.link !== link || a.address.family === 'ipv6');
  dropRoutes(link, 'ipv4');
}

/** Takes IPv6 off a link, by its going down, an MTU below 1280, or `disable_ipv6`. */
export function loseIpv6(link: LinkState): void {
  link.ready = false;
  link.home.addresses = link.home.addresses.filter((a) => a.link !== link || a.address.family === 'ipv4');
  dropRoutes(link, 'ipv6');
  forgetNeighbours(link, 'ipv6');
}

/** Gives IPv6 back to a link that is up (`disable_ipv6` 0). */
export function regainIpv6(link: LinkState): void {
  if (link.up) linkUp(link);
}

export function forgetAddresses(link: LinkState): void {
  link.home.addresses = link.home.addresses.filter((a) => a.link !== link);
  dropRoutes(link);
  link.home.neighbours = link.home.neighbours.filter((n) => n.link !== link);
}
