import { MessageType } from 'netlink/dist/rt/gen_structs.js';
import {
  type Family,
  formatAddress,
  fromBytes,
  type InterfaceAddress,
  lastOf,
  toBytes,
} from '../../../ip.ts';
import { AF_INET, AF_INET6 } from '../constants.ts';
import { eachAttribute, requireLength, Writer } from './attributes.ts';

/** linux/rtnetlink.h, linux/if_addr.h */
export const RTM_NEWADDR = MessageType.NEWADDR;
export const RTM_DELADDR = MessageType.DELADDR;
export const RTM_GETADDR = MessageType.GETADDR;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_F_NODAD = 0x02;
const HEADER = 8;
const SCOPE_HOST = 254;

export function familyNumber(family: Family): number {
  return family === 'ipv4' ? AF_INET : AF_INET6;
}

/** The family of the kernel's number; `undefined` for others. */
export function familyName(number: number): Family | undefined {
  return number === AF_INET ? 'ipv4' : number === AF_INET6 ? 'ipv6' : undefined;
}

export type Scope = 'global' | 'link' | 'host' | 'other';

/** `enum rt_scope_t` in words. */
export function scopeName(scope: number): Scope {
  return scope === 0 ? 'global' : scope === 253 ? 'link' : scope === SCOPE_HOST ? 'host' : 'other';
}

/** The payload of RTM_NEWADDR and RTM_DELADDR. */
export function encodeAddress(index: number, cidr: InterfaceAddress, noDad = false): Buffer {
  const { address, prefix } = cidr;
  const writer = new Writer(64);
  const loopback = address.family === 'ipv4' && address.value >> 24n === 127n;
  writer
    .u8(familyNumber(address.family))
    .u8(prefix.length)
    .u8(noDad ? IFA_F_NODAD : 0)
    .u8(loopback ? SCOPE_HOST : 0)
    .u32(index);
  const bytes = toBytes(address);
  writer.attrBytes(IFA_LOCAL, bytes).attrBytes(IFA_ADDRESS, bytes);
  if (address.family === 'ipv4' && prefix.length < 31)
    writer.attrBytes(IFA_BROADCAST, toBytes(lastOf(prefix)));
  return writer.finish();
}

/** The payload of an RTM_GETADDR dump; index 0 asks for those of all links. */
export function encodeGetAddresses(index: number): Buffer {
  return new Writer(HEADER).u32(0).u32(index).finish();
}

export interface RawAddress {
  readonly index: number;
  readonly family: Family;
  readonly address: string;
  readonly scope: Scope;
}

/** Decodes RTM_NEWADDR; `undefined` for other families. */
export function decodeAddress(data: Buffer): RawAddress | undefined {
  requireLength(data, HEADER);
  const family = familyName(data.readUInt8(0));
  if (!family) return undefined;
  let local: Buffer | undefined;
  let address: Buffer | undefined;
  eachAttribute(data, HEADER, data.length, (type, start, end) => {
    if (type === IFA_LOCAL) local = data.subarray(start, end);
    else if (type === IFA_ADDRESS) address = data.subarray(start, end);
  });
  const own = local ?? address;
  if (!own || own.length !== (family === 'ipv4' ? 4 : 16)) return undefined;
  return {
    index: data.readUInt32LE(4),
    family,
    address: `${formatAddress(fromBytes(own))}/${data.readUInt8(1)}`,
    scope: scopeName(data.readUInt8(3)),
  };
}
