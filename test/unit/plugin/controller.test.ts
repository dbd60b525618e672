/** Plugins as drivers and IPAMs of a controller: found when they are needed, gone and back, and never in others' way. */
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { ControllerOptions } from '../../../src/index.ts';
import { type Asked, answers, RecordingPlugin, type Reply } from '../../support/recordingplugin.ts';
import { expectNothingToRepair, refusal, restart, type Setting, setUp } from '../core/setting.ts';

const opened: RecordingPlugin[] = [];
afterEach(async () => {
  for (const plugin of opened.splice(0)) await plugin.stop();
});

/** A plugin that makes a link for each join, gives addresses one after the other, and can be told what to say. */
async function peer(
  say: Readonly<Record<string, unknown>> = {},
  name = 'peerplug',
): Promise<RecordingPlugin> {
  let last = 1;
  const plugin = new RecordingPlugin(
    (asked, response) => {
      if (asked.method in say) return { body: say[asked.method] };
      if (asked.method === 'IpamDriver.RequestPool')
        return { body: { PoolID: 'pool-1', Pool: '10.99.0.0/16' } };
      if (asked.method === 'IpamDriver.RequestAddress') {
        const { Address } = asked.body as { Address: string };
        return { body: { Address: `${Address || `10.99.0.${last++}`}/16` } };
      }
      return answers()(asked, response);
    },
    { name },
  );
  opened.push(plugin);
  return plugin.start();
}

const impatient = { retryBudgetMs: 0, timeoutMs: 5_000, startTimeoutMs: 100, restMs: 60_000 };
const withPlugin = (plugin: RecordingPlugin, more: ControllerOptions['plugins'] = {}): ControllerOptions => ({
  plugins: { ...plugin.options, ...impatient, ...more },
});

const remote = { name: 'far', driver: 'peerplug', ipam: { driver: 'peerplug' } };

