/** A process's sockets in one namespace of a fake kernel. They end with it. */
import type { Duplex } from 'node:stream';
import { LibnetworkError } from '../../errors.ts';
import type { HeldPort, PortSpec, TcpListener, UdpSocket } from '../osl.ts';
import type { Handle } from './handle.ts';
import { boundAddress, type Place, place } from './ports.ts';
import type { NetnsState, SocketState } from './state.ts';

export class Sockets {
  readonly #handle: Handle;
  readonly #netns: NetnsState;

  constructor(handle: Handle, netns: NetnsState) {
    this.#handle = handle;
    this.#netns = netns;
  }

  bindUdp(address: string, port: number): UdpSocket {
    const { socket, close } = this.#bind({ protocol: 'udp', address, port }, { listening: true });
    return {
      address: boundAddress(socket),
      port: socket.port,
      onMessage: () => undefined,
      send: () => undefined,
      close,
    };
  }

  listenTcp(address: string, port: number, _onConnection: (stream: Duplex) => void): TcpListener {
    const { socket, close } = this.#bind({ protocol: 'tcp', address, port }, { listening: true });
    return { address: boundAddress(socket), port: socket.port, close };
  }

  connectTcp(_address: string, _port: number): Duplex {
    throw new LibnetworkError('NOT_IMPLEMENTED', 'no packets yet');
  }

  ping(_address: string): number | undefined {
    return undefined;
  }

  holdPort(port: PortSpec): HeldPort {
    const { socket, close } = this.#bind(port, { listening: false });
    return { protocol: port.protocol, address: boundAddress(socket), port: socket.port, release: close };
  }

  /** Puts a socket into the namespace, which it keeps alive, until it is closed or its process ends. */
  #bind(wanted: Place, what: { listening: boolean }): { socket: SocketState; close: () => void } {
    const bound = place(this.#netns, wanted);
    const { sockets } = this.#handle;
    const socket: SocketState = { ...bound, protocol: wanted.protocol, listening: what.listening };
    const close = (): void => {
      if (!sockets.delete(close)) return;
      this.#netns.sockets.delete(socket);
      this.#handle.kernel.release(this.#netns, socket);
    };
    sockets.add(close);
    this.#netns.sockets.add(socket);
    this.#netns.holders.add(socket);
    return { socket, close };
  }
}
