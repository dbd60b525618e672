import { describe, expect, it, vi } from 'vitest';
import { MAX_BRIDGE_PORTS } from '../../../src/drivers/bridge/attach.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { bridgeName, vethName } from '../../../src/ids.ts';
import { labels } from '../../../src/labels.ts';
import type { Change } from '../../../src/osl/osl.ts';
import { bridgeSetting, endpoint, join, network } from './setting.ts';

describe('the bridge of a network', () => {
  it('is up, has both gateways, its own MAC address, and the stamp of its owner', async () => {
    const { driver, host } = await bridgeSetting();
    const front = network({ options: { [labels.driver.mtu]: 9000 } });
    await driver.createNetwork(front);
    const name = bridgeName(front.id);
    const link = await host.link(name);
    expect(link).toMatchObject({ kind: 'bridge', up: true, mtu: 9000, alias: `libnetwork:test:${front.id}` });
    expect(link?.macAddress).toMatch(/^.[26ae]:/);
    const addresses = (await host.addresses(name)).map(({ address }) => address);
    expect(addresses).toEqual(expect.arrayContaining(['10.9.0.1/24', 'fd00:9::1/64']));
  });

  it('keeps its MAC address whatever its ports are', async () => {
    const setting = await bridgeSetting();
    const front = network();
    await setting.driver.createNetwork(front);
    const before = (await setting.host.link(bridgeName(front.id)))?.macAddress;
    await join(setting, { network: front, endpoint: endpoint(front) }, '/run/c1');
    expect((await setting.host.link(bridgeName(front.id)))?.macAddress).toBe(before);
  });

  it('takes no router advertisements, and has no IPv6 where the network has none', async () => {
    const { driver, host } = await bridgeSetting();
    const both = network();
    const ipv4 = network({
      ipv6: [],
      ipv4: [{ subnet: '10.8.0.0/24', gateway: '10.8.0.1/24', auxAddresses: {} }],
    });
    await driver.createNetwork(both);
    await driver.createNetwork(ipv4);
    const of = (id: string, key: string) => host.sysctl(`net/ipv6/conf/${bridgeName(id)}/${key}`);
    expect(await of(both.id, 'accept_ra')).toBe('0');
    expect(await of(both.id, 'disable_ipv6')).toBe('0');
    expect(await of(ipv4.id, 'disable_ipv6')).toBe('1');
  });

  it('turns forwarding on, and keeps the router advertisements of other links', async () => {
    const { driver, host, log } = await bridgeSetting();
    await host.apply([
      { op: 'createLink', name: 'up0', link: { kind: 'dummy' } },
      { op: 'createLink', name: 'up1', link: { kind: 'dummy' } },
    ]);
    await host.setSysctl('net/ipv6/conf/up1/accept_ra', '0');
    await driver.createNetwork(network());
    expect(await host.sysctl('net/ipv4/ip_forward')).toBe('1');
    expect(await host.sysctl('net/ipv6/conf/all/forwarding')).toBe('1');
    expect(await host.sysctl('net/ipv6/conf/up0/accept_ra')).toBe('2');
    expect(await host.sysctl('net/ipv6/conf/up1/accept_ra')).toBe('0');
    expect(log).toContain('info turning on IPv4 forwarding on the host: net.ipv4.ip_forward = 1');
  });

  it('leaves forwarding alone for an internal network', async () => {
    const { driver, host } = await bridgeSetting();
    await driver.createNetwork(network({ internal: true }));
    expect(await host.sysctl('net/ipv4/ip_forward')).toBe('0');
    expect(await host.sysctl('net/ipv6/conf/all/forwarding')).toBe('0');
  });
});

