/**
 * What a controller with many networks costs, on the kernel in memory and a Level store: creating, opening again,
 * looking up, deleting. What shall not grow is beside what it cost at the beginning.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { NetworkController } from 'libnetwork';
import { FakeKernel, fakeOsl } from 'libnetwork/osl/fake';
import { timed } from './ground.ts';
import { flat, type Row, row } from './row.ts';

const NETWORKS = 1000;
const EACH = 10;
const LOOK_UPS = 100_000;
const MIB = 2 ** 20;

export async function manyNetworksBench(): Promise<readonly Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'libnetwork-core-'));
  const kernel = new FakeKernel();
  const open = () =>
    NetworkController.open({
      osl: fakeOsl({ kernel }),
      dataDir: join(directory, 'data'),
      runDir: join(directory, 'run'),
      defaultAddressPools: [{ base: '10.0.0.0/8', size: 24 }],
    });
  try {
    const first = await open();
    const made = await fill(first);
    await first.close();
    const before = heap();
    const [opening, controller] = await timed(open);
    const after = heap();
    const compared = (await timed(() => controller.reconcile({ dryRun: true })))[0];
    const few = await lookedUpAmongFew();
    const found = lookUp(controller, NETWORKS);
    const gone = await empty(controller);
    await controller.close();
    const sum = `${NETWORKS} networks, ${NETWORKS * EACH} endpoints`;
    return [
      flat('core: create a network, last beside first', made.networks),
      flat('core: create an endpoint, last beside first', made.endpoints),
      row(`core: open ${sum}`, 'ms', { ours: [opening / 1000] }),
      row('core: heap with them', 'MiB', { ours: [after / MIB] }),
      row('core: of it the controller', 'MiB', { ours: [(after - before) / MIB] }),
      row('core: compare all with the kernel', 'ms', { ours: [compared / 1000] }),
      row('core: look up by id, beside 10 networks', 'ns', { ours: found.byId, floor: few.byId }),
      row('core: look up by name, beside 10 networks', 'ns', { ours: found.byName, floor: few.byName }),
      flat('core: delete an endpoint, last beside first', gone.endpoints),
      flat('core: delete a network, last beside first', gone.networks),
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function fill(controller: NetworkController, count = NETWORKS) {
  const networks: number[] = [];
  const endpoints: number[] = [];
  for (let n = 0; n < count; n++) {
    const [took, network] = await timed(() => controller.createNetwork({ name: `net${n}` }));
    networks.push(took);
    for (let e = 0; e < EACH; e++)
      endpoints.push((await timed(() => network.createEndpoint({ name: `end${e}` })))[0]);
  }
  return { networks, endpoints };
}

async function empty(controller: NetworkController) {
  const networks: number[] = [];
  const endpoints: number[] = [];
  for (const network of controller.networks()) {
    for (const endpoint of network.endpoints()) endpoints.push((await timed(() => endpoint.delete()))[0]);
    networks.push((await timed(() => network.delete()))[0]);
  }
  return { networks, endpoints };
}

async function lookedUpAmongFew() {
  const controller = await NetworkController.open({ osl: fakeOsl(), runDir: '/run/libnetwork-bench-few' });
  await fill(controller, 10);
  // Twice, as the first time compiles.
  lookUp(controller, 10);
  const found = lookUp(controller, 10);
  await controller.close();
  return found;
}

/** Nanoseconds of finding a network and one of its endpoints. */
function lookUp(controller: NetworkController, count: number) {
  const ids = controller.networks().map(({ id }) => id);
  const names = ids.map((_, n) => `net${n}`);
  const timedLookUps = (keys: readonly string[]): number => {
    const start = performance.now();
    let missed = 0;
    for (let i = 0; i < LOOK_UPS; i++)
      if (!controller.network(keys[i % count] ?? '')?.endpoint(`end${i % EACH}`)) missed++;
    if (missed > 0) throw new Error(`${missed} were not found`);
    return ((performance.now() - start) * 1e6) / LOOK_UPS;
  };
  const rounds = [1, 2, 3, 4, 5];
  return { byId: rounds.map(() => timedLookUps(ids)), byName: rounds.map(() => timedLookUps(names)) };
}

function heap(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
