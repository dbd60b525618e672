import { describe, expect, it } from 'vitest';
import type { DriverState } from '../../../src/driverapi/driver.ts';
import { markOf } from '../../../src/driverapi/mark.ts';
import { bridgeName, vethName } from '../../../src/ids.ts';
import { ask, bridgeSetting, endpoint, greet, join, neighbour, network } from './setting.ts';

/** Two endpoints on a network, the first with a published port. */
async function running() {
  const setting = await bridgeSetting();
  const outside = await neighbour(setting.osl, '/run/neighbour');
  const front = network();
  await setting.driver.createNetwork(front);
  const one = {
    network: front,
    endpoint: endpoint(front, 2, { ports: [{ protocol: 'tcp', container: 80, host: 8080 }] }),
  };
  const two = { network: front, endpoint: endpoint(front, 3) };
  const container = await join(setting, one, '/run/c1');
  await join(setting, two, '/run/c2');
  await greet(container, '0.0.0.0', 80, 'web');
  const bindings = (await setting.driver.publish?.(one, { ipv4: true, ipv6: true })) ?? [];
  const recorded = { ...one, endpoint: { ...one.endpoint, bindings } };
  const state: DriverState = {
    networks: [front],
    endpoints: [
      { ...recorded, joined: true },
      { ...two, joined: true },
    ],
  };
  return { ...setting, outside, front, one: recorded, two, container, state, bridge: bridgeName(front.id) };
}

const NOTHING = { missing: [], orphaned: [] };