describe('a driver that is not built in', () => {
  it('is refused at once where no plugin has its name, in words that say where it was looked for', async () => {
    const plugin = await peer({}, 'other');
    const { controller } = await setUp(withPlugin(plugin, { retryBudgetMs: 60_000 }));
    const error = await refusal(controller.createNetwork({ name: 'a', driver: 'nobody' }));
    expect(error).toMatchObject({ code: 'NOT_FOUND', field: 'driver', value: 'nobody' });
    expect(error.message).toContain('bridge, host, null');
    expect(error.message).toContain(plugin.directory);
    expect(await refusal(controller.createNetwork({ name: 'a', ipam: { driver: 'nobody' } }))).toMatchObject({
      code: 'NOT_FOUND',
      field: 'ipam.driver',
    });
    expect(controller.networks()).toEqual([]);
    expect(plugin.asked).toEqual([]);
  });

  it('is looked for at that moment: a plugin that comes later is found', async () => {
    const plugin = await peer();
    const { controller } = await setUp(withPlugin(plugin));
    await controller.createNetwork(remote);
    expect(controller.network('far')?.driver).toBe('peerplug');
    expect(controller.network('far')?.ipam.pools).toMatchObject([
      { subnet: '10.99.0.0/16', gateway: '10.99.0.1' },
    ]);
  });

  it('gives its networks the scope that it says, and does not let two of one name be made meanwhile', async () => {
    const plugin = await peer({ 'NetworkDriver.GetCapabilities': { Scope: 'global' } });
    const { controller } = await setUp(withPlugin(plugin));
    const both = await Promise.allSettled([
      controller.createNetwork(remote),
      controller.createNetwork(remote),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(controller.network('far')?.scope).toBe('global');
    expect(plugin.methods.filter((method) => method === 'Plugin.Activate')).toHaveLength(1);
  });

  it('is asked which gateways it needs, where it wants to be', async () => {
    const plugin = await peer({
      'NetworkDriver.GetCapabilities': { Scope: 'local', GwAllocChecker: true },
      'NetworkDriver.GwAllocCheck': { SkipIPv4: true },
    });
    const { controller } = await setUp(withPlugin(plugin));
    await controller.createNetwork({ ...remote, options: { k: 'v' } });
    expect(plugin.methods).not.toContain('IpamDriver.RequestAddress');
    const asked = plugin.asked.find(({ method }) => method === 'NetworkDriver.GwAllocCheck');
    expect(asked?.body).toMatchObject({ Options: { 'com.docker.network.generic': { k: 'v' } } });
  });
});

describe('an endpoint', () => {
  const wanted = { name: 'web', ports: [{ container: 80, host: 8080, protocol: 'tcp' as const }] };

  it('gets the link, the addresses, the routes and the name that the plugin says, and gives the link back', async () => {
    const setting = await endpointSetting({
      InterfaceName: { SrcName: 'far0', DstPrefix: 'tun' },
      Gateway: '10.99.0.1',
      StaticRoutes: [
        { Destination: '10.123.0.0/16', RouteType: 0, NextHop: '10.99.0.1' },
        { Destination: '10.124.0.0/16', RouteType: 1 },
      ],
    });
    const { controller, osl } = setting;
    await osl.host.apply([{ op: 'createLink', name: 'far0', link: { kind: 'dummy' } }]);
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const endpoint = await controller.network('far')?.createEndpoint(wanted);
    await endpoint?.join(sandbox);
    const namespace = await osl.openNamespace(sandbox.namespacePath);
    expect(endpoint).toMatchObject({ interfaceName: 'tun0', ipv4: '10.99.0.2/16' });
    expect(await namespace.addresses('tun0')).toMatchObject([{ address: '10.99.0.2/16' }]);
    const routes = (await namespace.routes('ipv4')).map(
      ({ destination, gateway }) => `${destination} ${gateway}`,
    );
    expect(routes.sort()).toEqual([
      '10.123.0.0/16 10.99.0.1',
      '10.124.0.0/16 undefined',
      '10.99.0.0/16 undefined',
      'default 10.99.0.1',
    ]);
    expect(endpoint?.ports).toEqual([{ protocol: 'tcp', container: 80, host: 8080, hostAddress: '0.0.0.0' }]);
    await endpoint?.leave(sandbox);
    expect(await osl.host.link('far0')).toMatchObject({ name: 'far0', up: false });
    await endpoint?.delete();
    await sandbox.delete();
    await expectNothingToRepair(setting);
  });

  it('tells what the plugin says was published', async () => {
    const map = [
      { Proto: 17, Port: 53, HostIP: '192.0.2.1', HostPort: 5353, HostPortEnd: 5353 },
      { Proto: 1 },
    ];
    const { controller, osl } = await endpointSetting(
      { InterfaceName: { SrcName: 'far0', DstPrefix: 'eth' }, Gateway: '10.99.0.1' },
      { 'NetworkDriver.EndpointOperInfo': { Value: { 'com.docker.network.portmap': map } } },
    );
    await osl.host.apply([{ op: 'createLink', name: 'far0', link: { kind: 'dummy' } }]);
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const endpoint = await controller.network('far')?.createEndpoint(wanted);
    await endpoint?.join(sandbox);
    expect(endpoint?.ports).toEqual([
      { protocol: 'udp', container: 53, host: 5353, hostAddress: '192.0.2.1' },
    ]);
  });

  it.each([
    [
      'an address that it did not give',
      { Address: '10.99.0.77/16' },
      'FORBIDDEN',
      'Cannot be modified with (10.99.0.77/16); rolled back',
    ],
    ['no address', { Address: 'nonsense' }, 'INTERNAL', 'rolled back'],
    ['an address of the other family', { AddressIPv6: '10.9.9.9/16' }, 'INTERNAL', 'rolled back'],
    ['a multicast MAC address', { MacAddress: '01:00:5e:00:00:01' }, 'INTERNAL', 'rolled back'],
  ])('is not made of %s, and what the plugin made is unmade once', async (_, said, code, message) => {
    const { controller, plugin } = await endpointSetting(
      {},
      { 'NetworkDriver.CreateEndpoint': { Interface: said } },
    );
    const error = await refusal(Promise.resolve(controller.network('far')?.createEndpoint({ name: 'web' })));
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
    expect(plugin.methods.slice(-3)).toEqual([
      'NetworkDriver.CreateEndpoint',
      'NetworkDriver.DeleteEndpoint',
      'IpamDriver.ReleaseAddress',
    ]);
    expect(controller.network('far')?.endpoints()).toEqual([]);
  });

  it.each([
    ['an interface name that is none', { InterfaceName: { SrcName: '../../etc', DstPrefix: 'eth' } }],
    ['a prefix that is none', { InterfaceName: { SrcName: 'far0', DstPrefix: 'a b' } }],
    ['a gateway that is none', { Gateway: 'nonsense' }],
    ['a gateway of the other family', { Gateway: 'fd00::1' }],
    ['a route to nowhere', { StaticRoutes: [{ Destination: 'x', RouteType: 1 }] }],
    ['a route without a next hop', { StaticRoutes: [{ Destination: '10.0.0.0/8', RouteType: 0 }] }],
    ['a route of no kind', { StaticRoutes: [{ Destination: '10.0.0.0/8', RouteType: 7 }] }],
    ['a list in place of a text', { Gateway: [] }],
  ])('does not join by %s: it leaves again', async (_, said) => {
    const { controller, plugin } = await endpointSetting(said);
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const endpoint = await controller.network('far')?.createEndpoint({ name: 'web' });
    const error = await refusal(Promise.resolve(endpoint?.join(sandbox)));
    expect(error.code).toBe('INTERNAL');
    expect(plugin.methods.slice(-2)).toEqual(['NetworkDriver.Join', 'NetworkDriver.Leave']);
    expect(endpoint?.sandboxId).toBeUndefined();
  });

  it('gets a MAC address before it gets an address, where the IPAM needs that', async () => {
    const needs = { RequiresMACAddress: true, RequiresRequestReplay: false };
    const { controller, plugin } = await endpointSetting({}, { 'IpamDriver.GetCapabilities': needs });
    const endpoint = await controller.network('far')?.createEndpoint({ name: 'web' });
    const asked = plugin.asked.filter(({ method }) => method === 'IpamDriver.RequestAddress').at(-1);
    expect(endpoint?.macAddress).toMatch(/^.[26ae](:[0-9a-f]{2}){5}$/);
    expect(asked?.body).toMatchObject({
      Options: { 'com.docker.network.endpoint.macaddress': endpoint?.macAddress },
    });
  });
});

async function endpointSetting(
  join: object,
  more: Readonly<Record<string, unknown>> = {},
): Promise<Setting & { plugin: RecordingPlugin }> {
  const plugin = await peer({ 'NetworkDriver.Join': join, ...more });
  const setting = await setUp(withPlugin(plugin));
  await setting.controller.createNetwork(remote);
  return { ...setting, plugin };
}

describe('a plugin that is gone', () => {
  it('at start keeps neither the controller nor other networks; it is taken up when it is back', async () => {
    const plugin = await peer();
    const setting = await setUp(withPlugin(plugin));
    await setting.controller.createNetwork(remote);
    await setting.controller.createNetwork({ name: 'near' });
    await plugin.kill();

    const { controller } = await restart(setting, [], withPlugin(plugin));
    const near = await controller.network('near')?.createEndpoint({ name: 'web' });
    expect(near?.ipv4).toBeDefined();
    const far = controller.network('far');
    expect(await refusal(Promise.resolve(far?.createEndpoint({ name: 'web' })))).toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(await refusal(controller.createNetwork({ ...remote, name: 'farther' }))).toMatchObject({
      code: 'UNAVAILABLE',
    });
    await plugin.start();
    await far?.createEndpoint({ name: 'web' });
    expect(far?.endpoints()).toHaveLength(1);
  });

  it('and has taken its socket along is UNAVAILABLE for the networks it has, and NOT_FOUND for new ones', async () => {
    const plugin = await peer();
    const setting = await setUp(withPlugin(plugin));
    await setting.controller.createNetwork(remote);
    await plugin.stop();
    const { controller } = await restart(setting, [], withPlugin(plugin));
    const far = controller.network('far');
    expect(await refusal(Promise.resolve(far?.delete()))).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await refusal(controller.createNetwork({ ...remote, name: 'farther' }))).toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('or hangs does not hold a start up for longer than its time, however much is to be settled', async () => {
    const plugin = await peer();
    const setting = await setUp(withPlugin(plugin));
    const network = await setting.controller.createNetwork(remote);
    for (let i = 0; i < 30; i++) {
      const sandbox = await setting.controller.createSandbox({ containerId: `c${i}` });
      await (await network.createEndpoint({ name: `e${i}` })).join(sandbox);
    }
    plugin.asked.length = 0;
    plugin.answerWith(() => undefined);
    // Every sandbox is dead: all thirty endpoints are to leave and to be deleted, through a plugin that never answers.
    const { controller } = await restart(setting, [], withPlugin(plugin));
    expect(plugin.asked.length).toBeLessThanOrEqual(17);
    await controller.createNetwork({ name: 'near' });
  });
});

it('asks again at start for what was given, where the IPAM wants that, and only once', async () => {
  const needs = { RequiresMACAddress: false, RequiresRequestReplay: true };
  const plugin = await peer({ 'IpamDriver.GetCapabilities': needs });
  const setting = await setUp(withPlugin(plugin));
  const network = await setting.controller.createNetwork({
    ...remote,
    ipam: {
      driver: 'peerplug',
      options: { tenant: 'red' },
      pools: [{ subnet: '10.99.0.0/16', auxAddresses: { a: '10.99.0.9' } }],
    },
  });
  await network.createEndpoint({ name: 'web', ipv4: '10.99.0.50' });
  plugin.asked.length = 0;
  const { controller } = await restart(setting, [], withPlugin(plugin));
  await controller.reconcile();
  const asked = plugin.asked.filter(({ method }) => method.startsWith('IpamDriver.Request'));
  expect(asked.map(({ body }) => body)).toEqual([
    { AddressSpace: 'PeerLocal', Pool: '10.99.0.0/16', SubPool: '', Options: { tenant: 'red' }, V6: false },
    { PoolID: 'pool-1', Address: '10.99.0.1', Options: { RequestAddressType: 'com.docker.network.gateway' } },
    { PoolID: 'pool-1', Address: '10.99.0.9', Options: null },
    { PoolID: 'pool-1', Address: '10.99.0.50', Options: null },
  ]);
});

it('lets other networks work while a plugin takes its time', async () => {
  const plugin = await peer();
  const { controller } = await setUp(withPlugin(plugin));
  const far = await controller.createNetwork(remote);
  const near = await controller.createNetwork({ name: 'near' });
  let release: (() => void) | undefined;
  plugin.answerWith((_asked: Asked, response: ServerResponse): Reply | undefined => {
    release = () => void response.end('{"Address":"10.99.0.7/16"}');
    return undefined;
  });
  const slow = far.createEndpoint({ name: 'web' });
  while (release === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  const sandbox = await controller.createSandbox({ containerId: 'c1' });
  const endpoint = await near.createEndpoint({ name: 'web' });
  await endpoint.join(sandbox);
  await endpoint.leave(sandbox);
  plugin.answerWith(answers());
  release();
  expect((await slow).ipv4).toBe('10.99.0.7/16');
});

it('keeps pools aside that overlap what they must not, and takes the first that does not', async () => {
  let count = 0;
  const plugin = new RecordingPlugin((asked, response) => {
    if (asked.method === 'IpamDriver.RequestPool') {
      const n = count++;
      return { body: { PoolID: `pool-${n}`, Pool: `10.${n}.0.0/16` } };
    }
    if (asked.method === 'IpamDriver.RequestAddress') return { body: { Address: '10.2.0.1/16' } };
    return answers()(asked, response);
  });
  opened.push(await plugin.start());
  const { controller, osl } = await setUp(withPlugin(plugin));
  await osl.host.apply([
    { op: 'createLink', name: 'up0', link: { kind: 'dummy' }, up: true },
    { op: 'addAddress', link: 'up0', address: '10.0.0.5/15' },
  ]);
  const network = await controller.createNetwork(remote);
  expect(network.ipam.pools[0]?.subnet).toBe('10.2.0.0/16');
  const released = plugin.asked.filter(({ method }) => method === 'IpamDriver.ReleasePool');
  expect(released.map(({ body }) => body)).toEqual([{ PoolID: 'pool-0' }, { PoolID: 'pool-1' }]);
});
