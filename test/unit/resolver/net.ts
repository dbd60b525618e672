import { Duplex } from 'node:stream';
import packet from 'dns-packet';
import { LibnetworkError } from '../../../src/errors.ts';
import type { Firewall, Intent } from '../../../src/osl/firewall/firewall.ts';
import type { TcpListener, UdpSocket } from '../../../src/osl/osl.ts';
import type { ServerNamespace } from '../../../src/resolver/options.ts';

type Listener = Parameters<UdpSocket['onMessage']>[0];
type Answer = Partial<packet.Packet> & { readonly rcode?: number };

/** A network in memory, just enough for a name server, its clients and the servers behind it. */
export class Net implements ServerNamespace {
  readonly intents: Intent[] = [];
  readonly #udp = new Map<string, Listener>();
  readonly #tcp = new Map<string, (stream: Duplex) => void>();
  readonly #streams = new Set<Duplex>();
  #port = 40_000;

  get openSockets(): number {
    return this.#udp.size + this.#tcp.size;
  }

  async bindUdp(address: string, asked: number): Promise<UdpSocket> {
    const port = asked || this.#port++;
    const key = `${address} ${port}`;
    if (this.#udp.has(key)) throw new LibnetworkError('CONFLICT', 'in use', { errno: 'EADDRINUSE' });
    this.#udp.set(key, () => undefined);
    const from = { address: address === '0.0.0.0' ? '10.0.0.99' : address, port };
    return {
      address,
      port,
      onMessage: (listener) => this.#udp.set(key, listener),
      send: (data, to) => {
        const copy = Buffer.from(data);
        setImmediate(() => {
          const exact = this.#udp.get(`${to.address} ${to.port}`);
          const any = to.address.includes(':') ? '::' : '0.0.0.0';
          (exact ?? this.#udp.get(`${any} ${to.port}`))?.(copy, from);
        });
      },
      close: () => this.#udp.delete(key),
    };
  }

  async listenTcp(address: string, asked: number, accept: (stream: Duplex) => void): Promise<TcpListener> {
    const port = asked || this.#port++;
    const key = `${address} ${port}`;
    this.#tcp.set(key, (stream) => {
      this.#streams.add(stream);
      accept(stream);
    });
    return {
      address,
      port,
      close: () => {
        this.#tcp.delete(key);
        for (const stream of this.#streams) stream.destroy();
      },
    };
  }

  async connectTcp(address: string, port: number): Promise<Duplex> {
    const accept = this.#tcp.get(`${address} ${port}`);
    if (accept === undefined) throw new LibnetworkError('UNAVAILABLE', 'refused', { errno: 'ECONNREFUSED' });
    const [near, far] = pair();
    accept(far);
    return near;
  }

  async firewall(): Promise<Firewall> {
    const unused = () => Promise.reject(new Error('not used here'));
    return {
      engine: 'nftables',
      apply: unused,
      preview: unused,
      plan: unused,
      sync: async (intents) => {
        this.intents.splice(0, Infinity, ...intents);
        return { missing: [], orphaned: [] };
      },
      intents: () => this.intents,
      destroy: async () => void this.intents.splice(0),
      close: () => Promise.resolve(),
    };
  }
}

/** A server behind ours: answers by UDP and TCP what `answer` says, nothing where that is `undefined`. */
export async function serve(
  net: Net,
  address: string,
  answer: (query: packet.DecodedPacket, transport: 'udp' | 'tcp') => Answer | undefined,
): Promise<{ readonly asked: string[] }> {
  const asked: string[] = [];
  const reply = (message: Buffer, transport: 'udp' | 'tcp') => {
    const query = packet.decode(message);
    const [question] = query.questions ?? [];
    asked.push(`${transport} ${question?.type} ${question?.name}`);
    const { rcode = 0, flags = 0x8180, ...rest } = answer(query, transport) ?? { rcode: -1 };
    const { questions, id } = query;
    return rcode < 0
      ? undefined
      : packet.encode({ type: 'response', questions, id, flags: flags | rcode, ...rest });
  };
  const socket = await net.bindUdp(address, 53);
  socket.onMessage((message, from) => {
    const sent = reply(message, 'udp');
    if (sent) socket.send(sent, from);
  });
  await net.listenTcp(address, 53, (stream) => {
    stream.on('data', (chunk: Buffer) => {
      const sent = reply(chunk.subarray(2), 'tcp');
      if (sent) stream.write(Buffer.concat([Buffer.from([sent.length >> 8, sent.length & 255]), sent]));
    });
  });
  return { asked };
}

/** Two ends of a stream. */
function pair(): [Duplex, Duplex] {
  const end = (other: () => Duplex) =>
    new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        other().push(chunk);
        done();
      },
      final: (done) => {
        other().push(null);
        done();
      },
      destroy: (error, done) => {
        setImmediate(() => other().push(null));
        done(error);
      },
    });
  const near: Duplex = end(() => far);
  const far: Duplex = end(() => near);
  return [near, far];
}
