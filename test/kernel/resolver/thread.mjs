// A name server in a thread of its own. Told the compiled sources and the path of a namespace; answers until told
// to end.
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';

const { directory, path } = workerData;
const { linuxOsl } = await import(`${directory}/src/osl/linux/index.js`);
const { NameTable } = await import(`${directory}/src/resolver/names.js`);
const { startResolver } = await import(`${directory}/src/resolver/resolver.js`);

const osl = linuxOsl();
const namespace = await osl.openNamespace(path);
const names = new NameTable();
names.setSandbox({ id: 's1', networks: ['n1'] });
names.setEndpoint({ id: 'e1', networkId: 'n1', networkName: 'front', names: ['web'], ipv4: '10.9.0.5' });
const resolver = await startResolver({
  namespace,
  names,
  sandboxId: 's1',
  upstreams: () => [],
  firewallTable: `libnetwork-test-${process.pid}`,
});
parentPort.postMessage('ready');
await once(parentPort, 'message');
await resolver.close();
await osl.close();
parentPort.close();
