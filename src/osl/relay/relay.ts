/**
 * What address translation can't do: connections to `::1`, whose answers could not come from another interface, and
 * connections over IPv6 to a container that has IPv4 alone. There the port is served, and each connection or
 * datagram handed on; the container sees the host's address as the sender's.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ProxyTarget, SocketAddress, TcpListener } from '../osl.ts';

export const DEFAULT_LIMITS = {
  connections: 4_096,
  idleMs: 432_000_000,
  senders: 1_024,
  senderIdleMs: 90_000,
} as const;
export const CONNECT_TIMEOUT_MS = 10_000;
/** A far end that is gone without a word is asked for after so long. */
const KEEP_ALIVE_MS = 60_000;

/** The door that connections come in by, and the one that they go out by. */
export interface TcpDoors {
  listen(onConnection: (stream: Duplex, from?: SocketAddress) => void): Promise<TcpListener>;
  /** To the target. */
  connect(): Promise<Duplex>;
}

/** Serves connections, until `close`. */
export async function relayTcp(doors: TcpDoors, target: ProxyTarget): Promise<{ close(): void }> {
  const { connections = DEFAULT_LIMITS.connections, idleMs = DEFAULT_LIMITS.idleMs } = target.limits ?? {};
  const onward = new Set<Duplex>();
  let open = 0;
  const listener = await doors.listen((client, from) => {
    client.on('error', () => client.destroy());
    if (!isServed(target, from) || open >= connections) {
      client.destroy();
      return;
    }
    open++;
    client.once('close', () => open--);
    // Who can't be led on sees his connection end; there is nobody else to be told.
    void relay(doors, client, idleMs, onward).catch(() => client.destroy());
  });
  return {
    close: () => {
      listener.close();
      for (const stream of onward) stream.destroy();
    },
  };
}

/**
 * Each side's end is told to the other, which may go on sending: half-closed connections work. Who sends faster than
 * the other takes is read no further, until it has (`pipe`).
 */
async function relay(doors: TcpDoors, client: Duplex, idleMs: number, onward: Set<Duplex>): Promise<void> {
  const server = await doors.connect();
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
  endWhenIdle([client, server], idleMs);
  client.pipe(server);
  server.pipe(client);
}

/** Both directions have come to their ends: what is still on its way to the other side gets there. */
function hasFinished({ readableEnded, writableFinished }: Duplex): boolean {
  return readableEnded && writableFinished;
}

function endWhenIdle(ends: readonly [Duplex, Duplex], idleMs: number): void {
  const timer = setTimeout(() => {
    for (const end of ends) end.destroy();
  }, idleMs).unref();
  for (const end of ends) {
    if (end instanceof Socket) end.setKeepAlive(true, KEEP_ALIVE_MS);
    end.on('data', () => timer.refresh());
    end.once('close', () => clearTimeout(timer));
  }
}

export function isServed({ fromLoopback = false }: ProxyTarget, from: SocketAddress | undefined): boolean {
  return !fromLoopback || from?.address === '::1';
}