describe('the MTU of a network without one', () => {
  async function joined(defaults: Readonly<Record<string, number>>, more: readonly Change[] = []) {
    const setting = await bridgeSetting();
    for (const [name, mtu] of Object.entries(defaults))
      await setting.host.apply([
        { op: 'createLink', name, link: { kind: 'dummy' }, mtu, up: true },
        {
          op: 'addAddress',
          link: name,
          address: name === 'up4' ? '192.0.2.1/24' : '2001:db8::1/64',
          noDad: true,
        },
      ]);
    if ('up4' in defaults)
      await setting.host.apply([
        { op: 'addRoute', destination: 'default', family: 'ipv4', gateway: '192.0.2.2' },
      ]);
    if ('up6' in defaults)
      await setting.host.apply([
        { op: 'addRoute', destination: 'default', family: 'ipv6', gateway: '2001:db8::2' },
      ]);
    await setting.host.apply(more);
    const front = network({ options: { [labels.bridge.name]: 'br0' } });
    await setting.driver.createNetwork(front);
    const inside = await join(setting, { network: front, endpoint: endpoint(front) }, '/run/c1');
    return {
      ...setting,
      front,
      mtus: [(await setting.host.link('br0'))?.mtu, (await inside.link('eth0'))?.mtu],
    };
  }

  it('is that of the interface that the default route leaves by', async () => {
    expect((await joined({ up4: 1450 })).mtus).toEqual([1450, 1450]);
  });

  it('is the lesser one where the families leave by two', async () => {
    expect((await joined({ up4: 9000, up6: 1420 })).mtus).toEqual([1420, 1420]);
  });

  it('is the usual one where the host has no default route', async () => {
    expect((await joined({})).mtus).toEqual([1500, 1500]);
  });

  it('is that of a bridge that was made by hand', async () => {
    const { mtus } = await joined({ up4: 1450 }, [
      { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, mtu: 1400, up: true },
      { op: 'addAddress', link: 'br0', address: '10.9.0.1/24' },
      { op: 'addAddress', link: 'br0', address: 'fd00:9::1/64', noDad: true },
    ]);
    expect(mtus).toEqual([1400, 1400]);
  });

  it('stays when the default route moves, also for the next process', async () => {
    const it = await joined({ up4: 1450 });
    await it.host.apply([{ op: 'setLink', name: 'up4', mtu: 1300 }]);
    const next = await bridgeSetting(it.osl.kernel);
    await next.driver.restore({ networks: [it.front], endpoints: [] });
    const inside = await join(next, { network: it.front, endpoint: endpoint(it.front, 3) }, '/run/c2');
    expect((await inside.link('eth0'))?.mtu).toBe(1450);
  });
});

describe('a default bridge of another name', () => {
  it('must be made by hand', async () => {
    const { driver, host } = await bridgeSetting();
    const front = network({
      options: { [labels.bridge.defaultBridge]: true, [labels.bridge.name]: 'test0' },
    });
    await expect(driver.createNetwork(front)).rejects.toMatchObject({ code: 'FORBIDDEN', value: 'test0' });
    expect(await host.link('test0')).toBeUndefined();
  });
});

describe('a link that is there already', () => {
  const named = { [labels.bridge.name]: 'br0' };

  it('that is no bridge is refused, with what to do', async () => {
    const { driver, host } = await bridgeSetting();
    await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'dummy' } }]);
    const refused = expect.objectContaining({ code: 'CONFLICT', field: labels.bridge.name, value: 'br0' });
    await expect(driver.validateNetwork?.(network({ options: named }))).rejects.toEqual(refused);
    await expect(driver.createNetwork(network({ options: named }))).rejects.toEqual(refused);
    expect(await host.link('br0')).toMatchObject({ kind: 'dummy' });
  });

  it('that is a bridge of another owner is refused, and stays', async () => {
    const first = await bridgeSetting(undefined, 'one');
    await first.driver.createNetwork(network({ options: named }));
    const second = await bridgeSetting(first.osl.kernel, 'two');
    await expect(second.driver.createNetwork(network({ options: named }))).rejects.toMatchObject({
      code: 'CONFLICT',
      holder: expect.stringContaining('libnetwork:one:') as string,
    });
    expect((await first.host.link('br0'))?.alias).toContain('libnetwork:one:');
  });

  it('that is a bridge made by hand is used as it is, and stays', async () => {
    const { driver, host, osl } = await bridgeSetting();
    await host.apply([
      { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, macAddress: '02:00:00:00:00:01', up: true },
      { op: 'addAddress', link: 'br0', address: '10.9.0.1/24' },
      { op: 'addAddress', link: 'br0', address: 'fd00:9::1/64' },
      { op: 'addAddress', link: 'br0', address: '192.168.7.1/24' },
    ]);
    const before = { link: await host.link('br0'), addresses: await host.addresses('br0') };
    const front = network({ options: named });
    await driver.validateNetwork?.(front);
    await driver.createNetwork(front);
    const place = { network: front, endpoint: endpoint(front) };
    await join({ driver, osl }, place, '/run/c1');
    await driver.leave(place);
    await driver.deleteNetwork(front);
    expect({ link: await host.link('br0'), addresses: await host.addresses('br0') }).toEqual({
      ...before,
      link: { ...before.link, running: false, statistics: expect.anything() as unknown },
    });
  });

  it.each([
    [
      'the address',
      [{ op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true } as const],
      'ip address add',
    ],
    ['up', [{ op: 'createLink', name: 'br0', link: { kind: 'bridge' } } as const], 'ip link set br0 up'],
  ])(
    'that is a bridge made by hand without %s is refused, with what to do',
    async (_what, changes, advice) => {
      const { driver, host } = await bridgeSetting();
      await host.apply(changes);
      await expect(driver.createNetwork(network({ options: named }))).rejects.toThrow(advice);
    },
  );
});

