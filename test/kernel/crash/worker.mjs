// A controller under random load, to be killed. It plays with the objects of the directory it is given:
//   node worker.mjs <dataDir> <runDir> <seed> churn|clean
// and prints one JSON line when it is open: what it found in the kernel beside what its records say.
import { linuxOsl, NetworkController } from '../../../dist/index.js';

const [dataDir, runDir, seedText, mode] = process.argv.slice(2);
let state = Number(seedText) || 1;
/** Mulberry32: a small generator, so that a seed replays. */
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const pick = (list) => list[Math.floor(random() * list.length)];
const containers = ['c0', 'c1', 'c2', 'c3'];
const networks = ['n0', 'n1'];
const names = ['e0', 'e1', 'e2'];

const osl = linuxOsl();
const controller = await NetworkController.open({
  osl,
  dataDir,
  runDir,
  // Every second life the containers are dead.
  activeSandboxes: mode === 'churn' && random() < 0.5 ? containers : [],
  defaultAddressPools: [{ base: '10.99.0.0/16', size: 24 }],
});

/** What is in the kernel with our stamp, less what the controller knows. */
async function leaks() {
  const known = new Set(controller.networks().flatMap((n) => [n.id, ...n.endpoints().map((e) => e.id)]));
  const links = (await osl.host.links()).filter((link) => link.alias?.startsWith('libnetwork:'));
  const stray = links
    .filter((link) => !known.has(link.alias.split(':')[2]))
    .map((link) => `link ${link.name} ${link.alias}`);
  const boxes = new Set(controller.sandboxes().map((box) => box.namespacePath));
  const mounts = (await osl.listNamespaces(`${runDir}/default/netns`)).filter((path) => !boxes.has(path));
  const { missing, orphaned } = await controller.reconcile({ dryRun: true });
  return [...stray, ...mounts.map((path) => `namespace ${path}`), ...missing, ...orphaned];
}

const tolerated = new Set(['NOT_FOUND', 'ALREADY_EXISTS', 'FORBIDDEN', 'CONFLICT', 'UNAVAILABLE']);
async function tryOut(act) {
  try {
    await act();
  } catch (error) {
    if (!tolerated.has(error?.code)) throw error;
  }
}

const operations = [
  () =>
    controller
      .createNetwork({ name: pick(networks), ipv6: random() < 0.5, ipam: { pools: [] } })
      .catch(retryWithoutIpv6),
  () => controller.createSandbox({ containerId: pick(containers) }),
  () => controller.network(pick(networks))?.createEndpoint({ name: pick(names), ports: ports() }),
  () => join(),
  () => join(),
  () => join(),
  () => {
    const [box, other] = [controller.sandbox(pick(containers)), controller.sandbox(pick(containers))];
    return other && box?.endpoints()[0]?.leave(other);
  },
  () => anyEndpoint()?.delete({ force: random() < 0.7 }),
  () => controller.sandbox(pick(containers))?.delete(),
  () => controller.network(pick(networks))?.delete(),
];
const retryWithoutIpv6 = () => controller.createNetwork({ name: pick(networks) });
const ports = () =>
  random() < 0.3 ? [{ protocol: 'tcp', container: 80, host: 20000 + Math.floor(random() * 50) }] : [];
const anyEndpoint = () => pick(controller.network(pick(networks))?.endpoints() ?? []);
const join = () => {
  const box = controller.sandbox(pick(containers));
  return box && anyEndpoint()?.join(box);
};

if (mode === 'clean') {
  for (const box of controller.sandboxes()) await box.delete();
  for (const network of controller.networks()) {
    for (const endpoint of network.endpoints()) await endpoint.delete({ force: true });
    await network.delete();
  }
}
process.stdout.write(`${JSON.stringify({ leaks: await leaks() })}\n`);
if (mode === 'clean') {
  await controller.close();
  await osl.close();
} else {
  const worker = async () => {
    for (;;) await tryOut(pick(operations));
  };
  await Promise.all([worker(), worker(), worker()]);
}
