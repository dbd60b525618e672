import { attach, detach, type Ground, sandboxes, timed } from './ground.ts';
import { median, type Row, row } from './row.ts';

const ROUNDS = 6;
const PER_ROUND = 8;
const FIRST_PORT = 20_000;

/**
 * What a published port adds to an attach, and takes from a detach: attaches with and without one take turns, and
 * the medians are subtracted. The floor is a listening socket and one transaction of two elements.
 */
export async function portBench(ground: Ground): Promise<readonly Row[]> {
  await rounds(ground, 1);
  const { withPort, without, publish } = await rounds(ground, ROUNDS);
  const plain = median(without) ?? 0;
  return [
    row('published port', 'us', { ours: withPort.map((us) => us - plain), floor: publish }),
    row('attach with a published port', 'us', { ours: withPort, floor: without }),
  ];
}

async function rounds({ controller, network, floors }: Ground, count: number) {
  const withPort: number[] = [];
  const without: number[] = [];
  const publish: number[] = [];
  const floor = floors.start('port');
  for (let round = 0; round < count; round++) {
    publish.push(...((await floor.ask(PER_ROUND)).publish ?? []));
    const made = await sandboxes(controller, PER_ROUND * 2);
    const attached = [];
    for (const [i, sandbox] of made.entries()) {
      const published = i % 2 === 0;
      const ports = published ? [{ protocol: 'tcp' as const, container: 80, host: FIRST_PORT + i }] : [];
      const [us, one] = await timed(() => attach(network, sandbox, { ports }));
      (published ? withPort : without).push(us);
      attached.push(one);
    }
    await Promise.all(attached.map(detach));
    await Promise.all(made.map((sandbox) => sandbox.delete()));
  }
  await floor.close();
  return { withPort, without, publish };
}
