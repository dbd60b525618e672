import { randomBytes } from 'node:crypto';
import { invalid } from '../../errors.ts';
import { type Address, parseAddress } from '../../ip.ts';
import { errnoName, kernelError } from '../errno.ts';
import type { Waits } from '../osl.ts';
import * as abi from './constants.ts';
import { check, libc } from './libc.ts';
import { whenReady } from './poll.ts';
import { encodeSocketAddress } from './sockaddr.ts';
import { openSocket } from './sockets.ts';

/** Long enough for a second neighbour solicitation, as the first is lost while an address is new. */
const DEFAULT_TIMEOUT_MS = 2000;
/** linux/icmp.h, linux/icmpv6.h */
const ECHO = { ipv4: { request: 8, reply: 0 }, ipv6: { request: 128, reply: 129 } } as const;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const HEADER = 8;
/** What sending says where no packet can get out. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EADDRNOTAVAIL',
  'ENETDOWN',
  'EPERM',
  'EACCES',
]);

/** See `Namespace.ping`. */
export async function ping(
  namespaceFd: number | undefined,
  text: string,
  options: Waits & { readonly timeoutMs?: number } = {},
): Promise<number | undefined> {
  const address = parseAddress(text);
  if (!address) throw invalid('address', text, 'must be an IP address');
  const { family } = address;
  const protocol = family === 'ipv4' ? abi.IPPROTO_ICMP : abi.IPPROTO_ICMPV6;
  const fd = openSocket(namespaceFd, family, abi.SOCK_RAW, protocol);
  try {
    onlyReplies(fd, family);
    const request = echoRequest(family, randomBytes(20));
    const start = performance.now();
    if (!send(fd, address, request)) return undefined;
    const deadline = start + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    for (let left = deadline - start; left > 0; left = deadline - performance.now()) {
      if (!(await whenReady(fd, 'readable', left, options))) return undefined;
      if (receivedReply(fd, family, request)) return performance.now() - start;
    }
    return undefined;
  } finally {
    libc().close(fd);
  }
}

/** An echo request with the given identifier, sequence number and data (RFC 792; RFC 4443, 4.1). */
export function echoRequest(family: Address['family'], rest: Buffer): Buffer {
  const message = Buffer.concat([Buffer.from([ECHO[family].request, 0, 0, 0]), rest]);
  // The kernel fills in the checksum of ICMPv6, which covers the IPv6 header too.
  if (family === 'ipv4') message.writeUInt16BE(internetChecksum(message), 2);
  return message;
}

/** The checksum of RFC 1071 over an even number of bytes. */
export function internetChecksum(message: Buffer): number {
  let sum = 0;
  for (let at = 0; at < message.length; at += 2) sum += message.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** True when a packet is the reply to `request`. With IPv4 it begins with the IP header. */
export function isReplyTo(request: Buffer, family: Address['family'], packet: Buffer): boolean {
  const start = family === 'ipv4' ? ((packet[0] ?? 0) & 0x0f) * 4 : 0;
  const message = packet.subarray(start);
  if (message.length < HEADER || message[0] !== ECHO[family].reply) return false;
  return message.subarray(4, request.length).equals(request.subarray(4));
}

function onlyReplies(fd: number, family: Address['family']): void {
  if (family === 'ipv4') {
    const blocked = Buffer.alloc(4);
    blocked.writeUInt32LE(~(1 << ECHO.ipv4.reply) >>> 0);
    check(libc().setsockopt(fd, SOL_RAW, ICMP_FILTER, blocked, 4), 'ICMP_FILTER');
    return;
  }
  const blocked = Buffer.alloc(32, 0xff);
  const { reply } = ECHO.ipv6;
  blocked.writeUInt32LE(~(1 << (reply & 31)) >>> 0, (reply >> 5) * 4);
  check(libc().setsockopt(fd, abi.IPPROTO_ICMPV6, abi.ICMPV6_FILTER, blocked, 32), 'ICMPV6_FILTER');
}

/** False when nothing can be sent there. */
function send(fd: number, address: Address, request: Buffer): boolean {
  const to = encodeSocketAddress(address, 0);
  if (libc().sendto(fd, request, request.length, 0, to, to.length) >= 0) return true;
  const errno = errnoName(libc().errno());
  if (UNREACHABLE.has(errno)) return false;
  throw kernelError('send an echo request', errno);
}

function receivedReply(fd: number, family: Address['family'], request: Buffer): boolean {
  const packet = Buffer.alloc(512);
  for (;;) {
    const length = libc().recv(fd, packet, packet.length, abi.MSG_DONTWAIT);
    if (length < 0) return false;
    if (isReplyTo(request, family, packet.subarray(0, length))) return true;
  }
}
