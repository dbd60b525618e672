import { describe, expect } from 'vitest';
import type { Change, Namespace } from '../../osl/osl.ts';
import {
  address,
  bridge,
  eventually,
  type Net,
  nets,
  type OslSuite,
  type Promised,
  promisesOf,
  refusal,
  up,
  veth,
} from './ground.ts';

export function routePromises(suite: OslSuite): void {
  const it = promisesOf(suite);
  describe.each(nets)('addresses of $family', (net) => addressPromises(it, net));
  describe.each(nets)('routes of $family', (net) => routesOf(it, net));
  describe.each(nets)('neighbours of $family', (net) => {
    neighboursOf(it, net);
    forgettingPromises(it, net);
  });
  describe('forwarding tables', () => forwardingPromises(it));
}

/** A link that is up, with the number 1. */
async function lay(net: Net, host: Namespace): Promise<void> {
  await host.apply([veth('v1', 'v2'), up('v1'), up('v2'), address(net, 'v1', 1)]);
  await eventually(async () => (await host.link('v1'))?.running, true);
}

/** Addresses of a link, without those that IPv6 gives itself. */
async function own(namespace: Namespace, link: string): Promise<string[]> {
  return (await namespace.addresses(link)).filter((a) => a.scope !== 'link').map((a) => a.address);
}

/** Routes of a family, without those of link-local addresses, in an order of their own. */
async function routesIn(namespace: Namespace, net: Net): Promise<object[]> {
  const routes = (await namespace.routes(net.family)).filter((r) => r.destination !== 'fe80::/64');
  return routes.sort((a, b) => (a.destination < b.destination ? -1 : 1));
}

function addressPromises(it: Promised, net: Net): void {
  it(`${net.family} addresses are added and deleted, with their prefix's route while the link is up`, async ({
    host,
  }) => {
    await host.apply([bridge('br0'), address(net, 'br0', 1)]);
    expect(await host.addresses('br0')).toEqual([
      { link: 'br0', family: net.family, address: `${net.at(1)}/${net.length}`, scope: 'global' },
    ]);
    expect(await routesIn(host, net)).toEqual([]);
    await host.apply([up('br0')]);
    const connected = {
      family: net.family,
      destination: net.subnet,
      gateway: undefined,
      link: 'br0',
      scope: net.family === 'ipv4' ? 'link' : 'global',
      metric: net.family === 'ipv4' ? 0 : 256,
    };
    expect(await routesIn(host, net)).toEqual([connected]);
    await host.apply([{ op: 'deleteAddress', link: 'br0', address: `${net.at(1)}/${net.length}` }]);
    expect(await own(host, 'br0')).toEqual([]);
    expect(await routesIn(host, net)).toEqual([]);
  });

  it(`${net.family} addresses are of one link, or of all when none is asked for`, async ({ host }) => {
    await host.apply([bridge('br0'), bridge('br1'), address(net, 'br0', 1), address(net, 'br1', 2)]);
    expect(await own(host, 'br1')).toEqual([`${net.at(2)}/${net.length}`]);
    const all = (await host.addresses()).filter((a) => a.family === net.family).map((a) => a.link);
    expect(all).toEqual(expect.arrayContaining(['lo', 'br0', 'br1']));
    expect(await refusal(host.addresses('none'))).toMatchObject({ code: 'NOT_FOUND' });
  });

  it(`${net.family} addresses are refused twice, and missed where they are not`, async ({ host }) => {
    await lay(net, host);
    expect(await refusal(host.apply([address(net, 'v1', 1)]))).toMatchObject({ errno: 'EEXIST' });
    const missing = host.apply([{ op: 'deleteAddress', link: 'v1', address: `${net.at(9)}/${net.length}` }]);
    expect(await refusal(missing)).toMatchObject({ code: 'INVALID_ARGUMENT', errno: 'EADDRNOTAVAIL' });
    expect(await refusal(host.apply([address(net, 'none', 1)]))).toMatchObject({ errno: 'ENODEV' });
    expect(await own(host, 'v1')).toEqual([`${net.at(1)}/${net.length}`]);
  });

  it(`lo has its ${net.family} address`, async ({ host }) => {
    const loopback = (await host.addresses('lo')).find((a) => a.family === net.family);
    expect(loopback).toMatchObject({
      address: net.family === 'ipv4' ? '127.0.0.1/8' : '::1/128',
      scope: 'host',
    });
  });
}

