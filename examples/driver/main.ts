/**
 * The driver of `lan.ts` as a Docker plugin: `node build/examples/driver/main.js [socket]`, as root, on the host that
 * Docker runs on. Then: `docker network create -d lan …`.
 */
import { driverHost, linuxOsl } from 'libnetwork';
import { levelStore } from 'libnetwork/datastore';
import { serveNetworkDriver } from 'libnetwork/plugin';
import { lanDriver } from './lan.ts';

const [socket = '/run/docker/plugins/lan.sock', directory = '/var/lib/lan-plugin'] = process.argv.slice(2);
const logger = {
  debug: () => undefined,
  info: (message: string) => console.error(message),
  warn: (message: string, facts?: object) => console.error(message, facts),
  error: (message: string, facts?: object) => console.error(message, facts),
};
const osl = linuxOsl({ logger });
const store = await levelStore({ path: directory });
const host = await driverHost({ osl, instance: 'lan', firewall: 'none', store, logger });
const driver = await lanDriver(host);
const server = await serveNetworkDriver(driver, { socket, osl, store, logger });
console.log(`the driver lan is served at ${socket}`);

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, async () => {
    await server.close();
    await host.firewall.close();
    await store.close();
    await osl.close();
  });
