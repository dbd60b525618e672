/** Servers that answer everything, and write down what arrives. */
import packet from 'dns-packet';
import type { Namespace } from 'libnetwork/osl';
import { ALLOWED, EVIL, HOST, METADATA } from './addresses.ts';

/** Addresses that a name server gives: an allowed name's owner may claim to be anybody. */
const RECORDS: Readonly<Record<string, readonly string[]>> = {
  [ALLOWED[0].name]: [ALLOWED[0].ipv4, ALLOWED[0].ipv6],
  [ALLOWED[1].name]: [ALLOWED[1].ipv4, ALLOWED[1].ipv6, METADATA.ipv4, HOST.gateway4],
};

export class Witness {
  /** What arrived, each with the place: `evil.example: GET /attempt-3`, `name server: A evil.example`. */
  readonly seen: string[] = [];
  readonly #servers: { close(): void }[] = [];

  close(): void {
    for (const server of this.#servers) server.close();
  }

  /** Answers HTTP at a TCP port with the place's name. */
  async web(namespace: Namespace, address: string, port: number, place: string): Promise<void> {
    const listener = await namespace.listenTcp(address, port, (stream) => {
      // A connection alone is something that arrived.
      const at = this.seen.push(`${place}: a connection at port ${port}`) - 1;
      stream.on('error', () => stream.destroy());
      stream.once('data', (data: Buffer) => {
        this.seen[at] = `${place}: ${data.toString('latin1').split(' HTTP', 1)[0]}`;
        stream.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${place}`);
      });
    });
    this.#servers.push(listener);
  }

  async udp(namespace: Namespace, address: string, port: number, place: string): Promise<void> {
    const socket = await namespace.bindUdp(address, port);
    this.#servers.push(socket);
    socket.onMessage((data, from) => {
      this.seen.push(`${place}: ${data.toString('latin1')}`);
      socket.send(Buffer.from(place), from);
    });
  }

  /** Answers every question: names it does not know are those of evil. */
  async names(namespace: Namespace, address: string): Promise<void> {
    const socket = await namespace.bindUdp(address, 53);
    this.#servers.push(socket);
    socket.onMessage((data, from) => socket.send(this.#answer(data), from));
  }

  #answer(data: Buffer): Buffer {
    const { id, questions = [] } = packet.decode(data);
    const [question] = questions;
    const [name, type] = [question?.name ?? '.', question?.type ?? 'A'];
    this.seen.push(`name server: ${type} ${name}`);
    const addresses = RECORDS[name] ?? [EVIL.ipv4, EVIL.ipv6];
    const answers: packet.Answer[] =
      type === 'TXT'
        ? [{ type, name, ttl: 5, data: 'an order from outside' }]
        : type === 'A' || type === 'AAAA'
          ? addresses
              .filter((each) => each.includes(':') === (type === 'AAAA'))
              .map((each) => ({ type, name, ttl: 5, data: each }))
          : [];
    // A response with recursion available (RFC 1035, 4.1.1).
    return packet.encode({ type: 'response', id, questions, answers, flags: 0x8180 });
  }
}
