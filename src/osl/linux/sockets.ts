import { createServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { invalid, LibnetworkError } from '../../errors.ts';
import { type Address, parseAddress } from '../../ip.ts';
import { errnoName, kernelError } from '../errno.ts';
import type { HeldPort, PortSpec, SocketAddress, TcpListener, UdpSocket, Waits } from '../osl.ts';
import * as abi from './constants.ts';
import { datagrams } from './datagrams.ts';
import { check, getOption, koffi, libc, setOption, trySetOption } from './libc.ts';
import { whenReady } from './poll.ts';
import { encodeSocketAddress, localEndpoint, showEndpoint } from './sockaddr.ts';
import { requireRange } from './values.ts';
import { inNamespace } from './window.ts';

/** How long `connectTcp` waits unless told otherwise. */
const CONNECT_TIMEOUT_MS = 10_000;
const BACKLOG = 511;
/** What may wait in a UDP socket, in bytes as the kernel counts them: about 1,500 small datagrams. */
const RECEIVE_BUFFER = 1 << 20;

/**
 * A socket born in a namespace, which it belongs to for ever. Node's own sockets can't be made there: they are
 * born later, when this thread is back home.
 */
export function openSocket(
  namespaceFd: number | undefined,
  family: Address['family'],
  type: number,
  protocol: number,
): number {
  const domain = family === 'ipv4' ? abi.AF_INET : abi.AF_INET6;
  const flags = type | abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
  return inNamespace(namespaceFd, () => check(libc().socket(domain, flags, protocol), 'socket'));
}

export async function bindUdp(
  namespaceFd: number | undefined,
  address: string,
  port: number,
): Promise<UdpSocket> {
  const { fd, local } = bound(namespaceFd, { protocol: 'udp', address, port }, () => 0, enlargeReceiveBuffer);
  return udpSocket(fd, local);
}

/** A socket on a bound descriptor, which it owns from now on, also when it fails. */
export async function udpSocket(fd: number, local: SocketAddress): Promise<UdpSocket> {
  try {
    return await datagrams(fd, local);
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

export async function listenTcp(
  namespaceFd: number | undefined,
  address: string,
  port: number,
  onConnection: (stream: Duplex, from?: SocketAddress) => void,
): Promise<TcpListener> {
  const spec = { protocol: 'tcp', address, port } as const;
  const { fd, local } = bound(namespaceFd, spec, (each) => libc().listen(each, BACKLOG));
  return tcpListener(fd, local, onConnection);
}

/** Node's server on a listening descriptor, which it owns from now on. */
export async function tcpListener(
  fd: number,
  local: SocketAddress,
  onConnection: (stream: Duplex, from?: SocketAddress) => void,
): Promise<TcpListener> {
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (stream) => {
    connections.add(stream);
    stream.once('close', () => connections.delete(stream));
    // A connection that has ended already has no far end any more.
    onConnection(stream, { address: stream.remoteAddress ?? '', port: stream.remotePort ?? 0 });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd, backlog: BACKLOG, exclusive: true }, resolve);
  }).catch((error: unknown) => {
    libc().close(fd);
    throw error;
  });
  return {
    ...local,
    close: () => {
      server.close();
      for (const stream of connections) stream.destroy();
    },
  };
}

export async function connectTcp(
  namespaceFd: number | undefined,
  address: string,
  port: number,
  options: Waits & { readonly timeoutMs?: number } = {},
): Promise<Duplex> {
  const target = requireAddress(address);
  requireRange(port, 1, 65535, 'port');
  const operation = `connect to ${showEndpoint(address, port)}`;
  const fd = openSocket(namespaceFd, target.family, abi.SOCK_STREAM, 0);
  try {
    const to = encodeSocketAddress(target, port);
    if (libc().connect(fd, to, to.length) < 0 && errnoName(libc().errno()) !== 'EINPROGRESS')
      throw notConnected(operation, errnoName(libc().errno()));
    const timeoutMs = options.timeoutMs ?? CONNECT_TIMEOUT_MS;
    if (!(await whenReady(fd, 'writable', timeoutMs, options)))
      throw new LibnetworkError('TIMEOUT', `${operation}: no answer in ${timeoutMs} ms`, { operation });
    const failure = getOption(fd, abi.SOL_SOCKET, abi.SO_ERROR);
    if (failure !== 0) throw notConnected(operation, errnoName(failure));
  } catch (error) {
    libc().close(fd);
    throw error;
  }
  return new Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
}

