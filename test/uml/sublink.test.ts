/** The macvlan and ipvlan drivers where the kernel knows VLANs, dummy links and ipvlan. */
import { afterAll, describe, expect, it } from 'vitest';
import type { DriverNetwork, DriverOptions, EndpointPlace, JoinedAt } from '../../src/driverapi/driver.ts';
import { builtinDrivers } from '../../src/drivers/index.ts';
import type { Change, Namespace } from '../../src/osl/osl.ts';
import { type DriverWorld, driverContract } from '../../src/testing/driver.ts';
import { endpointOf, networkOf, start } from '../../src/testing/driver-fixtures.ts';
import { openKernelWorld, removeMachines } from '../kernel/bridge/world.ts';
import { withTestHost } from '../support/kernel.ts';
import { address, doesNotReach, nets, reaches, up, whyNot, wire } from './support.ts';

const reason = (await whyNot('ipvlan')) || (await whyNot('vlan')) || (await whyNot('dummy'));

interface Ground {
  create(name: string): Promise<Namespace>;
  readonly host: Namespace;
  readonly outside: Namespace;
  /** Makes the network: `10.9.n.0/24` and `fd00:9:0:n::/64`, with gateways outside. */
  createNetwork(n: number, options: DriverOptions): Promise<DriverNetwork>;
  /** A container that joined a network, with addresses and the default routes that the driver told. */
  container(network: DriverNetwork, host: number): Promise<Namespace>;
}

/** A driver on a host whose link `p` is wired to `q` outside. This kernel has no tables for a controller's rules. */
function onGround(name: string, work: (ground: Ground) => Promise<void>): Promise<void> {
  return withTestHost(async ({ osl, host, create }) => {
    const outside = await create('outside');
    await wire([host, 'p'], [outside, 'q']);
    const factory = builtinDrivers[name];
    if (factory === undefined) throw new Error(`there is no driver ${name}`);
    const firewall = await host.firewall({ engine: 'none', table: 'libnetwork-uml' });
    const world: DriverWorld = {
      osl,
      firewall,
      sandbox: create,
      endSandbox: (at) => osl.deleteNamespace(at),
      dump: () => host.links(),
      close: () => Promise.resolve(),
    };
    const subject = { name, factory, open: async () => world };
    const { driver } = await start(subject);
    const made: DriverNetwork[] = [];
    const joined: { readonly place: EndpointPlace; readonly at: JoinedAt }[] = [];
    await work({
      create,
      host,
      outside,
      async createNetwork(n, options) {
        const pools = nets.map((net) => ({
          subnet: `${net.at(n, 0)}/${net.length}`.replace('::0/', '::/'),
          gateway: `${net.at(n, 1)}/${net.length}`,
          auxAddresses: {},
        }));
        const network = networkOf(subject, n, { ipv4: pools.slice(0, 1), ipv6: pools.slice(1), options });
        await driver.createNetwork(network);
        made.push(network);
        return network;
      },
      async container(network, number) {
        const namespace = await create(`c${number}`);
        const n = Number(network.name.slice('net'.length));
        const [ipv4, ipv6] = nets.map((net) => `${net.at(n, number)}/${net.length}`);
        const macAddress = name === 'ipvlan' ? undefined : `02:42:0a:09:00:0${number}`;
        const endpoint = endpointOf(network, number, { ipv4, ipv6, macAddress });
        const at = { namespace, interfaceName: 'eth0' };
        const result = await driver.join({ network, endpoint, ...at });
        joined.push({ place: { network, endpoint }, at });
        const gateways = [result.gateway4, result.gateway6];
        await namespace.apply([
          ...nets.map((net) => address('eth0', net, n, number)),
          up('eth0'),
          ...nets.map(({ family }, i): Change => {
            const gateway = gateways[i];
            const onLink = gateway === '0.0.0.0' || gateway === '::';
            const next = onLink ? { scope: 'link' as const } : { gateway };
            return { op: 'replaceRoute', family, destination: 'default', link: 'eth0', ...next };
          }),
        ]);
        return namespace;
      },
    });
    for (const { place, at } of joined) await driver.leave(place, { at });
    for (const network of made) await driver.deleteNetwork(network);
    expect((await host.links()).map((link) => link.name).sort()).toEqual(['lo', 'p']);
  });
}

describe.skipIf(reason)(`drivers on a parent ${reason}`, () => {
  afterAll(removeMachines);

  it.each(['macvlan', 'ipvlan'])('%s makes the VLAN of its parent, and is on it alone', async (driver) => {
    await onGround(driver, async ({ create, createNetwork, host, outside, container }) => {
      const elsewhere = await create('elsewhere');
      const vlan = (id: number) => ({ kind: 'vlan', parent: 'q', id }) as const;
      await outside.apply([
        { op: 'createLink', name: 'q.7', link: vlan(7), up: true },
        { op: 'createLink', name: 'q.8', link: vlan(8), namespace: elsewhere },
        ...nets.map((net) => address('q.7', net, 7, 1)),
      ]);
      await elsewhere.apply([up('q.8'), ...nets.map((net) => address('q.8', net, 7, 9))]);
      const network = await createNetwork(7, { parent: 'p.7' });
      expect(await host.link('p.7')).toMatchObject({ kind: 'vlan', up: true });
      const one = await container(network, 2);
      for (const net of nets) {
        await reaches(one, net.at(7, 1));
        await doesNotReach(one, net.at(7, 9));
      }
    });
  });

  it('ipvlan in mode l2 joins containers with each other and the router outside', async () => {
    await onGround('ipvlan', async ({ createNetwork, outside, container }) => {
      await outside.apply([...nets.map((net) => address('q', net, 1, 1)), up('q')]);
      const network = await createNetwork(1, { parent: 'p' });
      const [one, two] = [await container(network, 2), await container(network, 3)];
      for (const net of nets) await reaches(one, net.at(1, 3));
      for (const net of nets) await reaches(two, net.at(1, 1));
    });
  });

  it.each(['l3', 'l3s'])('ipvlan in mode %s has its default route on the parent', async (mode) => {
    await onGround('ipvlan', async ({ createNetwork, host, outside, container }) => {
      await host.apply(nets.map((net) => address('p', net, 1, 254)));
      await outside.apply([
        ...nets.map((net) => address('q', net, 1, 1)),
        ...nets.map((net) => ({
          op: 'addRoute' as const,
          family: net.family,
          destination: `${net.at(5, 0)}/${net.length}`.replace('::0/', '::/'),
          gateway: net.at(1, 254),
        })),
      ]);
      const network = await createNetwork(5, { parent: 'p', ipvlan_mode: mode });
      const one = await container(network, 2);
      for (const net of nets) await reaches(one, net.at(1, 1));
    });
  });

  for (const name of ['macvlan', 'ipvlan']) {
    const factory = builtinDrivers[name];
    if (factory === undefined) throw new Error(`there is no driver ${name}`);
    const deviations = [
      'no-faults',
      'no-ports',
      ...(name === 'ipvlan' ? (['no-mac'] as const) : []),
    ] as const;
    driverContract({ name, factory, open: openKernelWorld, deviations });
  }
});
