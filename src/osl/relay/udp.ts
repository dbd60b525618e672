import { LibnetworkError } from '../../errors.ts';
import type { ProxyTarget, SocketAddress, UdpSocket } from '../osl.ts';
import { DEFAULT_LIMITS, isServed } from './relay.ts';

interface Sender {
  readonly socket: UdpSocket;
  idle: NodeJS.Timeout;
}

/**
 * Hands on datagrams that come to a socket, each sender's from a port of its own, so that answers find back.
 * @param open makes a socket that reaches the target
 * @returns what ends it, and closes the socket
 */
export function relayUdp(
  front: UdpSocket,
  open: () => Promise<UdpSocket>,
  target: ProxyTarget,
): { close(): void } {
  const { senders: most = DEFAULT_LIMITS.senders, senderIdleMs = DEFAULT_LIMITS.senderIdleMs } =
    target.limits ?? {};
  const senders = new Map<string, Promise<Sender | undefined>>();
  const forget = async (key: string): Promise<void> => {
    const sender = senders.get(key);
    senders.delete(key);
    const known = await sender;
    if (known === undefined) return;
    clearTimeout(known.idle);
    known.socket.close();
  };
  const wait = (key: string) => setTimeout(() => void forget(key), senderIdleMs).unref();
  const admit = async (key: string, from: SocketAddress): Promise<Sender | undefined> => {
    try {
      const socket = await open();
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
    const sender = senders.get(key) ?? admit(key, from);
    // Moved to the end: the first is the one that was silent longest.
    senders.delete(key);
    senders.set(key, sender);
    const [oldest] = senders.keys();
    if (senders.size > most && oldest !== undefined) void forget(oldest);
    void sender.then((each) => {
      each?.idle.refresh();
      each?.socket.send(data, target);
    });
  });
  return {
    close: () => {
      front.close();
      for (const key of [...senders.keys()]) void forget(key);
    },
  };
}
