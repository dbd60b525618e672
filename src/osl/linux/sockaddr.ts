import { LibnetworkError } from '../../errors.ts';
import { type Address, formatAddress, fromBytes, toBytes } from '../../ip.ts';
import { AF_INET, AF_INET6 } from './constants.ts';
import { check, libc } from './libc.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** `struct sockaddr_in` or `sockaddr_in6` (netinet/in.h). */
export function encodeSocketAddress(address: Address, port: number): Buffer {
  const v4 = address.family === 'ipv4';
  const bytes = Buffer.alloc(v4 ? 16 : 28);
  bytes.writeUInt16LE(v4 ? AF_INET : AF_INET6);
  bytes.writeUInt16BE(port, 2);
  bytes.set(toBytes(address), v4 ? 4 : 8);
  return bytes;
}

/** The address and port in a `sockaddr`. @throws INTERNAL for one of another family */
export function decodeSocketAddress(bytes: Buffer): Endpoint {
  const family = bytes.length >= 16 ? bytes.readUInt16LE() : 0;
  const port = bytes.length >= 4 ? bytes.readUInt16BE(2) : 0;
  if (family === AF_INET) return { address: formatAddress(fromBytes(bytes.subarray(4, 8))), port };
  if (family === AF_INET6 && bytes.length >= 24)
    return { address: formatAddress(fromBytes(bytes.subarray(8, 24))), port };
  throw new LibnetworkError('INTERNAL', `a socket address of family ${family}`);
}

/** Where a socket is bound. */
export function localEndpoint(fd: number): Endpoint {
  const bytes = Buffer.alloc(28);
  const length = Buffer.from([bytes.length, 0, 0, 0]);
  check(libc().getsockname(fd, bytes, length), 'getsockname');
  return decodeSocketAddress(bytes.subarray(0, length.readUInt32LE()));
}

/** `10.9.0.5:80` or `[fd00::5]:80`. */
export function showEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
