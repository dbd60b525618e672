/** How fast bytes go from one namespace to another. */
import type { Namespace } from '../../src/osl/osl.ts';

/** A rate over about two seconds as a part of the one expected; a busy machine may need a second try to get as far as it is allowed. */
export async function steady(expected: number, ...way: Parameters<typeof measure>): Promise<number> {
  const [from, to, address, port] = way;
  let rate = 0;
  for (let i = 0; i < 3 && rate < expected * 0.9; i++) rate = await measure(from, to, address, port + i);
  return rate / expected;
}

/** Bits a second from one namespace to another, over about two seconds. */
async function measure(from: Namespace, to: Namespace, address: string, port: number): Promise<number> {
  let told: (rate: number) => void = () => undefined;
  const received = new Promise<number>((resolve) => {
    told = resolve;
  });
  const listener = await to.listenTcp('0.0.0.0', port, (stream) => {
    let bytes = 0;
    let first = 0;
    stream.on('error', () => stream.destroy());
    stream.on('data', (chunk: Buffer) => {
      first ||= performance.now();
      bytes += chunk.length;
      const seconds = (performance.now() - first) / 1000;
      if (seconds < 2) return;
      stream.destroy();
      told((bytes * 8) / seconds);
    });
  });
  const stream = await from.connectTcp(address, port);
  stream.on('error', () => stream.destroy());
  const chunk = Buffer.alloc(4 << 20);
  const pump = (): void => {
    while (!stream.destroyed && stream.write(chunk));
  };
  stream.on('drain', pump);
  pump();
  const rate = await received;
  listener.close();
  return rate;
}
