/** Which socket may have which port (inet_csk_bind_conflict, udp_lib_get_port). */
import { type Address, equal, type Family, formatAddress, parseAddress } from '../../ip.ts';
import type { Protocol } from '../osl.ts';
import { localAddress } from './local.ts';
import { Refusal } from './refusal.ts';
import type { NetnsState, SocketState } from './state.ts';
import { flag, readSysctl } from './sysctls.ts';

/** Where a socket wants to be. */
export interface Place {
  readonly protocol: Protocol;
  readonly address: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
}

export interface BoundPlace {
  readonly family: Family;
  /** `undefined` for every address. */
  readonly address: Address | undefined;
  readonly port: number;
}

/** Finds the place a socket gets. @throws Refusal EINVAL, EADDRNOTAVAIL, EADDRINUSE */
export function place(netns: NetnsState, wanted: Place): BoundPlace {
  const address = parseAddress(wanted.address);
  if (address === undefined) throw new Refusal('EINVAL', `not an address: ${wanted.address}`);
  if (!Number.isInteger(wanted.port) || wanted.port < 0 || wanted.port > 65535)
    throw new Refusal('EINVAL', `not a port: ${wanted.port}`);
  const specific = address.value === 0n ? undefined : address;
  if (specific !== undefined && !mayBind(netns, specific))
    throw new Refusal('EADDRNOTAVAIL', `${wanted.address} is not an address of this namespace`);
  const { family } = address;
  const isFree = (port: number): boolean =>
    holderOf(netns, wanted.protocol, family, specific, port) === undefined;
  const port = wanted.port === 0 ? choosePort(netns, isFree) : wanted.port;
  if (port === undefined || !isFree(port))
    throw new Refusal('EADDRINUSE', `${wanted.protocol} ${wanted.address} port ${wanted.port} is taken`);
  return { family, address: specific, port };
}

function mayBind(netns: NetnsState, address: Address): boolean {
  return localAddress(netns, address) !== undefined || flag(netns, `net/${address.family}/ip_nonlocal_bind`);
}

/** The socket that stands in the way: at the same port, on the same address or with either on every address. */
function holderOf(
  netns: NetnsState,
  protocol: Protocol,
  family: Family,
  address: Address | undefined,
  port: number,
): SocketState | undefined {
  for (const socket of netns.sockets) {
    if (socket.protocol !== protocol || socket.family !== family || socket.port !== port) continue;
    if (socket.address === undefined || address === undefined || equal(socket.address, address))
      return socket;
  }
  return undefined;
}

/** The next free port of the ephemeral range (ip_local_port_range), round and round. */
function choosePort(netns: NetnsState, isFree: (port: number) => boolean): number | undefined {
  const range = readSysctl(netns, 'net/ipv4/ip_local_port_range') ?? '32768\t60999';
  const [low = 32768, high = 60999] = range.split(/\s+/).map(Number);
  const size = high - low + 1;
  for (let tried = 0; tried < size; tried++) {
    const port = low + (netns.nextPort++ % size);
    if (isFree(port)) return port;
  }
  return undefined;
}

/** A port for a connection from this namespace. @throws Refusal EADDRNOTAVAIL */
export function sourcePort(netns: NetnsState, protocol: Protocol, family: Family): number {
  const port = choosePort(netns, (p) => holderOf(netns, protocol, family, undefined, p) === undefined);
  if (port === undefined) throw new Refusal('EADDRNOTAVAIL', 'no ephemeral port is free');
  return port;
}

/** The socket that gets what comes to an address and port: the one bound to the address before the general one. */
export function socketFor(
  netns: NetnsState,
  protocol: string,
  address: Address,
  port: number,
): SocketState | undefined {
  let general: SocketState | undefined;
  for (const socket of netns.sockets) {
    if (socket.protocol !== protocol || socket.family !== address.family || socket.port !== port) continue;
    if (socket.address === undefined) general = socket;
    else if (equal(socket.address, address)) return socket;
  }
  return general;
}

/** A bound address as text: `0.0.0.0` or `::` for every one. */
export function boundAddress(bound: BoundPlace): string {
  if (bound.address !== undefined) return formatAddress(bound.address);
  return bound.family === 'ipv4' ? '0.0.0.0' : '::';
}
