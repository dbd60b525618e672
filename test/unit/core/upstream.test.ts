/** What upstream's own tests ask for, where no other test of ours does. `behaviours/` lists all of it. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { levelStore } from '../../../src/datastore/index.ts';
import { LibnetworkError, type Network, type NetworkController } from '../../../src/index.ts';
import { ask } from './asking.ts';
import { meshDriver } from './mesh.ts';
import { everything, expectNothingToRepair, refusal, restart, setUp, traces } from './setting.ts';

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'libnetwork-upstream-'));
  directories.push(directory);
  return directory;
}

describe('a network', () => {
  it('publishes certain ports, one of a range, and each in both families', async () => {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({
      name: 'testnetwork',
      ipv6: true,
      ipam: {
        pools: [
          { subnet: '192.168.100.0/24', gateway: '192.168.100.1' },
          { subnet: 'fe90::/64', gateway: 'fe90::22' },
        ],
      },
    });
    const sandbox = await setting.controller.createSandbox({ containerId: 'bridge_container' });
    const endpoint = await network.createEndpoint({
      name: 'testep',
      ports: [
        { protocol: 'tcp', container: 230, host: 23_000 },
        { protocol: 'udp', container: 200, host: 22_000 },
        { protocol: 'tcp', container: 120, host: 12_000 },
        { protocol: 'tcp', container: 320, host: 32_000, hostEnd: 32_999 },
        { protocol: 'udp', container: 420, host: 42_000, hostEnd: 42_001 },
      ],
    });
    await endpoint.join(sandbox);
    const published = endpoint.ports.map(
      (port) => `${port.container} ${port.host}/${port.protocol} ${port.hostAddress}`,
    );
    expect([...published].sort()).toEqual(
      ['0.0.0.0', '::']
        .flatMap((address) => [
          `230 23000/tcp ${address}`,
          `200 22000/udp ${address}`,
          `120 12000/tcp ${address}`,
          `320 32000/tcp ${address}`,
          `420 42000/udp ${address}`,
        ])
        .sort(),
    );
    expect(endpoint).toMatchObject({ ipv4: '192.168.100.2/24', ipv6: 'fe90::1/64' });
    await expectNothingToRepair(setting);
  });

  it('and its endpoints are listed as the objects that were made, in every lookup', async () => {
    const { controller } = await setUp();
    const first = await controller.createNetwork({ name: 'network1' });
    const [ep11, ep12] = [
      await first.createEndpoint({ name: 'ep11' }),
      await first.createEndpoint({ name: 'ep12' }),
    ];
    const second = await controller.createNetwork({ name: 'network2' });
    const same = (list: readonly unknown[], ...made: unknown[]) =>
      list.length === made.length && made.every((each) => list.includes(each));
    expect(same(first.endpoints(), ep11, ep12)).toBe(true);
    expect(second.endpoints()).toEqual([]);
    expect(same(controller.networks(), first, second)).toBe(true);
    for (const [name, made] of [
      ['ep11', ep11],
      ['ep12', ep12],
    ] as const) {
      expect(first.endpoint(name)).toBe(made);
      expect(first.endpoint(made.id)).toBe(made);
      expect(controller.endpoint(made.id)).toBe(made);
      expect(second.endpoint(name)).toBeUndefined();
    }
    for (const nobody of ['', 'IamNotAnEndpoint', ep11.id.slice(0, 12)]) {
      expect(first.endpoint(nobody)).toBeUndefined();
      expect(controller.endpoint(nobody)).toBeUndefined();
      expect(controller.network(nobody)).toBeUndefined();
      expect(controller.sandbox(nobody)).toBeUndefined();
    }
  });

  it.each([
    ['bridge', {}, 'ipv4 pool is empty'],
    ['macvlan', {}, 'ipv4 pool is empty'],
    ['ipvlan', {}, 'ipv4 pool is empty'],
    ['bridge', { ipv4: false, ipv6: true }, 'ipv6 pool is empty'],
    ['macvlan', { ipv4: false, ipv6: true }, 'ipv6 pool is empty'],
    ['ipvlan', { ipv4: false, ipv6: true }, 'ipv6 pool is empty'],
    ['bridge', { ipv4: false }, 'IPv4 or IPv6 must be enabled'],
  ])('of the driver %s is not made without addresses: %j', async (driver, families, why) => {
    const setting = await setUp();
    const before = await everything(setting);
    const making = setting.controller.createNetwork({
      name: 'n',
      driver,
      ...families,
      ipam: { driver: 'null' },
    });
    const error = await refusal(making);
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toContain(why);
    expect(await everything(setting)).toEqual(before);
  });

  it('gives its pool and its gateway back when its driver fails to make it, and an endpoint its address', async () => {
    const failing = { network: true, endpoint: false };
    const driver = meshDriver(
      {},
      {
        createNetwork: async () => {
          if (failing.network) throw new LibnetworkError('INTERNAL', 'the driver will not');
        },
        createEndpoint: async () => {
          if (failing.endpoint) throw new LibnetworkError('INTERNAL', 'the driver will not');
          return {};
        },
      },
    );
    const setting = await setUp({ drivers: [driver] });
    const make = () =>
      setting.controller.createNetwork({
        name: 'bad',
        driver: 'mesh',
        ipam: { pools: [{ subnet: '10.34.0.0/16', gateway: '10.34.255.254' }] },
      });
    const before = await traces(setting);
    expect((await refusal(make())).message).toContain('the driver will not');
    expect(await traces(setting)).toEqual(before);
    failing.network = false;
    const network = await make();
    failing.endpoint = true;
    await refusal(network.createEndpoint({ name: 'ep' }));
    failing.endpoint = false;
    // It rests for a while where nobody asks for it, and is free for who does.
    expect((await network.createEndpoint({ name: 'ep', ipv4: '10.34.0.1' })).ipv4).toBe('10.34.0.1/16');
    await expectNothingToRepair(setting);
  });

  it('and its endpoints are after a restart what they were, in every fact that they show', async () => {
    const options = { drivers: [meshDriver()] };
    const setting = await setUp(options);
    await setting.controller.createNetwork({
      name: 'Miao',
      driver: 'mesh',
      ipv6: true,
      attachable: true,
      labels: { color: 'blue', 'superimposed.label': '' },
      options: { 'com.docker.network.driver.mtu': 1400, flag: true, text: 'x' },
      ipam: {
        driver: 'default',
        options: { 'libnetwork.ipam.serial': 'true' },
        pools: [
          {
            subnet: '10.2.0.0/16',
            ipRange: '10.2.1.0/24',
            gateway: '10.2.0.9',
            auxAddresses: { a: '10.2.0.3', b: '10.2.0.4' },
          },
          { subnet: '10.3.0.0/16' },
          { subnet: '2001:db8:4003::/64', gateway: '2001:db8:4003::9' },
        ],
      },
      dns: { records: { db: ['10.2.0.7'] }, allow: ['*.example.com'] },
    });
    const endpoint = {
      name: 'Bau',
      macAddress: '0a:0c:0d:0e:0f:10',
      ipv4: '10.2.1.23',
      ipv6: '2001:db8:4003::122',
      aliases: ['test', 'foobar'],
      dnsNames: ['test', 'foobar', 'baz'],
      linkLocal: ['169.254.0.1', 'fe80::1'],
      exposedPorts: [{ port: 80, name: 'http' }],
      gatewayPriority: 3,
      sysctls: { 'net.ipv4.conf.IFNAME.forwarding': '1' },
      labels: { role: 'web' },
      ports: [{ protocol: 'tcp' as const, container: 80, host: 8080 }],
    };
    await setting.controller.network('Miao')?.createEndpoint(endpoint);
    const shown = shownOf(setting.controller.network('Miao'));
    expect(shown).toMatchObject({
      endpoints: [
        { ipv4: '10.2.1.23/16', linkLocal: ['169.254.0.1/16', 'fe80::1/64'], labels: { role: 'web' } },
      ],
      ipam: { pools: [{ gateway: '10.2.0.9', auxAddresses: { a: '10.2.0.3', b: '10.2.0.4' } }, {}, {}] },
    });
    const records = recordsOf(setting.controller);
    const next = await restart(setting, [], options);
    expect(shownOf(next.controller.network('Miao'))).toEqual(shown);
    expect(recordsOf(next.controller)).toEqual(records);
  });

  it('that does not persist is in no store, nor is what is on it, and the next start takes it away', async () => {
    const setting = await setUp();
    const { controller, world } = setting;
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const recordKeys = async () =>
      (await world.keys()).filter((key) => /v1\.0\/(network|endpoint|sandbox)\//.test(key));
    // Name servers of another process have other ports: the host is compared.
    const ofHost = async () => {
      const { host } = world.kernel.dump().namespaces;
      return { keys: await recordKeys(), links: host?.links, sockets: host?.sockets, tables: host?.tables };
    };
    const before = await ofHost();
    const network = await controller.createNetwork({ name: 'fleeting', persist: false });
    const endpoint = await network.createEndpoint({
      name: 'web',
      ports: [{ protocol: 'tcp', container: 80, host: 8080 }],
    });
    await endpoint.join(sandbox);
    await sandbox.rename('other');
    expect(network.persist).toBe(false);
    expect(await recordKeys()).toEqual(before.keys);
    await expectNothingToRepair(setting);
    const next = await restart(setting, ['c1']);
    expect(next.controller.networks()).toEqual([]);
    expect(next.controller.sandbox('c1')?.endpoints()).toEqual([]);
    await expectNothingToRepair(next);
    expect(await ofHost()).toEqual(before);
    await next.controller.createNetwork({ name: 'fleeting' });
  });

  it('that does not persist leaves no address in the hosts file of a container that goes on', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const sandbox = await controller.createSandbox({
      ...{ containerId: 'c1', hostname: 'web', domainname: 'example.org' },
      extraHosts: { 'web.example.org': '10.1.1.1' },
    });
    for (const [name, persist] of [
      ['lasting', true],
      ['fleeting', false],
    ] as const) {
      const network = await controller.createNetwork({ name, persist });
      await (await network.createEndpoint({ name: 'web' })).join(sandbox);
    }
    const path = sandbox.hostsPath;
    appendFileSync(path, '10.2.2.2 web.example.org web\n10.3.3.3\tother\n');
    const before = readFileSync(path, 'utf8').split('\n');
    const [lasting, fleeting] = sandbox.endpoints().map(({ ipv4 }) => ipv4?.split('/')[0]);
    const next = await restart(setting, ['c1']);
    const after = readFileSync(path, 'utf8').split('\n');
    expect(before).toContain(`${lasting}\tweb.example.org web`);
    expect(after).toEqual(before.filter((line) => line !== `${fleeting}\tweb.example.org web`));
    expect(after).toHaveLength(before.length - 1);
    await next.controller.sandbox('c1')?.endpoints()[0]?.delete({ force: true });
    expect(readFileSync(path, 'utf8')).not.toContain(`${lasting}\t`);
  });

  it('that does not persist costs a container nothing whose hosts file can not be written', async () => {
    const setting = await setUp();
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1', hostname: 'web' });
    rmSync(sandbox.hostsPath);
    mkdirSync(sandbox.hostsPath);
    const next = await restart(setting, ['c1']);
    expect(next.controller.sandbox('c1')?.id).toBe(sandbox.id);
    await expectNothingToRepair(next);
  });

  it('and an endpoint of the host driver are found by the next controller on the same directory', async () => {
    const dataDir = temporary();
    const setting = await setUp({ dataDir, store: undefined });
    const network = await setting.controller.createNetwork({ name: 'host', driver: 'host' });
    const endpoint = await network.createEndpoint({ name: 'newendpoint' });
    await setting.controller.close();
    const store = await levelStore({ path: `${dataDir}/level` });
    const keys = (await store.list('docker/network/v1.0/')).map(({ key }) => key);
    await store.close();
    expect(keys).toEqual(
      expect.arrayContaining([
        `docker/network/v1.0/network/${network.id}/`,
        `docker/network/v1.0/endpoint/${network.id}/${endpoint.id}/`,
      ]),
    );
    const next = await restart(setting, [], { dataDir, store: undefined });
    expect(next.controller.network(network.id)?.endpoint(endpoint.id)?.name).toBe('newendpoint');
  });
});

it('a macvlan network may have no address family: its endpoints are links alone', async () => {
  const setting = await setUp();
  const { controller, osl } = setting;
  const network = await controller.createNetwork({
    name: 'l2',
    driver: 'macvlan',
    ipv4: false,
    ipam: { driver: 'null' },
  });
  const sandbox = await controller.createSandbox({ containerId: 'c1' });
  const endpoint = await network.createEndpoint({ name: 'web' });
  await endpoint.join(sandbox);
  expect(endpoint).toMatchObject({ ipv4: undefined, ipv6: undefined, interfaceName: 'eth0' });
  const inside = await osl.openNamespace(sandbox.namespacePath);
  expect(await inside.link('eth0')).toMatchObject({ up: true, macAddress: endpoint.macAddress });
  expect(await inside.addresses('eth0')).toEqual([]);
  await expectNothingToRepair(setting);
  const next = await restart(setting, ['c1']);
  await expectNothingToRepair(next);
  await next.controller.sandbox('c1')?.delete();
  await next.controller.network('l2')?.delete();
});

describe('a sandbox', () => {
  it('has its files where it is told, two of them on one network', async () => {
    const setting = await setUp();
    const directory = temporary();
    const network = await setting.controller.createNetwork({ name: 'testnetwork' });
    const files: string[] = [];
    for (const containerId of ['c1', 'c2']) {
      const hostsPath = `${directory}/${containerId}/hosts`;
      const resolvConfPath = `${directory}/${containerId}/resolv.conf`;
      const sandbox = await setting.controller.createSandbox({
        containerId,
        hostname: containerId,
        domainname: 'example.com',
        hostsPath,
        resolvConfPath,
      });
      const endpoint = await network.createEndpoint({ name: containerId });
      await endpoint.join(sandbox);
      expect(sandbox).toMatchObject({ hostsPath, resolvConfPath });
      expect(readFileSync(resolvConfPath, 'utf8')).toContain('nameserver 127.0.0.11');
      files.push(readFileSync(hostsPath, 'utf8'));
      expect(files.at(-1)).toContain(
        `${endpoint.ipv4?.split('/')[0]}\t${containerId}.example.com ${containerId}\n`,
      );
    }
    expect(files[1]).not.toContain('c1');
    for (const sandbox of setting.controller.sandboxes()) await sandbox.delete();
    // They are the caller's: those are left.
    expect(readFileSync(`${directory}/c1/hosts`, 'utf8')).toContain('localhost');
  });

  it('is one more while it is there, found by both its ids, and none when it is deleted', async () => {
    const { controller } = await setUp();
    expect(controller.sandboxes()).toEqual([]);
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    expect(controller.sandboxes()).toEqual([sandbox]);
    expect([controller.sandbox('c1'), controller.sandbox(sandbox.id)]).toEqual([sandbox, sandbox]);
    await sandbox.delete();
    expect(controller.sandboxes()).toEqual([]);
    expect([controller.sandbox('c1'), controller.sandbox(sandbox.id)]).toEqual([undefined, undefined]);
  });

  it('resolves each name of an endpoint to exactly its addresses, whichever families it has', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const asking = await controller.createSandbox({ containerId: 'asks' });
    const asked = await controller.createSandbox({ containerId: 'asked' });
    for (const [ipv4, ipv6] of [
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const network = await controller.createNetwork({ name: 'n', ipv4, ipv6, internal: true });
      await (await network.createEndpoint({ name: 'asks' })).join(asking);
      const endpoint = await network.createEndpoint({ name: 'unlisted', dnsNames: ['id', 'aaaa'] });
      await endpoint.join(asked);
      const plain = (address: string | undefined) => (address === undefined ? [] : [address.split('/')[0]]);
      for (const name of ['id', 'aaaa', 'id.n']) {
        expect(await ask(setting, asking, name, 'A')).toEqual(plain(endpoint.ipv4));
        expect(await ask(setting, asking, name, 'AAAA')).toEqual(plain(endpoint.ipv6));
      }
      expect(await ask(setting, asking, 'unlisted', 'A')).toEqual([]);
      await endpoint.leave(asked);
      for (const type of ['A', 'AAAA'] as const) expect(await ask(setting, asking, 'id', type)).toEqual([]);
      for (const each of network.endpoints()) await each.delete({ force: true });
      await network.delete();
    }
  });
});

it('a controller has exactly the drivers and IPAMs that are built in', async () => {
  const { controller } = await setUp();
  expect(controller.parts.ipams).toEqual(['default', 'null']);
  expect([...controller.parts.drivers].sort()).toEqual([
    'bridge',
    'host',
    'ipvlan',
    'macvlan',
    'null',
    'overlay',
  ]);
});

it('a controller with two drivers of one name does not open, and closes those that it has made', async () => {
  let closed = 0;
  const close = async () => void closed++;
  const [first, second] = [meshDriver({}, { close }, 'mine'), meshDriver({}, { close }, 'bridge')];
  expect(await refusal(setUp({ drivers: [first, second] }))).toMatchObject({
    code: 'FORBIDDEN',
    value: 'bridge',
  });
  expect(closed).toBe(1);
});

/** Every getter of a network and of its endpoints. */
function shownOf(network: Network | undefined): object {
  if (!network) throw new Error('there is no network');
  const getters = (of: object): object =>
    Object.fromEntries(
      Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(of)))
        .filter(([, { get }]) => get !== undefined)
        .map(([name, { get }]) => [name, get?.call(of)]),
    );
  return { ...getters(network), endpoints: network.endpoints().map(getters) };
}

function recordsOf(controller: NetworkController): object {
  const { networks, endpoints } = controller.inspect();
  return { networks, endpoints };
}
