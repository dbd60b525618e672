/** Serves the Open vSwitch driver to Docker: `docker network create -d ovs -o ovs.vlan=10 lan` uses it. */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { linuxOsl } from 'libnetwork';
import { levelStore } from 'libnetwork/datastore';
import { serveNetworkDriver } from 'libnetwork/plugin';
import { ovsDriver } from './driver.ts';

const { values } = parseArgs({
  options: {
    socket: { type: 'string', default: '/run/docker/plugins/ovs.sock' },
    database: { type: 'string', default: '/var/run/openvswitch/db.sock' },
    datapath: { type: 'string', default: 'system' },
    state: { type: 'string', default: '/var/lib/libnetwork-ovs' },
  },
});
const datapath = values.datapath === 'netdev' ? 'netdev' : 'system';
const osl = linuxOsl();
const store = await levelStore({ path: values.state });
const driver = await ovsDriver({ osl, instance: 'ovs' }, { database: values.database, datapath });
const server = await serveNetworkDriver(driver, { socket: values.socket, osl, store });
console.log(`the driver ovs answers at ${values.socket}`);

await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
await server.close();
await store.close();
await osl.close();
