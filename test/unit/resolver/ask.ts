import packet from 'dns-packet';
import type { Net } from './net.ts';

/** `rcode` is there at run time, though the codec's types do not know it. */
export type Reply = packet.DecodedPacket & { readonly rcode?: string; readonly silent?: boolean };

export interface AskOptions {
  readonly id?: number;
  readonly edns?: number;
  readonly ednsVersion?: number;
  /** Nothing within this time counts as silence. */
  readonly silentMs?: number;
}

/** Asks the name server of a sandbox by UDP, as a client at port 53 would. */
export async function ask(
  net: Net,
  question: string | Buffer,
  type = 'A',
  options: AskOptions = {},
): Promise<Reply> {
  const port = net.intents.flatMap((it) => (it.kind === 'resolver' ? [it.udpPort] : []))[0] ?? 53;
  const message = typeof question === 'string' ? query(question, type, options) : question;
  const socket = await net.bindUdp('127.0.0.1', 0);
  try {
    return await new Promise<Reply>((resolve, reject) => {
      const silent = () =>
        options.silentMs === undefined ? reject(new Error('no answer')) : resolve({ silent: true } as Reply);
      const timer = setTimeout(silent, options.silentMs ?? 5000);
      socket.onMessage((reply) => {
        clearTimeout(timer);
        resolve(packet.decode(reply) as Reply);
      });
      socket.send(message, { address: '127.0.0.11', port });
    });
  } finally {
    socket.close();
  }
}

/** Asks for addresses on one connection, and returns the answers in the order of the questions. */
export async function askTcp(net: Net, questions: readonly string[]): Promise<readonly Reply[]> {
  const port = net.intents.flatMap((it) => (it.kind === 'resolver' ? [it.tcpPort] : []))[0] ?? 53;
  const stream = await net.connectTcp('127.0.0.11', port);
  const replies: Reply[] = [];
  await new Promise<void>((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 2 + chunk.readUInt16BE(at))
        replies.push(packet.streamDecode(chunk.subarray(at)) as Reply);
      if (replies.length === questions.length) resolve();
    });
    stream.on('end', () => reject(new Error('closed')));
    for (const [id, name] of questions.entries()) {
      const message = query(name, 'A', { id });
      stream.write(Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]));
    }
  });
  stream.destroy();
  return replies.toSorted((a, b) => (a.id ?? 0) - (b.id ?? 0));
}

/** A question as its bytes; types that the codec does not know are written by number. */
export function query(name: string, type: string, options: AskOptions = {}): Buffer {
  const { id = 1, edns, ednsVersion = 0 } = options;
  const opt = { type: 'OPT', name: '.', udpPayloadSize: edns ?? 1232, ednsVersion, options: [] };
  const message = packet.encode({
    type: 'query',
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type: (type === 'HTTPS' ? 'A' : type) as packet.RecordType }],
    ...(edns === undefined && ednsVersion === 0 ? {} : { additionals: [opt as unknown as packet.OptAnswer] }),
  });
  if (type === 'HTTPS') message.writeUInt16BE(65, 12 + name.length + 2);
  return message;
}
