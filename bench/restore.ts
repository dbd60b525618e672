/** The core on the real kernel: many networks, many joins at once, and a restart with much to take up. */
import { join } from 'node:path';
import { type Network, NetworkController, type Sandbox } from 'libnetwork';
import { attach, type Ground, sandboxes, timed } from './ground.ts';
import { flat, type Row, row } from './row.ts';

/** The instance of the controller that is restarted. */
export const RESTORED = 'restored';
const NETWORKS = 300;
const ENDPOINTS = 3;
/** How many networks share three containers. */
const PER_CONTAINER = 30;
const AT_ONCE = 50;
const ROUNDS = 5;

export async function restoreBench(ground: Ground): Promise<readonly Row[]> {
  return [await joinsAtOnce(ground), await networksInTurn(ground), ...(await restarts(ground))];
}

async function joinsAtOnce({ controller, network }: Ground): Promise<Row> {
  const ours: number[] = [];
  const oneByOne: number[] = [];
  for (let round = 0; round < ROUNDS + 1; round++) {
    const made = await sandboxes(controller, 2 * AT_ONCE);
    const ends = await Promise.all(
      made.map((_, i) => network.createEndpoint({ name: `joiner-${round}-${i}` })),
    );
    const places = made.map((sandbox, i) => ({ sandbox, endpoint: ends[i] }));
    const [once, singly] = [places.slice(0, AT_ONCE), places.slice(AT_ONCE)];
    const [took] = await timed(() =>
      Promise.all(once.map(({ sandbox, endpoint }) => endpoint?.join(sandbox))),
    );
    const [tookSingly] = await timed(async () => {
      for (const { sandbox, endpoint } of singly) await endpoint?.join(sandbox);
    });
    if (round > 0) {
      ours.push(took / 1000);
      oneByOne.push(tookSingly / 1000);
    }
    await Promise.all(made.map((sandbox) => sandbox.delete()));
  }
  return row(`core: ${AT_ONCE} joins at once, beside one after the other`, 'ms', { ours, floor: oneByOne });
}

async function networksInTurn({ controller }: Ground): Promise<Row> {
  const times: number[] = [];
  const made: Network[] = [];
  for (let n = 0; n < NETWORKS; n++) {
    const [took, network] = await timed(() => controller.createNetwork({ name: `in-turn-${n}` }));
    times.push(took);
    made.push(network);
  }
  await Promise.all(made.map((network) => network.delete()));
  return flat(`core: create one of ${NETWORKS} networks on the kernel, last beside first`, times);
}

async function restarts({ osl, directory }: Ground): Promise<readonly Row[]> {
  const options = {
    osl,
    instance: RESTORED,
    dataDir: join(directory, 'restored'),
    runDir: join(directory, 'run'),
    defaultAddressPools: [{ base: '10.128.0.0/9', size: 24 }],
  };
  const containers = Array.from(
    { length: (NETWORKS / PER_CONTAINER) * ENDPOINTS },
    (_, i) => `restored-${i}`,
  );
  const first = await NetworkController.open(options);
  await fill(first, containers);
  const before = await linksOf(osl);
  let last = first;
  const opening: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await last.close();
    const [took, next] = await timed(() =>
      NetworkController.open({ ...options, activeSandboxes: containers }),
    );
    last = next;
    opening.push(took / 1000);
  }
  const after = await linksOf(osl);
  const rebuilt = [...after].filter((link) => !before.has(link)).length;
  await Promise.all(last.sandboxes().map((sandbox) => sandbox.delete()));
  await Promise.all(last.networks().map((network) => network.delete()));
  await last.close();
  const what = `${NETWORKS} networks of ${ENDPOINTS} endpoints`;
  return [
    row(`core: restart with ${what}`, 'ms', { ours: opening }),
    row('core: links that were made anew', '', { ours: [rebuilt] }),
  ];
}

async function fill(controller: NetworkController, containers: readonly string[]): Promise<void> {
  const made = await Promise.all(containers.map((containerId) => controller.createSandbox({ containerId })));
  // As many at once as share containers: what is made together shares the kernel's transactions.
  for (let start = 0; start < NETWORKS; start += PER_CONTAINER) {
    const networks = await Promise.all(
      Array.from({ length: PER_CONTAINER }, (_, i) =>
        controller.createNetwork({ name: `restored-${start + i}` }),
      ),
    );
    const places = made.slice((start / PER_CONTAINER) * ENDPOINTS).slice(0, ENDPOINTS);
    await Promise.all(
      networks.flatMap((network) => places.map((sandbox: Sandbox) => attach(network, sandbox))),
    );
  }
}

/** Links by name and index: what was made anew has another index. */
async function linksOf(osl: Ground['osl']): Promise<ReadonlySet<string>> {
  return new Set((await osl.host.links()).map(({ name, index }) => `${name} ${index}`));
}