function routesOf(it: Promised, net: Net): void {
  const add = (more: Partial<Change & { op: 'addRoute' }>): Change => ({
    op: 'addRoute',
    family: net.family,
    destination: net.elsewhere,
    ...more,
  });

  it(`${net.family} routes by a gateway and by a link are added, and told by name`, async ({ host }) => {
    await lay(net, host);
    await host.apply([
      add({ gateway: net.at(7) }),
      add({ destination: 'default', gateway: net.at(8), metric: 50 }),
    ]);
    const usual = net.family === 'ipv4' ? 0 : 1024;
    expect(await routesIn(host, net)).toEqual(
      expect.arrayContaining([
        {
          family: net.family,
          destination: net.elsewhere,
          gateway: net.at(7),
          link: 'v1',
          scope: 'global',
          metric: usual,
        },
        {
          family: net.family,
          destination: 'default',
          gateway: net.at(8),
          link: 'v1',
          scope: 'global',
          metric: 50,
        },
      ]),
    );
    await host.apply([{ ...add({ link: 'v1' }), op: 'replaceRoute' } as Change]);
    const replaced = (await host.routes(net.family)).filter((r) => r.destination === net.elsewhere);
    expect(replaced).toMatchObject([{ gateway: undefined, link: 'v1' }]);
  });

  it(`${net.family} routes are refused twice, kept apart by their metric, and deleted by what is told`, async ({
    host,
  }) => {
    await lay(net, host);
    await host.apply([add({ link: 'v1', metric: 10 }), add({ link: 'v1', metric: 20 })]);
    expect(await refusal(host.apply([add({ link: 'v1', metric: 10 })]))).toMatchObject({ errno: 'EEXIST' });
    await host.apply([{ ...add({ metric: 20 }), op: 'deleteRoute' } as Change]);
    const left = (await host.routes(net.family)).filter((r) => r.destination === net.elsewhere);
    expect(left).toMatchObject([{ metric: 10 }]);
    await host.apply([{ ...add({}), op: 'deleteRoute' } as Change]);
    const gone = host.apply([{ ...add({}), op: 'deleteRoute' } as Change]);
    expect(await refusal(gone)).toMatchObject({ code: 'NOT_FOUND', errno: 'ESRCH' });
  });

  it(`${net.family} routes need a link that is up, and a gateway that is on a link`, async ({ host }) => {
    await lay(net, host);
    await host.apply([bridge('down')]);
    const unreachable = net.family === 'ipv4' ? 'ENETUNREACH' : 'EHOSTUNREACH';
    expect(await refusal(host.apply([add({ gateway: net.far })]))).toMatchObject({
      code: 'UNAVAILABLE',
      errno: unreachable,
    });
    expect(await refusal(host.apply([add({ link: 'down' })]))).toMatchObject({ errno: 'ENETDOWN' });
    expect(await refusal(host.apply([add({ link: 'none' })]))).toMatchObject({ errno: 'ENODEV' });
  });

  it(`${net.family} routes go with their link, when it goes down and when it is deleted`, async ({
    host,
  }) => {
    await lay(net, host);
    await host.apply([add({ link: 'v1' }), { op: 'setLink', name: 'v1', up: false }]);
    expect(await routesIn(host, net)).toEqual([]);
    await host.apply([up('v1')]);
    const back = (await routesIn(host, net)).map((route) =>
      'destination' in route ? route.destination : '',
    );
    // The kernel brings back the routes of addresses; IPv6 addresses themselves do not survive.
    expect(back).toEqual(net.family === 'ipv4' ? [net.subnet] : []);
    await host.deleteLink('v1');
    expect(await routesIn(host, net)).toEqual([]);
  });
}

