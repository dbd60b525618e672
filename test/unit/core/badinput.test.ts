import { beforeAll, describe, expect, it } from 'vitest';
import { type Endpoint, type Network, NetworkController, type Sandbox } from '../../../src/index.ts';
import { World } from '../crash/world.ts';
import { everything, refusal, type Setting } from './setting.ts';

/** Values that no option may take, whatever the type says: programs without types call this library too. */
const junk: readonly unknown[] = [
  null,
  7,
  true,
  {},
  [],
  '',
  ' ',
  '..',
  'a/b',
  'a\0b',
  'a\nb',
  '%',
  'é',
  'x'.repeat(5000),
  'a\ud800',
];
/** They hold something, but under no names. */
const notAnObject = [null, 7, 'a', ['a=b'], new Map([['a', 'b']])];
const notAnAddress = [...junk, '10.9.0.256', '10.9.0.5/24', 'fe80::1%eth0', '::g', '10.9.0.5\n'];
const notASubnet = [
  ...[...junk, '10.9.0.0', '10.9.0.1/24', '10.9.0.0/33', '::/129'],
  ...['127.9.0.0/16', '224.9.0.0/24', '::1/128', 'ff05::/64'],
];
const notAPath = [
  ...[null, 7, {}, '', 'a', './a', '/a/../b', '/a//b', '/a/', '/a\0b', '/a\nb', '/a\ud800'],
  ...[`/tmp/${'x'.repeat(256)}`, '/x'.repeat(2100)],
];

interface Wrong {
  readonly what: string;
  readonly options: unknown;
}

const each = (what: string, values: readonly unknown[], make: (value: unknown) => unknown): Wrong[] =>
  values.map((value) => ({ what: `${what} ${JSON.stringify(value)?.slice(0, 40)}`, options: make(value) }));

const pools = (pool: unknown) => ({ name: 'n', ipam: { pools: [pool] } });

const WRONG_NETWORKS: readonly Wrong[] = [
  ...each('the options', [null, undefined, 7, 'n', []], (value) => value),
  ...each('the name', [undefined, ...junk], (name) => ({ name })),
  ...each('the driver', junk, (driver) => ({ name: 'n', driver })),
  ...each('the flag', [null, 1, 'true', {}], (internal) => ({ name: 'n', internal })),
  ...each('the labels', [...notAnObject, { a: 1 }, { a: null }, { '': 'b' }, { 'a\n': 'b' }], (labels) => ({
    name: 'n',
    labels,
  })),
  ...each('the options', notAnObject, (options) => ({ name: 'n', options })),
  ...each('the ipam', notAnObject, (ipam) => ({ name: 'n', ipam })),
  ...each('the pool', notAnObject, pools),
  ...each('the names', notAnObject, (dns) => ({ name: 'n', dns })),
  ...each('the prefix', [7, ' ', 'a/b', '..', 'thirteenbytes', 'a\u001bb'], (prefix) => ({
    name: 'n',
    options: { 'com.docker.network.container_iface_prefix': prefix },
  })),
  ...each('the option value', [null, {}, Number.NaN, 'a\0b'], (value) => ({
    name: 'n',
    options: { key: value },
  })),
  ...each('the subnet', notASubnet, (subnet) => pools({ subnet })),
  ...each('the range', notASubnet, (ipRange) => pools({ subnet: '10.9.0.0/24', ipRange })),
  ...each('the gateway', [...notAnAddress, '10.8.0.1'], (gateway) =>
    pools({ subnet: '10.9.0.0/24', gateway }),
  ),
  ...each('the auxiliary address', [...notAnAddress, '10.8.0.1'], (router) =>
    pools({ subnet: '10.9.0.0/24', auxAddresses: { router } }),
  ),
  ...each('an option that is none', ['x'], (nonsense) => ({ name: 'n', nonsense })),
];