/** EACCES is a filter's word on the way (ICMPv6 "administratively prohibited"), and nothing that we lack. */
function notConnected(operation: string, errno: string): LibnetworkError {
  if (errno !== 'EACCES') return kernelError(operation, errno);
  return new LibnetworkError('UNAVAILABLE', `${operation}: a packet filter refuses it (${errno})`, {
    operation,
    errno,
  });
}

/**
 * Holds a port without serving it. What arrives is dropped by a filter of one instruction, so that who connects
 * before the firewall's rules are there sees silence, and tries again, instead of a refusal.
 */
export function holdPort(namespaceFd: number | undefined, spec: PortSpec): HeldPort {
  const { fd, local } = bound(
    namespaceFd,
    spec,
    (each) => (spec.protocol === 'udp' ? 0 : libc().listen(each, BACKLOG)),
    dropEverything,
  );
  let held = true;
  return {
    protocol: spec.protocol,
    ...local,
    release: () => {
      if (held) libc().close(fd);
      held = false;
    },
  };
}

/** A port that takes connections or datagrams, though nobody does anything with them yet. */
export function openPort(namespaceFd: number | undefined, spec: PortSpec): BoundSocket {
  const start = (fd: number) => (spec.protocol === 'udp' ? 0 : libc().listen(fd, BACKLOG));
  return bound(namespaceFd, spec, start, spec.protocol === 'udp' ? enlargeReceiveBuffer : undefined);
}

export interface BoundSocket {
  readonly fd: number;
  readonly local: SocketAddress;
}

/** A bound socket. @throws CONFLICT with `errno` EADDRINUSE when the port is taken */
function bound(
  namespaceFd: number | undefined,
  spec: PortSpec,
  start: (fd: number) => number,
  prepare: (fd: number) => void = () => undefined,
): BoundSocket {
  const address = requireAddress(spec.address);
  requireRange(spec.port, 0, 65535, 'port');
  const operation = `bind ${showEndpoint(spec.address, spec.port)}/${spec.protocol}`;
  const type = spec.protocol === 'udp' ? abi.SOCK_DGRAM : abi.SOCK_STREAM;
  const fd = openSocket(namespaceFd, address.family, type, protocolNumber(spec.protocol));
  try {
    if (address.family === 'ipv6') setOption(fd, abi.IPPROTO_IPV6, abi.IPV6_V6ONLY, 1);
    if (spec.protocol === 'tcp') setOption(fd, abi.SOL_SOCKET, abi.SO_REUSEADDR, 1);
    prepare(fd);
    const name = encodeSocketAddress(address, spec.port);
    check(libc().bind(fd, name, name.length), operation);
    check(start(fd), operation);
    return { fd, local: localEndpoint(fd) };
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

function protocolNumber(protocol: PortSpec['protocol']): number {
  switch (protocol) {
    case 'tcp':
      return abi.IPPROTO_TCP;
    case 'udp':
      return abi.IPPROTO_UDP;
    case 'sctp':
      return abi.IPPROTO_SCTP;
    default:
      throw invalid('protocol', protocol, "must be 'tcp', 'udp' or 'sctp'");
  }
}

/** Attaches the classic BPF program `ret #0` (linux/filter.h: `struct sock_fprog`). */
function dropEverything(fd: number): void {
  const instruction = Buffer.from([0x06, 0, 0, 0, 0, 0, 0, 0]);
  const pointerSize = koffi().sizeof('void *');
  const program = Buffer.alloc(2 * pointerSize);
  program.writeUInt16LE(1);
  const address = koffi().address(instruction);
  if (pointerSize === 8) program.writeBigUInt64LE(address, 8);
  else program.writeUInt32LE(Number(address), 4);
  check(
    libc().setsockopt(fd, abi.SOL_SOCKET, abi.SO_ATTACH_FILTER, program, program.length),
    'SO_ATTACH_FILTER',
  );
}

/** A burst of datagrams must not be lost while this thread is busy. Beyond the host's `net.core.rmem_max` by privilege. */
function enlargeReceiveBuffer(fd: number): void {
  if (trySetOption(fd, abi.SOL_SOCKET, abi.SO_RCVBUFFORCE, RECEIVE_BUFFER) < 0)
    setOption(fd, abi.SOL_SOCKET, abi.SO_RCVBUF, RECEIVE_BUFFER);
}

function requireAddress(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw invalid('address', text, 'must be an IP address');
  return address;
}
