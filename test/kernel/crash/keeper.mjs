// A controller that keeps two containers joined, until it is told to close or is killed:
//   node keeper.mjs <dataDir> <runDir>
// and prints one JSON line when it is open. A line on its input closes it.
import { once } from 'node:events';
import { linuxOsl, NetworkController } from '../../../dist/index.js';

const [dataDir, runDir] = process.argv.slice(2);
const osl = linuxOsl();
const activeSandboxes = ['server', 'client'];
const controller = await NetworkController.open({ osl, dataDir, runDir, activeSandboxes });

async function make() {
  const network = await controller.createNetwork({
    name: 'front',
    ipam: { pools: [{ subnet: '10.98.0.0/24' }] },
  });
  for (const containerId of activeSandboxes) {
    const sandbox = await controller.createSandbox({ containerId });
    const ports = containerId === 'server' ? [{ protocol: 'tcp', container: 80, host: 8098 }] : [];
    const endpoint = await network.createEndpoint({ name: containerId, ports });
    await endpoint.join(sandbox);
  }
}

if (!controller.network('front')) await make();
const { missing, orphaned } = await controller.reconcile({ dryRun: true });
const namespaces = Object.fromEntries(
  activeSandboxes.map((name) => [name, controller.sandbox(name)?.namespacePath]),
);
const address = controller.network('front')?.endpoint('server')?.ipv4?.split('/')[0];
process.stdout.write(`${JSON.stringify({ namespaces, address, found: [...missing, ...orphaned] })}\n`);
await once(process.stdin, 'data');
if (process.argv[4] === 'clean') {
  for (const sandbox of controller.sandboxes()) await sandbox.delete();
  await controller.network('front')?.delete();
}
await controller.close();
await osl.close();
process.exit(0);