const WRONG_ENDPOINTS: readonly Wrong[] = [
  ...each('the name', [undefined, ...junk], (name) => ({ name })),
  ...each('the address', notAnAddress, (ipv4) => ({ name: 'e', ipv4 })),
  ...each('the IPv6 address', [...notAnAddress, '10.9.0.9'], (ipv6) => ({ name: 'e', ipv6 })),
  ...each('the MAC address', [...junk, '01:00:5e:00:00:01', '00:00:00:00:00:00'], (macAddress) => ({
    name: 'e',
    macAddress,
  })),
  ...each('the alias', junk, (alias) => ({ name: 'e', aliases: [alias] })),
  ...each(
    'the interface',
    [...junk.filter((it) => it !== 'é'), 'eth0123456789012', '.', 'a\u001bb'],
    (interfaceName) => ({
      name: 'e',
      interfaceName,
    }),
  ),
  ...each('the sysctls', notAnObject, (sysctls) => ({ name: 'e', sysctls })),
  ...each(
    'the sysctl',
    [
      ...['net.ipv4.ip_forward', 'kernel.core_pattern', 'net/ipv4/x', ''],
      `net.ipv4.conf.IFNAME.${'x'.repeat(5000)}`,
    ],
    (key) => ({
      name: 'e',
      sysctls: { [String(key)]: '1' },
    }),
  ),
  ...each('the links', [7, ' ', 'a,', ' a', 'a/b', '..', 'a,é'], (links) => ({
    name: 'e',
    options: { 'com.docker.network.endpoint.links': links },
  })),
  ...each('the port', [0, 65_536, 1.5, '80', null], (container) => ({ name: 'e', ports: [{ container }] })),
  ...each('the priority', [1.5, '1', null], (gatewayPriority) => ({ name: 'e', gatewayPriority })),
];

const WRONG_SANDBOXES: readonly Wrong[] = [
  ...each('the container', [undefined, ...junk], (containerId) => ({ containerId })),
  ...each('the host name', ['', ' ', 'a b', '-a', 'a\n127.0.0.1 b', 7], (hostname) => ({
    containerId: 'c',
    hostname,
  })),
  ...each('the hosts path', notAPath, (hostsPath) => ({ containerId: 'c', hostsPath })),
  ...each('the resolv.conf path', notAPath, (resolvConfPath) => ({ containerId: 'c', resolvConfPath })),
  ...each('the namespace', notAPath, (namespacePath) => ({ containerId: 'c', namespacePath })),
  ...each('the same path twice', ['/tmp/a'], (path) => ({
    containerId: 'c',
    hostsPath: path,
    resolvConfPath: path,
  })),
  ...each('the extra hosts', notAnObject, (extraHosts) => ({ containerId: 'c', extraHosts })),
  ...each('the extra host', notAnAddress, (db) => ({ containerId: 'c', extraHosts: { db } })),
  ...each('the server', notAnAddress, (server) => ({ containerId: 'c', dns: { servers: [server] } })),
  ...each('the search domain', ['', 'a b', 'a\nnameserver 6.6.6.6'], (domain) => ({
    containerId: 'c',
    dns: { search: [domain] },
  })),
];

let setting: Setting;
let network: Network;
let sandbox: Sandbox;
let endpoint: Endpoint;
let before: unknown;

beforeAll(async () => {
  const world = new World();
  setting = { world, ...(await world.open()) };
  network = await setting.controller.createNetwork({
    name: 'front',
    ipv6: true,
    ipam: { pools: [{ subnet: '10.9.0.0/24' }, { subnet: 'fd00:9::/64' }] },
  });
  sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
  endpoint = await network.createEndpoint({ name: 'web' });
  before = await everything(setting);
  return async () => {
    await setting.controller.close();
    world.remove();
  };
});

/** Refused for what it is, before anything was touched. */
async function expectUntouched(operation: Promise<unknown>): Promise<void> {
  const error = await refusal(operation);
  expect(error.code).toBe('INVALID_ARGUMENT');
  expect(error.field).toEqual(expect.any(String));
  expect(error).toHaveProperty('value');
  expect(error.message.length).toBeLessThan(600);
  expect(await everything(setting)).toEqual(before);
  expect(setting.world.complaints).toEqual([]);
}