function neighboursOf(it: Promised, net: Net): void {
  const entry = { link: 'v1', address: net.at(9), macAddress: '02:00:00:00:00:09' };
  const permanent = async (namespace: Namespace): Promise<object[]> =>
    (await namespace.neighbours('v1')).filter((n) => n.family === net.family && n.permanent);

  it(`${net.family} neighbours are set, replaced and deleted`, async ({ host }) => {
    await lay(net, host);
    await host.apply([{ op: 'setNeighbour', ...entry }]);
    expect(await permanent(host)).toEqual([{ ...entry, family: net.family, permanent: true }]);
    const other = { ...entry, macAddress: '02:00:00:00:00:0a' };
    await host.apply([{ op: 'setNeighbour', ...other }]);
    expect(await permanent(host)).toMatchObject([other]);
    await host.apply([{ op: 'deleteNeighbour', ...other }]);
    expect(await permanent(host)).toEqual([]);
    const gone = host.apply([{ op: 'deleteNeighbour', ...other }]);
    expect(await refusal(gone)).toMatchObject({ code: 'NOT_FOUND', errno: 'ENOENT' });
  });
}

/** Permanent is not for ever. */
function forgettingPromises(it: Promised, net: Net): void {
  const entry = {
    op: 'setNeighbour',
    link: 'v1',
    address: net.at(9),
    macAddress: '02:00:00:00:00:09',
  } as const;
  const gone: readonly Change[] = [
    { op: 'setLink', name: 'v1', macAddress: '02:00:00:00:00:77' },
    { op: 'setLink', name: 'v1', up: false },
  ];
  for (const change of gone) {
    it(`${net.family} neighbours are forgotten at ${JSON.stringify(change)}`, async ({ host }) => {
      await lay(net, host);
      await host.apply([entry, change]);
      const left = (await host.neighbours('v1')).filter((n) => n.family === net.family && n.permanent);
      expect(left.filter((n) => n.macAddress === entry.macAddress)).toEqual([]);
    });
  }
}

function forwardingPromises(it: Promised): void {
  const of = async (namespace: Namespace, link: string, macAddress: string): Promise<object[]> =>
    (await namespace.neighbours(link)).filter((n) => n.family === 'bridge' && n.macAddress === macAddress);

  it('of a port of a bridge hold MAC addresses', async ({ host }) => {
    await host.apply([bridge('br0'), veth('v1', 'v2', undefined, { master: 'br0' })]);
    const entry = { link: 'v1', macAddress: '02:00:00:00:00:09', fdb: true };
    await host.apply([{ op: 'setNeighbour', ...entry }]);
    expect(await of(host, 'v1', entry.macAddress)).toMatchObject([{ link: 'v1', address: undefined }]);
    await host.apply([{ op: 'deleteNeighbour', ...entry }]);
    expect(await of(host, 'v1', entry.macAddress)).toEqual([]);
    expect(await refusal(host.apply([{ op: 'deleteNeighbour', ...entry }]))).toMatchObject({
      errno: 'ENOENT',
    });
  });

  it('of another link hold no remote, and are its own all the same', async ({ host }) => {
    await host.apply([bridge('br0'), veth('v1', 'v2', undefined, { master: 'br0' })]);
    const entry = { link: 'v1', macAddress: '02:00:00:00:00:09', address: '192.0.2.1', fdb: true };
    await host.apply([{ op: 'setNeighbour', ...entry }]);
    expect(await of(host, 'v1', entry.macAddress)).toMatchObject([{ link: 'v1', address: undefined }]);
    await host.apply([{ op: 'setLink', name: 'v1', master: null }]);
    expect(await of(host, 'v1', entry.macAddress)).toHaveLength(1);
    await host.apply([{ op: 'deleteNeighbour', ...entry }]);
    expect(await of(host, 'v1', entry.macAddress)).toEqual([]);
  });

  it('of a vxlan hold remotes, one for each MAC and many for all others', async ({ host }) => {
    const any = '00:00:00:00:00:00';
    const [mac, first, second] = ['02:00:00:00:00:09', '192.0.2.1', '192.0.2.2'];
    const set = (macAddress: string, remote: string): Change => ({
      op: 'setNeighbour',
      link: 'vx',
      address: remote,
      macAddress,
      fdb: true,
    });
    await host.apply([{ op: 'createLink', name: 'vx', link: { kind: 'vxlan', id: 5, port: 4789 } }]);
    await host.apply([set(mac, first), set(mac, second), set(any, first), set(any, second)]);
    expect(await of(host, 'vx', mac)).toMatchObject([{ address: second }]);
    expect(await of(host, 'vx', any)).toHaveLength(2);
  });
}
