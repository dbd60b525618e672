/**
 * What address translation can't do: connections to `::1`, whose answers could not come from another interface, and
 * connections over IPv6 to a container that has IPv4 alone. There the port is served, and each connection or
 * datagram handed on; the container sees the host's address as the sender's.
 */
import type { Duplex } from 'node:stream';
import { LibnetworkError } from '../../errors.ts';
import { familyOf } from '../../ip.ts';
import type { HeldPort, Namespace, PortSpec, SocketAddress, UdpSocket } from '../osl.ts';

export interface ProxyTarget {
  readonly address: string;
  readonly port: number;
  /** Only senders on `::1` are served: all others have rules that lead them, or keep them out. */
  readonly fromLoopback?: boolean | undefined;
}

/** How long a sender of datagrams is remembered after the last one either way, as Docker's proxy does. */
const UDP_IDLE_MS = 90_000;
/** Senders of datagrams to one port at a time: the one that was silent longest makes room. */
export const MAX_UDP_SENDERS = 1_024;
const CONNECT_TIMEOUT_MS = 10_000;

/** Holds a port and serves it. @throws CONFLICT with EADDRINUSE; TypeError for a protocol without sockets of ours */
export async function proxyPort(host: Namespace, spec: PortSpec, target: ProxyTarget): Promise<HeldPort> {
  if (spec.protocol === 'tcp') return proxyTcp(host, spec, target);
  if (spec.protocol === 'udp') return proxyUdp(host, spec, target);
  throw new TypeError(`no proxy for ${spec.protocol}`);
}

async function proxyTcp(
  host: Namespace,
  { address, port }: PortSpec,
  target: ProxyTarget,
): Promise<HeldPort> {
  const onward = new Set<Duplex>();
  const listener = await host.listenTcp(address, port, (client, from) => {
    client.on('error', () => client.destroy());
    if (!isServed(target, from)) {
      client.destroy();
      return;
    }
    // Who can't be led on sees his connection end; there is nobody else to be told.
    void relay(host, client, target, onward).catch(() => client.destroy());
  });
  return {
    protocol: 'tcp',
    address: listener.address,
    port: listener.port,
    release: () => {
      listener.close();
      for (const stream of onward) stream.destroy();
    },
  };
}

/** Each side's end is told to the other, which may go on sending: half-closed connections work. */
async function relay(
  host: Namespace,
  client: Duplex,
  { address, port }: ProxyTarget,
  onward: Set<Duplex>,
): Promise<void> {
  const server = await host.connectTcp(address, port, { timeoutMs: CONNECT_TIMEOUT_MS });
  if (client.destroyed) {
    server.destroy();
    return;
  }
  onward.add(server);
  server.once('close', () => {
    onward.delete(server);
    if (!hasFinished(server)) client.destroy();
  });
  server.on('error', () => server.destroy());
  client.once('close', () => {
    if (!hasFinished(client)) server.destroy();
  });
  client.pipe(server);
  server.pipe(client);
}

/** Both directions have come to their ends: what is still on its way to the other side gets there. */
function hasFinished({ readableEnded, writableFinished }: Duplex): boolean {
  return readableEnded && writableFinished;
}

interface Sender {
  readonly socket: UdpSocket;
  idle: NodeJS.Timeout;
}

async function proxyUdp(
  host: Namespace,
  { address, port }: PortSpec,
  target: ProxyTarget,
): Promise<HeldPort> {
  const front = await host.bindUdp(address, port);
  const senders = new Map<string, Promise<Sender | undefined>>();
  const forget = async (key: string): Promise<void> => {
    const sender = senders.get(key);
    senders.delete(key);
    const known = await sender;
    if (known === undefined) return;
    clearTimeout(known.idle);
    known.socket.close();
  };
  const wait = (key: string): NodeJS.Timeout => setTimeout(() => void forget(key), UDP_IDLE_MS).unref();
  const open = async (key: string, from: SocketAddress): Promise<Sender | undefined> => {
    try {
      const socket = await host.bindUdp(familyOf(target.address) === 'ipv6' ? '::' : '0.0.0.0', 0);
      const sender: Sender = { socket, idle: wait(key) };
      socket.onMessage((data) => {
        sender.idle.refresh();
        front.send(data, from);
      });
      return sender;
    } catch (error) {
      // Without a socket the datagram is lost, as the network would lose it; the next one tries again.
      if (!LibnetworkError.is(error)) throw error;
      senders.delete(key);
      return undefined;
    }
  };
  front.onMessage((data, from) => {
    if (!isServed(target, from)) return;
    const key = `${from.address} ${from.port}`;
    const known = senders.get(key);
    const sender = known ?? open(key, from);
    // Moved to the end: the first is the one that was silent longest.
    senders.delete(key);
    senders.set(key, sender);
    const [oldest] = senders.keys();
    if (senders.size > MAX_UDP_SENDERS && oldest !== undefined) void forget(oldest);
    void sender.then((each) => {
      each?.idle.refresh();
      each?.socket.send(data, target);
    });
  });
  return {
    protocol: 'udp',
    address: front.address,
    port: front.port,
    release: () => {
      front.close();
      for (const key of [...senders.keys()]) void forget(key);
    },
  };
}

function isServed({ fromLoopback = false }: ProxyTarget, from: SocketAddress | undefined): boolean {
  return !fromLoopback || from?.address === '::1';
}
