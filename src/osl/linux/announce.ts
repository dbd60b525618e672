/** Gratuitous ARP (RFC 5227, 3) and unsolicited neighbour advertisements (RFC 4861, 7.2.6), by raw sockets. */
import { invalid, LibnetworkError } from '../../errors.ts';
import { type Address, parseAddress, toBytes } from '../../ip.ts';
import { errnoName, kernelError } from '../errno.ts';
import type { Link } from '../osl.ts';
import * as abi from './constants.ts';
import type { Handle } from './handle.ts';
import { check, libc, setOption } from './libc.ts';
import { AF_PACKET } from './packets.ts';
import { encodeSocketAddress } from './sockaddr.ts';
import { openSocket } from './sockets.ts';

/** linux/if_ether.h, linux/if_arp.h, linux/in6.h */
const ETH_P_ARP = 0x0806;
const ETH_P_IP = 0x0800;
const ARPHRD_ETHER = 1;
const ARPOP_REQUEST = 1;
const IPV6_MULTICAST_IF = 17;
const IPV6_MULTICAST_HOPS = 18;
/** RFC 4861: the type, the flag Override, and the option with the target's link-layer address. */
const NEIGHBOUR_ADVERTISEMENT = 136;
const OVERRIDE = 0x20;
const TARGET_LINK_LAYER_ADDRESS = 2;
const ALL_NODES = 'ff02::1';

/** See `Namespace.announce`. */
export function announce(handle: Handle, link: Pick<Link, 'index' | 'macAddress'>, text: string): void {
  const address = parseAddress(text);
  if (!address) throw invalid('address', text, 'must be an IP address');
  if (link.macAddress === undefined) return;
  const mac = Buffer.from(link.macAddress.replaceAll(':', ''), 'hex');
  if (address.family === 'ipv4') announceIpv4(handle.packets, link.index, mac, address);
  else announceIpv6(handle.fd, link.index, mac, address);
}

/** An ARP request whose sender and target are the address itself. */
export function gratuitousArp(mac: Buffer, address: Address): Buffer {
  const message = Buffer.alloc(28);
  message.writeUInt16BE(ARPHRD_ETHER, 0);
  message.writeUInt16BE(ETH_P_IP, 2);
  message.writeUInt8(6, 4);
  message.writeUInt8(4, 5);
  message.writeUInt16BE(ARPOP_REQUEST, 6);
  message.set(mac, 8);
  message.set(toBytes(address), 14);
  message.set(toBytes(address), 24);
  return message;
}

/** Nobody has asked, and who has another link-layer address for it is to forget that one. The kernel adds the checksum. */
export function unsolicitedAdvertisement(mac: Buffer, address: Address): Buffer {
  const message = Buffer.alloc(32);
  message.writeUInt8(NEIGHBOUR_ADVERTISEMENT, 0);
  message.writeUInt8(OVERRIDE, 4);
  message.set(toBytes(address), 8);
  message.writeUInt8(TARGET_LINK_LAYER_ADDRESS, 24);
  message.writeUInt8(1, 25);
  message.set(mac, 26);
  return message;
}

function announceIpv4(fd: number, index: number, mac: Buffer, address: Address): void {
  const to = Buffer.alloc(20);
  to.writeUInt16LE(AF_PACKET, 0);
  to.writeUInt16BE(ETH_P_ARP, 2);
  to.writeInt32LE(index, 4);
  to.writeUInt8(6, 11);
  to.fill(0xff, 12, 18);
  send(fd, gratuitousArp(mac, address), to, 'send a gratuitous ARP request');
}

function announceIpv6(namespaceFd: number | undefined, index: number, mac: Buffer, address: Address): void {
  const fd = openSocket(namespaceFd, 'ipv6', abi.SOCK_RAW, abi.IPPROTO_ICMPV6);
  try {
    const blocked = Buffer.alloc(32, 0xff);
    check(libc().setsockopt(fd, abi.IPPROTO_ICMPV6, abi.ICMPV6_FILTER, blocked, 32), 'ICMPV6_FILTER');
    setOption(fd, abi.IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
    setOption(fd, abi.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255);
    const from = encodeSocketAddress(address, 0);
    check(libc().bind(fd, from, from.length), 'bind');
    const allNodes = parseAddress(ALL_NODES);
    if (!allNodes) throw new LibnetworkError('INTERNAL', `${ALL_NODES} is no address`);
    const to = encodeSocketAddress(allNodes, 0);
    to.writeUInt32LE(index, 24);
    send(fd, unsolicitedAdvertisement(mac, address), to, 'send a neighbour advertisement');
  } finally {
    libc().close(fd);
  }
}

function send(fd: number, message: Buffer, to: Buffer, operation: string): void {
  if (libc().sendto(fd, message, message.length, 0, to, to.length) >= 0) return;
  throw kernelError(operation, errnoName(libc().errno()));
}
