/** What the kernel accepts as a link's MTU and MAC address, and the errors it answers otherwise. */

import type { LinkKind } from '../osl.ts';
import { Refusal } from './refusal.ts';

/** What a link gets that nobody told another. */
export const DEFAULT_MTU = 1500;
/** RFC 791, page 13: IPv4 is off on links of a lesser MTU. */
export const MIN_IPV4_MTU = 68;
/** RFC 8200, section 5: IPv6 is off on links of a lesser MTU. */
export const MIN_IPV6_MTU = 1280;

/** IPv6 is off on links of a small MTU, except loopback. */
export function takesIpv6(link: { readonly kind: LinkKind; readonly mtu: number }): boolean {
  return link.kind === 'loopback' || link.mtu >= MIN_IPV6_MTU;
}

/** The least and the largest MTU of each kind (`min_mtu`, `max_mtu`). */
const mtuRange: Readonly<Record<LinkKind, readonly [number, number]>> = {
  veth: [68, 65535],
  bridge: [68, 65535],
  vxlan: [68, 65535],
  macvlan: [68, 65535],
  ipvlan: [68, 65535],
  vlan: [0, 65535],
  dummy: [0, 4294967295],
  ifb: [68, 1500],
  loopback: [0, 4294967295],
  other: [68, 65535],
};

/** @throws Refusal EINVAL */
export function checkMtu(kind: LinkKind, mtu: number): void {
  const [least, most] = mtuRange[kind];
  if (!Number.isInteger(mtu) || mtu < least) throw new Refusal('EINVAL', 'mtu less than device minimum');
  if (mtu > most) throw new Refusal('EINVAL', 'mtu greater than device maximum');
}

/** The MAC in lower case. @throws Refusal EADDRNOTAVAIL for one that no link can have (multicast, zero) */
export function checkMac(mac: string): string {
  const lower = mac.toLowerCase();
  if (lower === '00:00:00:00:00:00' || Number.parseInt(lower.slice(0, 2), 16) & 1)
    throw new Refusal('EADDRNOTAVAIL', 'Invalid MAC address');
  return lower;
}
