import { once } from 'node:events';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import packet from 'dns-packet';
import type { Namespace } from '../../../src/osl/osl.ts';
import { NameTable } from '../../../src/resolver/names.ts';

/** What `client.mjs` prints; `rcode` is there at run time, though the codec's types do not know it. */
export type Reply = packet.DecodedPacket & {
  readonly rcode?: string;
  readonly from?: string;
  readonly silent?: boolean;
  readonly error?: string;
};

/** Asks 127.0.0.11 port 53 inside the namespace; `size` is what EDNS offers, 0 for no EDNS. */
export type Ask = (
  namespace: Namespace,
  name: string,
  type?: string,
  transport?: 'udp' | 'tcp',
  size?: number,
) => Promise<Reply>;

/** Asks from a process inside. */
export const ask: Ask = async (namespace, name, type = 'A', transport = 'udp', size = 0) => {
  const client = resolve('test/kernel/resolver/client.mjs');
  return JSON.parse(await run(namespace, process.execPath, [client, transport, name, type, String(size)]));
};

/** Asks from a socket of this process inside. */
export const askFromHere: Ask = async (namespace, name, type = 'A', transport = 'udp', size = 0) => {
  const opt = { type: 'OPT', name: '.', udpPayloadSize: size, options: [] } as unknown as packet.OptAnswer;
  const question = packet.encode({
    type: 'query',
    id: 4711,
    questions: [{ name, type: type as packet.RecordType }],
    additionals: size === 0 ? [] : [opt],
  });
  if (transport === 'udp') {
    const socket = await namespace.bindUdp('127.0.0.1', 0);
    const reply = new Promise<Reply>((resolve) => {
      socket.onMessage((message, { address, port }) =>
        resolve({ ...packet.decode(message), from: `${address} ${port}` }),
      );
    });
    socket.send(question, { address: '127.0.0.11', port: 53 });
    return reply.finally(() => socket.close());
  }
  const stream = await namespace.connectTcp('127.0.0.11', 53);
  stream.write(Buffer.concat([Buffer.from([question.length >> 8, question.length & 255]), question]));
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0))
      return packet.streamDecode(bytes) as Reply;
  }
  throw new Error('the server hung up');
};

/** The output of a program that ran inside the namespace, whatever its exit code. */
export async function run(namespace: Namespace, file: string, args: readonly string[]): Promise<string> {
  const child = namespace.spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.stdout === null) throw new Error(`${file} has no output`);
  const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return output;
}

export function namesOf(sandbox: string): NameTable {
  const names = new NameTable();
  names.setSandbox({ id: sandbox, networks: ['n1'], aliases: { db: 'web' } });
  names.setEndpoint({
    id: 'e1',
    networkId: 'n1',
    networkName: 'front',
    names: ['web', 'www'],
    ipv4: '10.9.0.5/24',
    ipv6: 'fd00::5/64',
  });
  return names;
}

/** A server that answers every address question with `data` or `records`, and `many.example` with 60 records. */
export async function serve(
  namespace: Namespace,
  address: string,
  data: string,
  records?: (name: string) => readonly packet.Answer[],
): Promise<{ readonly asked: string[]; close(): void }> {
  const asked: string[] = [];
  const reply = (message: Buffer, transport: string) => {
    const { id, questions = [] } = packet.decode(message);
    const name = questions[0]?.name ?? '.';
    asked.push(`${transport} ${questions[0]?.type} ${name}`);
    const count = name === 'many.example' ? 60 : 1;
    const isCut = count > 1 && transport === 'udp';
    const one: packet.Answer = { type: 'A', name, ttl: 5, data };
    const answers = [...(records?.(name) ?? Array.from({ length: isCut ? 0 : count }, () => one))];
    return packet.encode({ type: 'response', id, questions, answers, flags: isCut ? 0x8380 : 0x8180 });
  };
  const socket = await namespace.bindUdp(address, 53);
  socket.onMessage((message, from) => socket.send(reply(message, 'udp'), from));
  const listener = await namespace.listenTcp(address, 53, (stream) => {
    stream.on('data', (chunk: Buffer) => {
      const sent = reply(chunk.subarray(2), 'tcp');
      stream.write(Buffer.concat([Buffer.from([sent.length >> 8, sent.length & 255]), sent]));
    });
    stream.on('end', () => stream.end());
    stream.on('error', () => stream.destroy());
  });
  const close = () => {
    socket.close();
    listener.close();
  };
  return { asked, close };
}

/** Joins a sandbox's namespace to the host by a veth pair: 10.9.0.1 and 10.9.0.5. */
export async function connect(host: Namespace, sandbox: Namespace): Promise<void> {
  await host.apply([
    {
      op: 'createLink',
      name: 'vhost',
      up: true,
      link: { kind: 'veth', peer: { name: 'eth0', namespace: sandbox } },
    },
    { op: 'addAddress', link: 'vhost', address: '10.9.0.1/24' },
  ]);
  await sandbox.apply([
    { op: 'setLink', name: 'eth0', up: true },
    { op: 'addAddress', link: 'eth0', address: '10.9.0.5/24' },
  ]);
}
