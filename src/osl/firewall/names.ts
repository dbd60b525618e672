/** The one text of what is meant, so that equal things have equal names. */
import { shortHash } from '../../ids.ts';
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from '../../ip.ts';
import type { PacketMark } from './firewall.ts';

/** A name that tells its network: short ids as they are, object ids by their first digits. */
export function chainName(prefix: string, id: string): string {
  if (/^[A-Za-z0-9_-]{1,12}$/.test(id)) return `${prefix}-${id}`;
  return `${prefix}-${/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : shortHash(id)}`;
}

/** The one text of an address, so that equal ones are the same element. */
export function canonical(text: string): string {
  const address = parseAddress(text);
  return address === undefined ? text : formatAddress(address);
}

export function canonicalPrefix(text: string): string {
  const prefix = parsePrefix(text);
  return prefix === undefined ? text : formatPrefix(prefix);
}

const ALL_BITS = 0xffffffff;

/** A mark as iptables and nftables write it: `0x1`, or `0x1/0xff`. */
export function markText({ value, mask }: PacketMark): string {
  const hex = (bits: number) => `0x${bits.toString(16)}`;
  return mask === ALL_BITS ? hex(value) : `${hex(value)}/${hex(mask)}`;
}
