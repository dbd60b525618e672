/** Traffic between containers while something happens, and what of it is seen on the wire. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Namespace, UdpSocket } from '../../src/osl/osl.ts';
import type { Captured } from '../support/capture.ts';

export const UDP = 17;
export const ESP = 50;
export const PLAIN_PORT = 4789;
export const ENCRYPTED_PORT = 4796;
export const MARKER = 'nobody else may read this';

export interface StreamEnd {
  readonly namespace: Namespace;
  readonly address: string;
}

/** Numbered datagrams, one every 10 ms, and which of them arrive. */
export class Stream {
  readonly arrived = new Set<number>();
  sent = 0;
  readonly #sockets: UdpSocket[];
  readonly #timer: NodeJS.Timeout;

  private constructor(from: UdpSocket, to: UdpSocket) {
    this.#sockets = [from, to];
    to.onMessage((data) => this.arrived.add(Number(data.toString().split(' ')[0])));
    const target = { address: to.address, port: to.port };
    this.#timer = setInterval(() => from.send(Buffer.from(`${this.sent++} ${MARKER}`), target), 10);
  }

  static async begin(from: StreamEnd, to: StreamEnd): Promise<Stream> {
    return new Stream(
      await from.namespace.bindUdp(from.address, 0),
      await to.namespace.bindUdp(to.address, 0),
    );
  }

  /** Waits until this many more have been sent. */
  async passes(more: number): Promise<void> {
    const last = this.sent + more;
    await expect.poll(() => this.sent, { timeout: 30_000, interval: 10 }).toBeGreaterThan(last);
  }

  /** Ends it when this many more have been sent, and answers with those that were lost. */
  async end(more: number): Promise<number[]> {
    await this.passes(more);
    clearInterval(this.#timer);
    await sleep(500);
    for (const socket of this.#sockets) socket.close();
    return Array.from({ length: this.sent }, (_, i) => i).filter((i) => !this.arrived.has(i));
  }
}

const destinationPort = ({ payload }: Captured): number => payload.readUInt16BE(2);
/** A datagram of a VXLAN, in the clear. */
export const isTunnel = (packet: Captured, port: number): boolean =>
  packet.protocol === UDP && destinationPort(packet) === port;
/** The associations that packets came with. */
export const spisOf = (packets: readonly Captured[]): Set<number> =>
  new Set(packets.filter(({ protocol }) => protocol === ESP).map(({ payload }) => payload.readUInt32BE(0)));