describe('reconcile', () => {
  it('finds nothing to do where all is right', async () => {
    const it = await running();
    const before = it.osl.kernel.dump();
    expect(await it.driver.reconcile(it.state)).toEqual(NOTHING);
    expect(it.osl.kernel.dump()).toEqual(before);
  });

  it('makes a lost bridge again and puts its endpoints back', async () => {
    const it = await running();
    await it.host.deleteLink(it.bridge);
    const { missing, orphaned } = await it.driver.reconcile(it.state);
    expect(missing).toEqual([
      `bridge ${it.bridge} of network front: it is gone`,
      `veth ${vethName(it.one.endpoint.id)} of endpoint web2 in network front: it is in no bridge`,
      `veth ${vethName(it.two.endpoint.id)} of endpoint web3 in network front: it is in no bridge`,
    ]);
    expect(orphaned).toEqual([]);
    expect(await it.driver.reconcile(it.state)).toEqual(NOTHING);
    expect(await it.container.ping('10.9.0.3')).toBeTypeOf('number');
    expect(await ask(it.outside, '192.0.2.1', 8080)).toBe('web');
  });

  it.each([
    ['down', (bridge: string) => ({ op: 'setLink', name: bridge, up: false }) as const, 'it is down'],
    [
      'without its address',
      (bridge: string) => ({ op: 'deleteAddress', link: bridge, address: '10.9.0.1/24' }) as const,
      'it has lost 10.9.0.1/24',
    ],
  ])('repairs a bridge that is %s', async (_what, damage, told) => {
    const it = await running();
    await it.host.apply([damage(it.bridge)]);
    expect((await it.driver.reconcile(it.state)).missing).toContain(
      `bridge ${it.bridge} of network front: ${told}`,
    );
    expect(await it.driver.reconcile(it.state)).toEqual(NOTHING);
    expect(await it.container.ping('10.9.0.1')).toBeTypeOf('number');
  });

  it('tells of a lost veth, which only a new join brings back', async () => {
    const it = await running();
    await it.container.deleteLink('eth0');
    const told = `veth ${vethName(it.one.endpoint.id)} of endpoint web2 in network front: it is gone; leave and join again`;
    expect((await it.driver.reconcile(it.state)).missing).toEqual([told]);
    expect((await it.driver.reconcile(it.state)).missing).toEqual([told]);
  });

  it('turns forwarding on again', async () => {
    const it = await running();
    await it.host.setSysctl('net/ipv4/ip_forward', '0');
    await it.driver.reconcile(it.state);
    expect(await it.host.sysctl('net/ipv4/ip_forward')).toBe('1');
  });

  it('puts lost rules back, and removes rules of nobody', async () => {
    const it = await running();
    await it.firewall.apply([
      { remove: { kind: 'endpoint', id: it.one.endpoint.id } },
      {
        set: {
          kind: 'endpoint',
          id: 'gone',
          network: it.front.id,
          bridge: it.bridge,
          ports: [{ protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 9999, address: '10.9.0.77', port: 9 }],
        },
      },
    ]);
    await it.driver.reconcile(it.state);
    const ids = it.firewall.intents().map(({ id }) => id);
    expect(ids.sort()).toEqual([it.front.id, it.one.endpoint.id].sort());
    expect(await ask(it.outside, '192.0.2.1', 8080)).toBe('web');
  });

  it('lets go of host ports that no record names', async () => {
    const it = await running();
    const unpublished = { ...it.one.endpoint, bindings: [] };
    const state = {
      ...it.state,
      endpoints: [{ ...it.one, endpoint: unpublished, joined: true }, ...it.state.endpoints.slice(1)],
    };
    const report = await it.driver.reconcile(state);
    expect(report.orphaned).toContain('host port 0.0.0.0:8080/tcp -> 80 of endpoint web2 in network front');
    await it.host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 8080 });
  });

  it('removes the links of what is recorded no more, or as not joined', async () => {
    const it = await running();
    const lost = network({
      name: 'lost',
      ipv4: [{ subnet: '10.7.0.0/24', gateway: '10.7.0.1/24', auxAddresses: {} }],
      ipv6: [],
    });
    await it.driver.createNetwork(lost);
    const state = {
      ...it.state,
      endpoints: it.state.endpoints.map((each, i) => ({ ...each, joined: i === 0 })),
    };
    const { orphaned } = await it.driver.reconcile(state);
    expect(orphaned).toEqual(
      expect.arrayContaining([`bridge ${bridgeName(lost.id)}`, `veth ${vethName(it.two.endpoint.id)}`]),
    );
    expect(await it.host.link(bridgeName(lost.id))).toBeUndefined();
    expect(await it.host.link(vethName(it.two.endpoint.id))).toBeUndefined();
    expect(await it.host.link(vethName(it.one.endpoint.id))).toBeDefined();
  });

  it('removes links that were left half made, and no others', async () => {
    const it = await running();
    const { group } = markOf('test');
    await it.host.apply([
      { op: 'createLink', name: 'v0123456789a', link: { kind: 'veth', peer: { name: 'x0' } }, group },
      { op: 'createLink', name: 'half0', link: { kind: 'bridge' }, group },
      { op: 'createLink', name: 'v0123456789b', link: { kind: 'veth', peer: { name: 'x1' } } },
      { op: 'createLink', name: 'docker0', link: { kind: 'bridge' } },
      { op: 'createLink', name: 'other', link: { kind: 'bridge' }, alias: 'libnetwork:other:abc' },
      { op: 'createLink', name: 'mine', link: { kind: 'dummy' }, alias: 'libnetwork:test:abc' },
    ]);
    const { orphaned } = await it.driver.reconcile(it.state);
    expect(orphaned).toEqual(['veth v0123456789a', 'bridge half0']);
    for (const name of ['v0123456789b', 'docker0', 'other', 'mine'])
      expect(await it.host.link(name), name).toBeDefined();
  });

  it('changes nothing in a dry run and reports what it would do', async () => {
    const it = await running();
    await it.host.deleteLink(it.bridge);
    await it.host.setSysctl('net/ipv4/ip_forward', '0');
    await it.firewall.apply([{ remove: { kind: 'network', id: it.front.id } }]);
    const before = it.osl.kernel.dump();
    const dry = await it.driver.reconcile({ ...it.state }, { dryRun: true });
    expect(it.osl.kernel.dump()).toEqual(before);
    expect(dry.missing.length).toBeGreaterThan(3);
    expect(await it.driver.reconcile(it.state)).toEqual(dry);
  });

  it('takes up every network that can be, and tells of the one that can not', async () => {
    const it = await bridgeSetting();
    const bad = network({ name: 'bad', options: { 'com.docker.network.bridge.enable_icc': 'perhaps' } });
    const good = network({ name: 'good' });
    await it.driver.restore({ networks: [bad, good], endpoints: [] });
    expect(it.log.some((line) => line.startsWith('error network bad'))).toBe(true);
    await it.driver.reconcile({ networks: [bad, good], endpoints: [] });
    expect(await it.host.link(bridgeName(good.id))).toBeDefined();
  });
});
