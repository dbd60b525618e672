/**
 * UDP sockets that move up to 64 datagrams with one call: recvmmsg(2) and sendmmsg(2). Node's own socket watches the
 * descriptor, owns it, and brings the first datagram; what has come behind it is taken at once. What is sent while
 * they are looked at, or in one turn of the event loop, goes out together.
 */

import { createSocket, type Socket, type SocketOptions } from 'node:dgram';
import { once } from 'node:events';
import { errnoName, kernelError } from '../errno.ts';
import type { SocketAddress, UdpSocket } from '../osl.ts';
import { libc } from './libc.ts';
import { BATCH, inbox, type Outbox, takeOutbox } from './mailbox.ts';
import { showEndpoint } from './sockaddr.ts';

type Listener = Parameters<UdpSocket['onMessage']>[0];
type UnsentListener = Parameters<NonNullable<UdpSocket['onUnsent']>>[0];

/** Over so many datagrams that wait for room in the kernel, more are lost as on a network. */
const MOST_WAITING = 1000;
/** Where datagrams come one by one, more are looked for only behind each of this many. */
const SELDOM = 8;

/** Takes over a bound socket that does not block; it stays the caller's if that fails. */
export async function datagrams(fd: number, local: SocketAddress): Promise<UdpSocket> {
  const socket = createSocket({ type: local.address.includes(':') ? 'udp6' : 'udp4', lookup: noLookup });
  const listening = once(socket, 'listening');
  socket.bind({ fd, exclusive: true });
  await listening;
  // What can't be sent or received is lost, as the network loses it.
  socket.on('error', nothing);
  return new Datagrams(fd, local, socket);
}

class Datagrams implements UdpSocket {
  readonly address: string;
  readonly port: number;
  readonly #fd: number;
  readonly #socket: Socket;
  readonly #listeners: Listener[] = [];
  readonly #unsentListeners: UnsentListener[] = [];
  /** What is to be sent at the end of this turn. */
  #outbox: Outbox | undefined;
  #isReading = false;
  /** How many came alone since there was last one behind another. */
  #alone = 0;
  /** How many were taken behind others in this turn of the event loop. The other sockets have their turn too. */
  #taken = 0;
  #isScheduled = false;
  #isOpen = true;

  constructor(fd: number, { address, port }: SocketAddress, socket: Socket) {
    this.address = address;
    this.port = port;
    this.#fd = fd;
    this.#socket = socket;
    socket.on('message', (first, sender) => this.#receive(first, sender));
  }

  onMessage(listener: Listener): void {
    this.#listeners.push(listener);
  }

  onUnsent(listener: UnsentListener): void {
    this.#unsentListeners.push(listener);
  }

  send(data: Uint8Array, to: SocketAddress): void {
    if (!this.#isOpen) return;
    this.#outbox ??= takeOutbox();
    if (!this.#outbox.add(data, to)) {
      this.#flush();
      this.#outbox = takeOutbox();
      // Longer than any datagram, or to an address that only Node can read: it names a link.
      if (!this.#outbox.add(data, to)) this.#sendSlowly(data, to);
    }
    if (!this.#isReading) this.#schedule();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#flush();
    this.#isOpen = false;
    this.#socket.close();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#isScheduled = false;
    this.#taken = 0;
    this.#flush();
  };

  #receive(first: Buffer, sender: SocketAddress): void {
    this.#isReading = true;
    try {
      this.#tell(first, sender);
      const isDue = this.#alone < SELDOM || this.#alone % SELDOM === 0;
      if (!isDue) this.#alone++;
      else if (this.#isOpen && this.#taken < BATCH) this.#receiveMore();
    } finally {
      this.#isReading = false;
      // libuv brings up to 31 more in this turn, each by itself: what they are answered goes out at its end.
      if (this.#taken < BATCH) this.#flush();
    }
  }

  #receiveMore(): void {
    const box = inbox();
    const count = box.receive(this.#fd);
    this.#alone = count === 0 ? this.#alone + 1 : 0;
    this.#taken += count;
    if (count > 0) this.#schedule();
    for (let i = 0; i < count && this.#isOpen; i++) {
      const sender = box.sender(i);
      if (sender !== undefined) this.#tell(box.copy(i), sender);
    }
  }

  #tell(data: Buffer, sender: SocketAddress): void {
    for (const listener of this.#listeners) listener(data, sender);
  }

  #flush(): void {
    const outbox = this.#outbox;
    this.#outbox = undefined;
    if (outbox === undefined || !this.#isOpen) return;
    while (!outbox.send(this.#fd)) {
      const name = errnoName(libc().errno());
      if (name === 'EINTR') continue;
      const { data, to } = outbox.skip();
      // It waits for room where it keeps nobody else from being sent; others that can go, go.
      if (name === 'EAGAIN') this.#sendSlowly(data, to);
      else this.#tellUnsent(data, to, name);
    }
    outbox.release();
  }

  /** Leaves a datagram to Node, which keeps it until the kernel has room. */
  #sendSlowly(data: Uint8Array, to: SocketAddress): void {
    if (this.#socket.getSendQueueCount() >= MOST_WAITING) return;
    this.#socket.send(Buffer.from(data), to.port, to.address);
  }

  #tellUnsent(data: Uint8Array, to: SocketAddress, errno: string): void {
    const error = kernelError(`send to ${showEndpoint(to.address, to.port)}`, errno);
    for (const listener of this.#unsentListeners) listener(to, data, error);
  }
}

/**
 * For addresses only, at once: Node's own look-up would put off each send to the next tick, and ask name servers
 * for what is no address. Such a send fails in the kernel, and is lost.
 */
const noLookup: SocketOptions['lookup'] = (address, _options, done) => done(null, address, 0);

function nothing(): undefined {
  return undefined;
}