describe('several networks', () => {
  it('can not have one subnet, also when a hundred come at the same time', async () => {
    const { driver, host } = await bridgeSetting();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => driver.createNetwork(network({ name: `n${i}` }))),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await host.links()).filter(({ kind }) => kind === 'bridge')).toHaveLength(1);
  });

  it('are free to take what a failed one had', async () => {
    const { driver, host } = await bridgeSetting();
    await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'dummy' } }]);
    const failing = network({ options: { [labels.bridge.name]: 'br0' } });
    await expect(driver.createNetwork(failing)).rejects.toMatchObject({ code: 'CONFLICT' });
    await driver.createNetwork(network());
  });

  it('need a gateway unless they are internal', async () => {
    const { driver } = await bridgeSetting();
    const ipv4 = [{ subnet: '10.9.0.0/24', gateway: undefined, auxAddresses: {} }];
    await expect(driver.createNetwork(network({ ipv4, ipv6: [] }))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'ipam.pools.gateway',
    });
    await driver.createNetwork(network({ ipv4, ipv6: [], internal: true }));
  });
});

describe('an endpoint', () => {
  it('is a veth whose ends are named, stamped, sized and joined in one request', async () => {
    const setting = await bridgeSetting();
    const front = network({ options: { [labels.driver.mtu]: 1400 } });
    await setting.driver.createNetwork(front);
    const place = { network: front, endpoint: endpoint(front) };
    const namespace = await setting.osl.createNamespace('/run/c1');
    const before = setting.osl.faults.steps;
    const result = await setting.driver.join({ ...place, namespace, interfaceName: 'eth0' });
    const steps = setting.osl.faults.trace.slice(before);
    expect(steps).toEqual(['changes[0] createLink', 'changes[0] createLink alias']);
    expect(result).toEqual({ link: { kind: 'in-place' }, gateway4: '10.9.0.1', gateway6: 'fd00:9::1' });
    expect(await setting.host.link(vethName(place.endpoint.id))).toMatchObject({
      up: true,
      mtu: 1400,
      master: bridgeName(front.id),
      alias: `libnetwork:test:${place.endpoint.id}`,
    });
    expect(await namespace.link('eth0')).toMatchObject({ macAddress: place.endpoint.macAddress, mtu: 1400 });
  });

  it('reaches its neighbours and the host in both families', async () => {
    const setting = await bridgeSetting();
    const front = network();
    await setting.driver.createNetwork(front);
    const one = await join(setting, { network: front, endpoint: endpoint(front, 2) }, '/run/c1');
    await join(setting, { network: front, endpoint: endpoint(front, 3) }, '/run/c2');
    for (const address of ['10.9.0.1', '10.9.0.3', 'fd00:9::1', 'fd00:9::3'])
      expect(await one.ping(address), address).toBeTypeOf('number');
  });

  it('is refused an interface name that the sandbox has, and leaves nothing', async () => {
    const setting = await bridgeSetting();
    const front = network();
    await setting.driver.createNetwork(front);
    const namespace = await setting.osl.createNamespace('/run/c1');
    await namespace.apply([{ op: 'createLink', name: 'eth0', link: { kind: 'dummy' } }]);
    const before = setting.osl.kernel.dump();
    const place = { network: front, endpoint: endpoint(front) };
    await expect(setting.driver.join({ ...place, namespace, interfaceName: 'eth0' })).rejects.toMatchObject({
      code: 'CONFLICT',
      field: 'interfaceName',
    });
    expect(setting.osl.kernel.dump()).toEqual(before);
  });

  it('moves to another sandbox when a join was cut off in the first', async () => {
    const setting = await bridgeSetting();
    const front = network();
    await setting.driver.createNetwork(front);
    const place = { network: front, endpoint: endpoint(front) };
    const first = await setting.osl.createNamespace('/run/c1');
    const second = await setting.osl.createNamespace('/run/c2');
    await setting.driver.join({ ...place, namespace: first, interfaceName: 'eth0' });
    await setting.driver.join({ ...place, namespace: second, interfaceName: 'eth0' });
    expect(await first.link('eth0')).toBeUndefined();
    expect(await second.link('eth0')).toMatchObject({ macAddress: place.endpoint.macAddress });
  });

  it('is refused by name when the bridge is full, and taken again once another has left', async () => {
    const setting = await bridgeSetting();
    const front = network({
      ipv4: [{ subnet: '10.9.0.0/16', gateway: '10.9.0.1/16', auxAddresses: {} }],
      ipv6: [],
    });
    await setting.driver.createNetwork(front);
    const namespace = await setting.osl.createNamespace('/run/c1');
    const joinNth = (n: number) => {
      const place = { network: front, endpoint: endpoint(front, 2, { macAddress: undefined }) };
      return setting.driver.join({ ...place, namespace, interfaceName: `e${n}` }).then(() => place);
    };
    const [first] = await Promise.all(Array.from({ length: MAX_BRIDGE_PORTS }, (_, n) => joinNth(n)));
    await expect(joinNth(2000)).rejects.toMatchObject({ code: 'UNAVAILABLE', limit: 'MAX_BRIDGE_PORTS' });
    if (first) await setting.driver.leave(first);
    await joinNth(2000);
  });

  it('is refused with what to do when the bridge has been deleted by hand', async () => {
    const setting = await bridgeSetting();
    const front = network();
    await setting.driver.createNetwork(front);
    await setting.host.deleteLink(bridgeName(front.id));
    const namespace = await setting.osl.createNamespace('/run/c1');
    const place = { network: front, endpoint: endpoint(front) };
    const refused = setting.driver.join({ ...place, namespace, interfaceName: 'eth0' });
    await expect(refused).rejects.toThrow('reconcile() makes it again');
  });

  it('that a crash kept from leaving loses its link when it is deleted', async () => {
    const setting = await bridgeSetting();
    const front = network();
    await setting.driver.createNetwork(front);
    const place = { network: front, endpoint: endpoint(front) };
    await join(setting, place, '/run/c1');
    const next = await bridgeSetting(setting.osl.kernel);
    await next.driver.restore({ networks: [front], endpoints: [{ ...place, joined: false }] });
    await next.driver.leave(place);
    expect(await next.host.link(vethName(place.endpoint.id))).toBeUndefined();
  });

  it('of an unknown network is refused', async () => {
    const { driver, osl } = await bridgeSetting();
    const front = network();
    const place = { network: front, endpoint: endpoint(front) };
    expect(() => driver.decideEndpoint?.(place)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    const namespace = await osl.createNamespace('/run/c1');
    const refused = driver.join({ ...place, namespace, interfaceName: 'eth0' });
    await expect(refused).rejects.toMatchObject({ code: 'NOT_FOUND', value: front.id });
  });

  it('of an internal network has no gateway', async () => {
    const setting = await bridgeSetting();
    const back = network({ internal: true });
    await setting.driver.createNetwork(back);
    const namespace = await setting.osl.createNamespace('/run/c1');
    const place = { network: back, endpoint: endpoint(back) };
    expect(await setting.driver.join({ ...place, namespace, interfaceName: 'eth0' })).toEqual({
      link: { kind: 'in-place' },
      gateway4: undefined,
      gateway6: undefined,
    });
  });
});

describe('links in a network whose containers may not talk to each other', () => {
  /** A client that may reach port 80 of a server, and how many of their rules are there. */
  async function linked() {
    const setting = await bridgeSetting();
    const front = network({ options: { [labels.bridge.enableIcc]: false } });
    await setting.driver.createNetwork(front);
    const server = {
      network: front,
      endpoint: endpoint(front, 2, { exposedPorts: [{ protocol: 'tcp', port: 80 }] }),
    };
    const options = { [labels.endpoint.links]: server.endpoint.name };
    const client = { network: front, endpoint: endpoint(front, 3, { options }) };
    await join(setting, server, '/run/server');
    const links = () => setting.firewall.intents().filter(({ kind }) => kind === 'link').length;
    return { ...setting, client, links };
  }

  it('go with an endpoint that leaves again, after their removal had failed', async () => {
    const setting = await linked();
    const { client, driver, firewall, links } = setting;
    await join(setting, client, '/run/client');
    expect(links()).toBe(1);
    vi.spyOn(firewall, 'apply').mockRejectedValueOnce(new LibnetworkError('UNAVAILABLE', 'not now'));
    await expect(driver.leave(client)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await driver.leave(client);
    expect(links()).toBe(0);
  });

  it('do not hide why an endpoint could not join, where they can not be taken back', async () => {
    const setting = await linked();
    const { client, firewall, host, log } = setting;
    const { apply } = firewall;
    vi.spyOn(host, 'apply').mockRejectedValueOnce(new LibnetworkError('CONFLICT', 'the name is taken'));
    vi.spyOn(firewall, 'apply')
      .mockImplementationOnce(apply.bind(firewall))
      .mockRejectedValueOnce(new LibnetworkError('UNAVAILABLE', 'not now'));
    await expect(join(setting, client, '/run/client')).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(log).toContain('warn rules of endpoint web3 are left until the next reconcile');
  });
});
