/** How fast one TCP connection is between two namespaces, in Gbit/s: by iperf3 where it is, else by this process. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Namespace } from 'libnetwork/osl';
import { programPath } from './dockerd.ts';

const SECONDS = 3;

/** @param at where the server listens, when that is not what the client connects to */
export async function throughput(
  from: Namespace,
  to: Namespace,
  address: string,
  port: number,
  at = port,
): Promise<number> {
  const measure = programPath('iperf3') ? byIperf : byStreams;
  return (await measure(from, to, address, port, at)) / 1e9;
}

async function byIperf(
  from: Namespace,
  to: Namespace,
  address: string,
  port: number,
  at: number,
): Promise<number> {
  const server = to.spawn('iperf3', ['-s', '-1', '-p', String(at)], { stdio: 'ignore' });
  const ended = once(server, 'exit');
  try {
    for (let attempt = 0; ; attempt++) {
      const args = ['-c', address, '-p', String(port), '-t', String(SECONDS), '-J'];
      const client = from.spawn('iperf3', args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const parts: Buffer[] = [];
      client.stdout?.on('data', (part: Buffer) => parts.push(part));
      await once(client, 'close');
      const result = JSON.parse(Buffer.concat(parts).toString()) as {
        error?: string;
        end?: { sum_received?: { bits_per_second: number } };
      };
      const rate = result.end?.sum_received?.bits_per_second;
      if (rate !== undefined) return rate;
      // The server has not come as far as to listen.
      if (attempt === 20) throw new Error(`iperf3: ${result.error}`);
      await sleep(100);
    }
  } finally {
    server.kill();
    await ended;
  }
}

async function byStreams(
  from: Namespace,
  to: Namespace,
  address: string,
  port: number,
  at: number,
): Promise<number> {
  let listener: { close(): void } | undefined;
  const received = new Promise<number>((resolve, reject) => {
    let bytes = 0;
    let first = 0;
    to.listenTcp('0.0.0.0', at, (stream) => {
      stream.on('error', () => stream.destroy());
      stream.on('data', (chunk: Buffer) => {
        first ||= performance.now();
        bytes += chunk.length;
        const seconds = (performance.now() - first) / 1000;
        if (seconds < SECONDS) return;
        stream.destroy();
        resolve((bytes * 8) / seconds);
      });
    }).then((made) => {
      listener = made;
    }, reject);
  });
  const stream = await from.connectTcp(address, port);
  stream.on('error', () => stream.destroy());
  const chunk = Buffer.alloc(4 << 20);
  const pump = (): void => {
    while (!stream.destroyed && stream.write(chunk));
  };
  stream.on('drain', pump);
  pump();
  try {
    return await received;
  } finally {
    stream.destroy();
    listener?.close();
  }
}
