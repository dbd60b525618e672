/**
 * What a controller with many networks costs, on the kernel in memory and a Level store: creating, opening again,
 * looking up, deleting. `node build/bench/scale.js [networks] [endpoints per network]`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NetworkController } from '../src/index.ts';
import { FakeKernel, fakeOsl } from '../src/osl/fake/index.ts';

const [networks = 1000, each = 10] = process.argv.slice(2).map(Number);
const dataDir = mkdtempSync(join(tmpdir(), 'libnetwork-scale-'));
const kernel = new FakeKernel();
const POOLS = [{ base: '10.0.0.0/8', size: 24 }];

const open = () =>
  NetworkController.open({
    osl: fakeOsl({ kernel }),
    dataDir,
    runDir: join(dataDir, 'run'),
    defaultAddressPools: POOLS,
  });

async function timed<T>(act: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await act();
  return [result, performance.now() - start];
}

/** The mean of the first and of the last tenth of many durations, in milliseconds. */
function ends(times: readonly number[]): string {
  const tenth = Math.max(1, Math.floor(times.length / 10));
  const mean = (part: readonly number[]) => part.reduce((sum, time) => sum + time, 0) / part.length;
  const [first, last] = [mean(times.slice(0, tenth)), mean(times.slice(-tenth))];
  return `first ${first.toFixed(3)} ms, last ${last.toFixed(3)} ms, ratio ${(last / first).toFixed(2)}`;
}

function heap(): string {
  globalThis.gc?.();
  return `${(process.memoryUsage().heapUsed / 2 ** 20).toFixed(0)} MiB`;
}

async function fill(controller: NetworkController): Promise<void> {
  const made: number[] = [];
  const added: number[] = [];
  for (let n = 0; n < networks; n++) {
    const [network, time] = await timed(() => controller.createNetwork({ name: `net${n}` }));
    made.push(time);
    for (let e = 0; e < each; e++)
      added.push((await timed(() => network.createEndpoint({ name: `end${e}` })))[1]);
  }
  console.log(`create a network: ${ends(made)}`);
  console.log(`create an endpoint: ${ends(added)}`);
}

function lookUp(controller: NetworkController): void {
  const all = controller.networks();
  const start = performance.now();
  let found = 0;
  for (let i = 0; i < 100_000; i++) {
    const network = controller.network(i % 2 ? `net${i % networks}` : (all[i % networks]?.id ?? ''));
    if (network?.endpoint(`end${i % each}`)) found++;
  }
  const each2 = ((performance.now() - start) / 100_000) * 1000;
  console.log(`look up a network and an endpoint: ${each2.toFixed(2)} µs (${found} found)`);
}

async function empty(controller: NetworkController): Promise<void> {
  const left: number[] = [];
  const gone: number[] = [];
  for (const network of controller.networks()) {
    for (const endpoint of network.endpoints()) left.push((await timed(() => endpoint.delete()))[1]);
    gone.push((await timed(() => network.delete()))[1]);
  }
  console.log(`delete an endpoint: ${ends(left)}`);
  console.log(`delete a network: ${ends(gone)}`);
}

try {
  const before = heap();
  const first = await open();
  const [, filling] = await timed(() => fill(first));
  console.log(`fill: ${(filling / 1000).toFixed(1)} s; heap ${before} before, ${heap()} after`);
  await first.close();
  const [second, opening] = await timed(open);
  console.log(
    `open with ${networks} networks and ${networks * each} endpoints: ${opening.toFixed(0)} ms, heap ${heap()}`,
  );
  const [report, comparing] = await timed(() => second.reconcile({ dryRun: true }));
  console.log(
    `reconcile: ${comparing.toFixed(0)} ms, ${report.missing.length + report.orphaned.length} findings`,
  );
  lookUp(second);
  await empty(second);
  await second.close();
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
