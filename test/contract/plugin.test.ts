/** The contracts over the wire: our own driver and IPAM, served as plugins and used as such. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { afterAll } from 'vitest';
import { type MemoryBacking, memoryBacking, memoryStore } from '../../src/datastore/index.ts';
import type { Driver, DriverHost } from '../../src/driverapi/driver.ts';
import { bridgeDriver } from '../../src/drivers/bridge/bridge.ts';
import { remoteDriver } from '../../src/drivers/remote/remote.ts';
import { createIpam } from '../../src/ipam/index.ts';
import { remoteIpam } from '../../src/ipam/remote/remote.ts';
import type { FakeKernel } from '../../src/osl/fake/index.ts';
import type { Osl } from '../../src/osl/osl.ts';
import { pluginSettings } from '../../src/plugin/options.ts';
import { Plugins } from '../../src/plugin/plugins.ts';
import { serveIpam, serveNetworkDriver } from '../../src/plugin/serve.ts';
import type { PluginServer } from '../../src/plugin/server.ts';
import { type DriverWorld, driverContract, type OpenWorld } from '../../src/testing/driver.ts';
import { countingFaults, type Faults } from '../../src/testing/faults.ts';
import { faultyStore } from '../../src/testing/faultystore.ts';
import { ipamContract } from '../../src/testing/ipam.ts';
import { kernelOf, openFakeWorld } from '../support/fakeworld.ts';
import { silent } from '../support/silent.ts';

const root = mkdtempSync(join(tmpdir(), `libnetwork-wire-${process.pid}-`));
const servers = new Set<PluginServer>();
afterAll(async () => {
  for (const server of servers) await server.close();
  rmSync(root, { recursive: true, force: true });
});

/** The plugin's disk outlives its process, as the kernel does. */
const disks = new WeakMap<FakeKernel, MemoryBacking>();
const processes = new WeakMap<Osl, { readonly faults: Faults; readonly disk: MemoryBacking }>();

async function open(options: OpenWorld): Promise<DriverWorld> {
  const world = await openFakeWorld(options);
  const kernel = kernelOf(world);
  const disk = (kernel && disks.get(kernel)) ?? memoryBacking();
  if (kernel) disks.set(kernel, disk);
  processes.set(world.osl, { faults: options.faults ?? countingFaults(), disk });
  return world;
}

let last = 0;

function client(directory: string): Plugins {
  const places = { socketDirectories: [directory], specDirectories: [], retryBudgetMs: 0 };
  return new Plugins(v.parse(pluginSettings, places), silent);
}

/** A process with the driver in it, and a client that uses it as Docker's remote driver. */
async function bridgeOverTheWire(host: DriverHost): Promise<Driver> {
  const { faults, disk } = processes.get(host.osl) ?? { faults: countingFaults(), disk: memoryBacking() };
  const directory = join(root, String(++last));
  const server = await serveNetworkDriver(await bridgeDriver(host), {
    socket: join(directory, 'bridge.sock'),
    osl: host.osl,
    store: faultyStore(memoryStore({ backing: disk }), faults),
  });
  servers.add(server);
  const plugins = client(directory);
  const onClose = async () => {
    plugins.close();
    servers.delete(server);
    await server.close();
  };
  const driver = remoteDriver('bridge', { plugins, logger: silent, forgiving: false, onClose });
  await driver.ready();
  // Who dies in a call has not answered it.
  faults.onCrash(() => plugins.close());
  return driver;
}

driverContract({
  name: 'bridge, served as a plugin, on the fake kernel',
  factory: bridgeOverTheWire,
  open,
  deviations: ['no-names', 'no-repair', 'all-families'],
});

const closings = new WeakMap<object, () => Promise<void>>();

ipamContract({
  name: 'default, served as a plugin',
  open: async () => {
    const directory = join(root, String(++last));
    const server = await serveIpam(createIpam(), { socket: join(directory, 'ours.sock') });
    const plugins = client(directory);
    const ipam = remoteIpam('ours', { plugins, logger: silent, forgiving: false });
    await ipam.ready();
    closings.set(ipam, async () => {
      plugins.close();
      await server.close();
    });
    return ipam;
  },
  close: async (ipam) => closings.get(ipam)?.(),
  deviations: ['no-holders', 'no-repair'],
});
