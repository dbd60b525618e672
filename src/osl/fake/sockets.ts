/** A process's sockets in one namespace of a fake kernel. They end with it. */
import type { Duplex } from 'node:stream';
import { formatAddress, parseAddress } from '../../ip.ts';
import type { HeldPort, PortSpec, SocketAddress, TcpListener, UdpSocket } from '../osl.ts';
import { lasting } from './conntrack.ts';
import type { Handle } from './handle.ts';
import { Lost } from './packet.ts';
import { type BoundPlace, boundAddress, type Place, place, sourcePort } from './ports.ts';
import { exchange, takerOf } from './reach.ts';
import { Refusal } from './refusal.ts';
import type { NetnsState, SocketState } from './state.ts';
import { streamPair } from './stream.ts';
import { type Outgoing, Walk } from './walk.ts';

/** IPv4 and UDP headers, for the statistics. */
const HEADER_BYTES = 28;

type Actions = Pick<SocketState, 'deliver' | 'accept' | 'listening'>;
type UdpListener = Parameters<UdpSocket['onMessage']>[0];

export class Sockets {
  readonly #handle: Handle;
  readonly #netns: NetnsState;

  constructor(handle: Handle, netns: NetnsState) {
    this.#handle = handle;
    this.#netns = netns;
  }

  bindUdp(address: string, port: number): UdpSocket {
    const listeners: UdpListener[] = [];
    let open = true;
    const { bound, close } = this.#bind(
      { protocol: 'udp', address, port },
      {
        listening: true,
        // Delivered on a later turn, so that a sender never runs its receiver's code.
        deliver: (data, from) =>
          queueMicrotask(() => {
            if (open) for (const listener of listeners) listener(data, from);
          }),
      },
    );
    return {
      address: boundAddress(bound),
      port: bound.port,
      onMessage: (listener) => void listeners.push(listener),
      send: (data, to) => {
        if (open) this.#sendUdp(bound, Buffer.from(data), to);
      },
      close: () => {
        open = false;
        close();
      },
    };
  }

  #sendUdp(bound: BoundPlace, data: Buffer, to: { readonly address: string; readonly port: number }): void {
    const destination = parseAddress(to.address);
    if (destination?.family !== bound.family) return;
    const { kernel } = this.#handle;
    try {
      const arrival = new Walk(kernel, lasting, true).send(this.#netns, {
        protocol: 'udp',
        source: bound.address,
        sourcePort: bound.port,
        destination,
        destinationPort: to.port,
        bytes: data.length + HEADER_BYTES,
      });
      const { source, sourcePort: port } = arrival.packet;
      takerOf(kernel, arrival)?.deliver?.(data, { address: formatAddress(source), port });
    } catch (error) {
      // A datagram that is lost is lost in silence, as on a network.
      if (!(error instanceof Lost)) throw error;
    }
  }

  listenTcp(
    address: string,
    port: number,
    onConnection: (stream: Duplex, from?: SocketAddress) => void,
  ): TcpListener {
    const streams = new Set<Duplex>();
    const { bound, close } = this.#bind(
      { protocol: 'tcp', address, port },
      {
        listening: true,
        accept: (stream, from) => {
          streams.add(stream);
          stream.once('close', () => streams.delete(stream));
          setImmediate(() => onConnection(stream, from));
        },
      },
      () => {
        for (const stream of streams) stream.destroy();
      },
    );
    return { address: boundAddress(bound), port: bound.port, close };
  }

  connectTcp(address: string, port: number): Duplex {
    const outgoing = this.#outgoing('tcp', address, port);
    const { socket, there } = this.#exchange(outgoing);
    const [near, far] = streamPair();
    const { sockets } = this.#handle;
    const end = (): void => void near.destroy();
    sockets.add(end);
    near.once('close', () => sockets.delete(end));
    const { source, sourcePort: from } = there.packet;
    socket?.accept?.(far, { address: formatAddress(source), port: from });
    return near;
  }

  /** The round trip in milliseconds: none to speak of. */
  ping(address: string): number | undefined {
    const family = parseAddress(address)?.family;
    try {
      exchange(
        this.#handle.kernel,
        lasting,
        this.#netns,
        this.#outgoing(family === 'ipv6' ? 'icmpv6' : 'icmp', address),
        true,
      );
      return 0.05;
    } catch (error) {
      if (error instanceof Lost) return undefined;
      throw error;
    }
  }

  #outgoing(protocol: 'tcp' | 'icmp' | 'icmpv6', address: string, port?: number): Outgoing {
    const destination = parseAddress(address);
    if (destination === undefined) throw new Refusal('EINVAL', `not an address: ${address}`);
    const from = sourcePort(this.#netns, 'tcp', destination.family);
    return {
      protocol,
      source: undefined,
      sourcePort: from,
      destination,
      destinationPort: port ?? from,
      bytes: HEADER_BYTES,
    };
  }

  #exchange(outgoing: Outgoing): ReturnType<typeof exchange> {
    try {
      return exchange(this.#handle.kernel, lasting, this.#netns, outgoing, true);
    } catch (error) {
      if (error instanceof Lost) throw new Refusal(errnoOf[error.reason], error.why);
      throw error;
    }
  }

  holdPort(port: PortSpec): HeldPort {
    const { bound, close } = this.#bind(port, { listening: false });
    return { protocol: port.protocol, address: boundAddress(bound), port: bound.port, release: close };
  }

  /** Puts a socket into the namespace, which it keeps alive, until it is closed or its process ends. */
  #bind(wanted: Place, actions: Actions, onClose?: () => void): { bound: BoundPlace; close: () => void } {
    const bound = place(this.#netns, wanted);
    const { sockets, kernel } = this.#handle;
    const socket: SocketState = { ...bound, protocol: wanted.protocol, ...actions };
    const close = (): void => {
      if (!sockets.delete(close)) return;
      onClose?.();
      this.#netns.sockets.delete(socket);
      kernel.release(this.#netns, socket);
    };
    sockets.add(close);
    this.#netns.sockets.add(socket);
    this.#netns.holders.add(socket);
    return { bound, close };
  }
}

const errnoOf = {
  'no route': 'ENETUNREACH',
  'no neighbour': 'EHOSTUNREACH',
  refused: 'ECONNREFUSED',
  silence: 'ETIMEDOUT',
} as const;
