import packet from 'dns-packet';
import type { Sandbox } from '../../../src/index.ts';
import type { Setting } from './setting.ts';

/** Asks the sandbox's name server, as a program in it does; the answers' data. */
export async function ask(
  { osl }: Setting,
  sandbox: Sandbox,
  name: string,
  type: 'A' | 'AAAA' | 'PTR' | 'SRV' = 'A',
): Promise<unknown[]> {
  const inside = await osl.openNamespace(sandbox.namespacePath);
  const socket = await inside.bindUdp('127.0.0.1', 0);
  try {
    const reply = await new Promise<Buffer>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer for ${name}`)), 5000);
      socket.onMessage((data) => {
        clearTimeout(timer);
        resolve(data);
      });
      const question = packet.encode({ type: 'query', id: 1, questions: [{ type, name }] });
      socket.send(question, { address: '127.0.0.11', port: 53 });
    });
    return (packet.decode(reply).answers ?? []).map((answer) => ('data' in answer ? answer.data : undefined));
  } finally {
    socket.close();
    await inside.close();
  }
}