describe('bad input leaves store and kernel byte for byte as they were', () => {
  it.each(WRONG_NETWORKS)('createNetwork: $what', ({ options }) =>
    expectUntouched(setting.controller.createNetwork(options as never)),
  );
  it.each(WRONG_ENDPOINTS)('createEndpoint: $what', ({ options }) =>
    expectUntouched(network.createEndpoint(options as never)),
  );
  it.each(WRONG_SANDBOXES)('createSandbox: $what', ({ options }) =>
    expectUntouched(setting.controller.createSandbox(options as never)),
  );
  it.each(each('the option', [{ aliases: ['a b'] }, { aliases: 'a' }, { priority: '1' }], (it) => it))(
    'join: $what',
    ({ options }) => expectUntouched(endpoint.join(sandbox, options as never)),
  );
  it.each(each('the sandbox', [null, undefined, {}, 'c1'], (it) => it))(
    'join and leave: $what',
    async (wrong) => {
      await expectUntouched(endpoint.join(wrong.options as never));
      await expectUntouched(endpoint.leave(wrong.options as never));
    },
  );
  it.each(
    each('the changes', [...notAnObject, { ports: 'a' }, { labels: ['a=b'] }, { name: 'n' }], (it) => it),
  )('update of an endpoint: $what', ({ options }) => expectUntouched(endpoint.update(options as never)));
  it.each(
    each(
      'the changes',
      [
        ...[...notAnObject, { options: 'a' }, { options: ['a'] }, { labels: ['a=b'] }, { name: 'n' }],
        { options: { 'com.docker.network.container_iface_prefix': 'a/b' } },
        { options: { 'com.docker.network.advertise_addr_nmsgs': '99' } },
      ],
      (it) => it,
    ),
  )('update of a network: $what', async ({ options }) => {
    await expectUntouched(network.update(options as never));
    await expectUntouched(network.preview(options as never));
  });
  it.each(each('the settings', notAnObject, (it) => it))('refresh: $what', ({ options }) =>
    expectUntouched(sandbox.refresh(options as never)),
  );
  it.each(each('the flag', [null, 7, 'false', '', {}], (it) => it))('a flag: $what', async (wrong) => {
    const flag = wrong.options as never;
    await expectUntouched(endpoint.delete({ force: flag }));
    await expectUntouched(setting.controller.deleteEndpoint('0'.repeat(64), { force: flag }));
    await expectUntouched(setting.controller.reconcile({ dryRun: flag }));
  });
  it.each(each('the signal', [null, 7, '', {}, new AbortController()], (signal) => ({ signal })))(
    'every call that waits: $what',
    async ({ options }) => {
      const waits = options as never;
      const { controller } = setting;
      await expectUntouched(controller.createNetwork({ name: 'n' }, waits));
      await expectUntouched(controller.createSandbox({ containerId: 'c' }, waits));
      await expectUntouched(controller.deleteEndpoint(endpoint.id, waits));
      await expectUntouched(controller.reconcile(waits));
      await expectUntouched(controller.hosts(waits));
      await expectUntouched(controller.close(waits));
      await expectUntouched(network.createEndpoint({ name: 'e' }, waits));
      await expectUntouched(network.usage(waits));
      await expectUntouched(network.allEndpoints(waits));
      await expectUntouched(network.update(waits));
      await expectUntouched(network.preview(waits));
      await expectUntouched(network.delete(waits));
      await expectUntouched(endpoint.join(sandbox, waits));
      await expectUntouched(endpoint.leave(sandbox, waits));
      await expectUntouched(endpoint.update(waits));
      await expectUntouched(endpoint.delete(waits));
      await expectUntouched(sandbox.refresh({}, waits));
      await expectUntouched(sandbox.rename('n', waits));
      await expectUntouched(sandbox.setKey('/a', waits));
      await expectUntouched(sandbox.statistics(waits));
      await expectUntouched(sandbox.routes(waits));
      await expectUntouched(sandbox.dnsCounters(waits));
      await expectUntouched(sandbox.delete(waits));
      await expectUntouched(NetworkController.open({}, waits));
    },
  );
  it.each(each('the id', junk, (it) => it))('forced deletion: $what', ({ options }) =>
    expectUntouched(setting.controller.deleteEndpoint(options as never, { force: true })),
  );
  it('on: a listener that is no function', async () => {
    await expectUntouched((async () => setting.controller.on('network:create', 'a' as never))());
  });
  it('join: a sandbox of another controller', async () => {
    const world = new World();
    const { controller } = await world.open();
    const foreign = await controller.createSandbox({ containerId: 'c1' });
    await expectUntouched(endpoint.join(foreign));
    await controller.close();
    world.remove();
  });
});
