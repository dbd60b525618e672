/** The example's driver for Open vSwitch, with a real one whose datapath is in its own process. */

import { type ControllerOptions, type Network, NetworkController } from 'libnetwork';
import { describe, expect, it } from 'vitest';
import { ovsDriver } from '../../examples/ovs-driver/driver.ts';
import { JsonStream } from '../../examples/ovs-driver/jsonstream.ts';
import { Ovsdb } from '../../examples/ovs-driver/ovsdb.ts';
import type { Namespace, Osl } from '../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../support/kernel.ts';
import { startSwitch, whyNoSwitch } from '../support/openvswitch.ts';
import { steady } from '../support/transfer.ts';

interface Ground {
  readonly osl: Osl;
  readonly database: string;
  readonly options: ControllerOptions;
}

function withSwitch(work: (ground: Ground) => Promise<void>): Promise<void> {
  return withTestHost(async ({ osl, host, directory }) => {
    const ovs = await startSwitch(host, `${directory}/ovs`);
    const { database } = ovs;
    try {
      const options: ControllerOptions = {
        osl,
        dataDir: `${directory}/data`,
        runDir: `${directory}/run`,
        drivers: [(at) => ovsDriver(at, { database, datapath: 'netdev' })],
      };
      await work({ osl, database, options });
    } finally {
      await ovs.stop();
    }
  });
}

function lan(
  controller: NetworkController,
  name: string,
  vlan: number,
  subnet: string,
  more = {},
): Promise<Network> {
  const options = { 'ovs.vlan': vlan, ...more };
  return controller.createNetwork({ name, driver: 'ovs', ipam: { pools: [{ subnet }] }, options });
}

async function container(
  { osl }: Ground,
  network: Network,
  controller: NetworkController,
  name: string,
  more = {},
) {
  const sandbox = await controller.createSandbox({ containerId: name });
  const endpoint = await network.createEndpoint({ name, ...more });
  await endpoint.join(sandbox);
  const namespace = await osl.openNamespace(sandbox.namespacePath ?? '');
  return { namespace, endpoint, sandbox, address: endpoint.ipv4?.split('/')[0] ?? '' };
}

const answers = async (from: Namespace, to: string, timeoutMs = 1000) =>
  (await from.ping(to, { timeoutMs }).catch(() => undefined)) !== undefined;

async function portsOf(database: string): Promise<readonly unknown[]> {
  const db = await Ovsdb.connect(database);
  const [ports, queues] = await db.transact([
    { op: 'select', table: 'Port', where: [] },
    { op: 'select', table: 'Queue', where: [] },
  ]);
  db.close();
  return [...(ports?.rows ?? []).map((row) => row.name), ...(queues?.rows ?? []).map(() => 'a queue')];
}

const reason = whyNoSwitch() || (canUseKernel ? '' : whyNot);

describe.skipIf(reason)(`a driver for Open vSwitch ${reason}`, { timeout: 180_000 }, () => {
  it('joins containers of one VLAN and parts those of two, and leaves nothing in the switch', async () => {
    await withSwitch(async (ground) => {
      await using controller = await NetworkController.open(ground.options);
      const [red, blue] = [
        await lan(controller, 'red', 10, '10.9.1.0/24'),
        // The same subnet would be refused: an address of the other network's is asked for over the wire instead.
        await lan(controller, 'blue', 20, '10.9.2.0/24'),
      ];
      const made = [
        await container(ground, red, controller, 'r1'),
        await container(ground, red, controller, 'r2'),
        await container(ground, blue, controller, 'b1'),
        await container(ground, blue, controller, 'b2'),
      ];
      const [r1, r2, b1, b2] = made;
      if (!r1 || !r2 || !b1 || !b2) return expect.unreachable();
      await expect.poll(() => answers(r1.namespace, r2.address), { timeout: 30_000 }).toBe(true);
      await expect.poll(() => answers(b1.namespace, b2.address), { timeout: 30_000 }).toBe(true);
      // On one wire, these would reach each other: both have an address of a third subnet.
      for (const [i, { namespace }] of made.entries())
        await namespace.apply([{ op: 'addAddress', link: 'eth0', address: `10.9.3.${i + 1}/24` }]);
      expect(await answers(r1.namespace, '10.9.3.2')).toBe(true);
      expect(await answers(r1.namespace, '10.9.3.3')).toBe(false);
      expect(await answers(b1.namespace, '10.9.3.4')).toBe(true);
      expect(await controller.reconcile({ dryRun: true })).toEqual({
        missing: [],
        orphaned: [],
        repaired: [],
      });
      for (const { endpoint, sandbox, namespace } of made) {
        await namespace.close();
        await endpoint.delete({ force: true });
        await sandbox.delete();
      }
      await red.delete();
      await blue.delete();
      expect(await portsOf(ground.database)).toEqual([]);
    });
  });

  it('holds a container to its rate, within 15 %, and frees it', async () => {
    await withSwitch(async (ground) => {
      await using controller = await NetworkController.open(ground.options);
      const network = await lan(controller, 'red', 10, '10.9.1.0/24');
      const rate = 20_000_000;
      const slow = await container(ground, network, controller, 'slow', { options: { 'ovs.rate.to': rate } });
      const other = await container(ground, network, controller, 'other');
      await expect.poll(() => answers(other.namespace, slow.address), { timeout: 30_000 }).toBe(true);
      const ratio = await steady(rate, other.namespace, slow.namespace, slow.address, 5001);
      expect(ratio).toBeGreaterThan(0.85);
      expect(ratio).toBeLessThan(1.15);
      await slow.endpoint.update({ limits: { ingress: 2 * rate } });
      const double = await steady(2 * rate, other.namespace, slow.namespace, slow.address, 5011);
      expect(double).toBeGreaterThan(0.85);
      expect(double).toBeLessThan(1.15);
    });
  });

  it('has tunnels to other switches with the VLAN and the identifier of the network', async () => {
    await withSwitch(async (ground) => {
      await using controller = await NetworkController.open(ground.options);
      const more = { 'ovs.vni': 4711, 'ovs.remotes': '192.0.2.1,192.0.2.2' };
      const network = await lan(controller, 'red', 10, '10.9.1.0/24', more);
      const db = await Ovsdb.connect(ground.database);
      const where = [['type', '==', 'vxlan']] as const;
      const [interfaces] = await db.transact([{ op: 'select', table: 'Interface', where }]);
      db.close();
      const remotes = interfaces?.rows?.map(({ options, ofport }) => ({ options, ofport }));
      expect(remotes).toEqual(
        expect.arrayContaining(
          ['192.0.2.1', '192.0.2.2'].map((remote) => ({
            options: [
              'map',
              [
                ['key', '4711'],
                ['remote_ip', remote],
              ],
            ],
            ofport: expect.any(Number) as number,
          })),
        ),
      );
      await network.delete();
      expect(await portsOf(ground.database)).toEqual([]);
    });
  });

  it('removes the ports of a container that ended while nobody looked', async () => {
    await withSwitch(async (ground) => {
      const first = await NetworkController.open(ground.options);
      await container(ground, await lan(first, 'red', 10, '10.9.1.0/24'), first, 'c1');
      await first.close();
      await using second = await NetworkController.open(ground.options);
      expect(second.network('red')?.endpoints()).toEqual([]);
      expect(
        (await portsOf(ground.database)).filter((name) => /^ovs[0-9a-f]{11}$/.test(String(name))),
      ).toEqual([]);
    });
  });

  it.each([
    [{}, 'ovs.vlan'],
    [{ 'ovs.vlan': 4095 }, 'ovs.vlan'],
    [{ 'ovs.vlan': 10, 'ovs.remotes': '192.0.2.1' }, 'ovs.vni'],
  ])('refuses %j', async (options, field) => {
    await withSwitch(async ({ options: given }) => {
      await using controller = await NetworkController.open(given);
      const made = controller.createNetwork({ name: 'red', driver: 'ovs', options });
      await expect(made).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
    });
  });
});

describe('the stream of the database', () => {
  it('is cut into objects, however it comes', () => {
    const objects = [{ a: 1 }, { b: '}{"\\' }, { c: { d: ['ü', null] } }];
    const bytes = Buffer.from(objects.map((each) => JSON.stringify(each)).join(''));
    for (let size = 1; size <= bytes.length; size++) {
      const stream = new JsonStream(1000);
      const found: unknown[] = [];
      for (let at = 0; at < bytes.length; at += size)
        found.push(...stream.push(bytes.subarray(at, at + size)));
      expect(found).toEqual(objects);
    }
  });

  it('is bounded', () => {
    expect(() => new JsonStream(10).push(Buffer.from('{"a":"0123456789'))).toThrow(RangeError);
  });

  it('says what to do where nobody listens', async () => {
    await expect(Ovsdb.connect('/run/no/such.sock')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('is Open vSwitch running') as string,
    });
  });
});
