/** macvlan and ipvlan networks, through a controller on the kernel in memory. */
import { describe, expect, it } from 'vitest';
import type { Network, NetworkController } from '../../../src/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { everything, expectNothingToRepair, listening, refusal, restart, setUp } from '../core/setting.ts';

const DRIVERS = ['macvlan', 'ipvlan'] as const;
type Name = (typeof DRIVERS)[number];

async function withParents(host: Namespace, ...names: readonly string[]): Promise<void> {
  for (const name of names) await host.apply([{ op: 'createLink', name, link: { kind: 'dummy' }, up: true }]);
}

function make(
  controller: NetworkController,
  driver: Name,
  n: number,
  options: Record<string, string> = {},
): Promise<Network> {
  const pools = [
    { subnet: `10.9.${n}.0/24`, gateway: `10.9.${n}.1` },
    { subnet: `fd00:9:${n}::/64`, gateway: `fd00:9:${n}::1` },
  ];
  return controller.createNetwork({ name: `net${n}`, driver, ipv6: true, ipam: { pools }, options });
}

async function joined(controller: NetworkController, network: Network, containerId: string) {
  const sandbox = controller.sandbox(containerId) ?? (await controller.createSandbox({ containerId }));
  const endpoint = await network.createEndpoint({ name: `${network.name}-${containerId}` });
  await endpoint.join(sandbox);
  return { sandbox, endpoint };
}

describe.each(DRIVERS)('a %s network', (driver) => {
  it('gives each container a link on the parent, with addresses and the default route, and takes all of it away', async () => {
    const setting = await setUp();
    const { controller, osl } = setting;
    await withParents(osl.host, 'eth7');
    const before = setting.world.dump();
    const network = await make(controller, driver, 1, { parent: 'eth7' });
    const { sandbox, endpoint } = await joined(controller, network, 'c1');
    const inside = await osl.openNamespace(sandbox.namespacePath ?? '');
    const parent = await osl.host.link('eth7');
    expect(await inside.link('eth0')).toMatchObject({ kind: driver, up: true, peerIndex: parent?.index });
    expect((await inside.addresses('eth0')).map(({ address }) => address)).toEqual(
      expect.arrayContaining([endpoint.ipv4, endpoint.ipv6]) as unknown,
    );
    expect(await inside.routes('ipv4')).toContainEqual(
      expect.objectContaining({ destination: 'default', gateway: '10.9.1.1' }),
    );
    expect(await inside.routes('ipv6')).toContainEqual(
      expect.objectContaining({ destination: 'default', gateway: 'fd00:9:1::1' }),
    );
    await expectNothingToRepair(setting);
    await endpoint.leave(sandbox);
    expect(await inside.link('eth0')).toBeUndefined();
    await inside.close();
    await endpoint.delete();
    await sandbox.delete();
    await network.delete();
    expect(setting.world.dump()).toEqual(before);
  });

  it('keeps its containers through a restart of the controller', async () => {
    const first = await setUp();
    await withParents(first.osl.host, 'eth7');
    const { sandbox } = await joined(
      first.controller,
      await make(first.controller, driver, 1, { parent: 'eth7' }),
      'c1',
    );
    const inside = await first.osl.openNamespace(sandbox.namespacePath ?? '');
    const link = await inside.link('eth0');
    await inside.close();
    const second = await restart(first, ['c1']);
    await expectNothingToRepair(second);
    const again = await second.osl.openNamespace(sandbox.namespacePath ?? '');
    expect(await again.link('eth0')).toEqual(link);
    await again.close();
    await second.controller.network('net1')?.endpoints()[0]?.delete({ force: true });
    await expectNothingToRepair(second);
  });

  it('makes a VLAN where the parent is named like one, and removes it with the network', async () => {
    const { controller, osl } = await setUp();
    await withParents(osl.host, 'eth7');
    const network = await make(controller, driver, 1, { parent: 'eth7.10' });
    const base = await osl.host.link('eth7');
    expect(await osl.host.link('eth7.10')).toMatchObject({ kind: 'vlan', up: true, peerIndex: base?.index });
    await joined(controller, network, 'c1');
    for (const endpoint of network.endpoints()) await endpoint.delete({ force: true });
    await network.delete();
    expect(await osl.host.link('eth7.10')).toBeUndefined();
  });

  it('leaves a parent alone that somebody else made', async () => {
    const { controller, osl } = await setUp();
    await withParents(osl.host, 'eth7');
    const vlan = { kind: 'vlan', parent: 'eth7', id: 10 } as const;
    await osl.host.apply([{ op: 'createLink', name: 'eth7.10', link: vlan }]);
    await (await make(controller, driver, 1, { parent: 'eth7.10' })).delete();
    expect(await osl.host.link('eth7.10')).toMatchObject({ up: false });
  });

  it('is internal without a parent: on a dummy link of its own, with no way out', async () => {
    const { controller, osl } = await setUp();
    const network = await controller.createNetwork({ name: 'alone', driver });
    const { sandbox } = await joined(controller, network, 'c1');
    const name = `${driver === 'macvlan' ? 'dm' : 'di'}-${network.id.slice(0, 12)}`;
    expect(await osl.host.link(name)).toMatchObject({ kind: 'dummy', up: true });
    const inside = await osl.openNamespace(sandbox.namespacePath ?? '');
    expect((await inside.routes()).filter(({ destination }) => destination === 'default')).toEqual([]);
    await inside.close();
  });

  it('has no default route where it is internal', async () => {
    const { controller, osl } = await setUp();
    await withParents(osl.host, 'eth7');
    const network = await controller.createNetwork({
      name: 'in',
      driver,
      internal: true,
      options: { parent: 'eth7' },
    });
    const { sandbox } = await joined(controller, network, 'c1');
    const inside = await osl.openNamespace(sandbox.namespacePath ?? '');
    expect((await inside.routes()).filter(({ destination }) => destination === 'default')).toEqual([]);
    await inside.close();
  });

  it('makes a parent again that it made and somebody deleted', async () => {
    const setting = await setUp();
    const { controller, osl } = setting;
    await withParents(osl.host, 'eth7');
    await make(controller, driver, 1, { parent: 'eth7.10' });
    await osl.host.deleteLink('eth7.10');
    const report = await controller.reconcile();
    expect(report.missing).toEqual([expect.stringContaining('eth7.10')]);
    expect(await osl.host.link('eth7.10')).toMatchObject({ kind: 'vlan', up: true });
    await expectNothingToRepair(setting);
  });

  it('tells of an interface that somebody deleted', async () => {
    const { controller, osl } = await setUp();
    await withParents(osl.host, 'eth7');
    const { sandbox } = await joined(controller, await make(controller, driver, 1, { parent: 'eth7' }), 'c1');
    const inside = await osl.openNamespace(sandbox.namespacePath ?? '');
    await inside.deleteLink('eth0');
    await inside.close();
    const { missing } = await controller.reconcile({ dryRun: true });
    expect(missing).toEqual([expect.stringMatching(/interface eth0 of endpoint net1-c1.*join again/)]);
  });

  it.each([
    [{ parent: 'lo' }, 'INVALID_ARGUMENT', 'parent'],
    [{ parent: 'nowhere' }, 'INVALID_ARGUMENT', 'parent'],
    [{ parent: 'nowhere.10' }, 'INVALID_ARGUMENT', 'parent'],
    [{ parent: 'eth7.0' }, 'INVALID_ARGUMENT', 'parent'],
    [{ parent: 'eth7.4095' }, 'INVALID_ARGUMENT', 'parent'],
    [{ parent: 'eth7:10' }, 'INVALID_ARGUMENT', 'parent'],
    [{ parent: '../etc' }, 'INVALID_ARGUMENT', 'parent'],
    [{ parent: 'much-too-long-a-name' }, 'INVALID_ARGUMENT', 'parent'],
    [{ parent: 'eth7', [`${driver}_mode`]: 'foo' }, 'INVALID_ARGUMENT', `${driver}_mode`],
  ] as const)('refuses %j before anything is touched', async (options, code, field) => {
    const setting = await setUp();
    await withParents(setting.osl.host, 'eth7');
    const before = await everything(setting);
    expect(await refusal(make(setting.controller, driver, 1, options))).toMatchObject({ code, field });
    expect(await everything(setting)).toEqual(before);
  });

  it('says that ports are not published', async () => {
    const logger = listening();
    const { controller, osl } = await setUp({ logger });
    await withParents(osl.host, 'eth7');
    const network = await make(controller, driver, 1, { parent: 'eth7' });
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const endpoint = await network.createEndpoint({
      name: 'web',
      ports: [{ container: 80, host: 8080, protocol: 'tcp' }],
    });
    await endpoint.join(sandbox);
    expect(logger.said).toContainEqual(expect.stringContaining('not published'));
    const held = await osl.host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 8080 });
    held.release();
  });
});

describe('several networks on one parent', () => {
  it('are fine with macvlan, and the last one takes the VLAN away', async () => {
    const setting = await setUp();
    const { controller, osl } = setting;
    await withParents(osl.host, 'eth7');
    const [first, second] = [
      await make(controller, 'macvlan', 1, { parent: 'eth7.10' }),
      await make(controller, 'macvlan', 2, { parent: 'eth7.10', macvlan_mode: 'private' }),
    ];
    await first.delete();
    expect(await osl.host.link('eth7.10')).toMatchObject({
      alias: expect.stringContaining(second.id) as string,
    });
    await expectNothingToRepair(setting);
    const later = await restart(setting);
    await later.controller.network('net2')?.delete();
    expect(await osl.host.link('eth7.10')).toBeUndefined();
  });

  it('are refused with passthru, and with ipvlan, by an error that names both', async () => {
    const { controller, osl } = await setUp();
    await withParents(osl.host, 'eth7', 'eth8');
    await make(controller, 'macvlan', 1, { parent: 'eth7' });
    const passthru = make(controller, 'macvlan', 2, { parent: 'eth7', macvlan_mode: 'passthru' });
    expect(await refusal(passthru)).toMatchObject({
      code: 'CONFLICT',
      field: 'parent',
      message: expect.stringMatching(/net2.*net1/) as string,
    });
    await make(controller, 'ipvlan', 3, { parent: 'eth8' });
    expect(await refusal(make(controller, 'ipvlan', 4, { parent: 'eth8' }))).toMatchObject({
      code: 'CONFLICT',
      holder: expect.stringContaining('net3') as string,
    });
  });

  it('are refused on a VLAN that the other driver made', async () => {
    const { controller, osl } = await setUp();
    await withParents(osl.host, 'eth7');
    await make(controller, 'macvlan', 1, { parent: 'eth7.10' });
    expect(await refusal(make(controller, 'ipvlan', 2, { parent: 'eth7.10' }))).toMatchObject({
      code: 'CONFLICT',
    });
  });

  it('may be of both drivers, until the kernel is asked to have both kinds on one parent', async () => {
    const setting = await setUp();
    const { controller, osl } = setting;
    await withParents(osl.host, 'eth7');
    const [one, other] = [
      await make(controller, 'macvlan', 1, { parent: 'eth7' }),
      await make(controller, 'ipvlan', 2, { parent: 'eth7' }),
    ];
    await joined(controller, one, 'c1');
    const failure = await refusal(joined(controller, other, 'c2'));
    expect(failure).toMatchObject({ code: 'CONFLICT', field: 'parent', value: 'eth7', errno: 'EBUSY' });
    await other.endpoints()[0]?.delete({ force: true });
    await expectNothingToRepair(setting);
  });
});

describe('macvlan in mode passthru', () => {
  it('has one endpoint, and says so to the second', async () => {
    const { controller, osl } = await setUp();
    await withParents(osl.host, 'eth7');
    const network = await make(controller, 'macvlan', 1, { parent: 'eth7', macvlan_mode: 'passthru' });
    await joined(controller, network, 'c1');
    expect(await refusal(joined(controller, network, 'c2'))).toMatchObject({
      code: 'CONFLICT',
      field: 'parent',
    });
  });
});

describe('ipvlan', () => {
  it('refuses a MAC address of the endpoint', async () => {
    const { controller, osl } = await setUp();
    await withParents(osl.host, 'eth7');
    const network = await make(controller, 'ipvlan', 1, { parent: 'eth7' });
    const made = network.createEndpoint({ name: 'web', macAddress: '02:42:0a:09:01:02' });
    expect(await refusal(made)).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'macAddress' });
  });

  it.each(['l3', 'l3s'])(
    'in mode %s has a default route without a next hop, which gives way to a bridge of higher priority',
    async (mode) => {
      const { controller, osl } = await setUp();
      await withParents(osl.host, 'eth7');
      const network = await make(controller, 'ipvlan', 1, { parent: 'eth7', ipvlan_mode: mode });
      const { sandbox } = await joined(controller, network, 'c1');
      const inside = await osl.openNamespace(sandbox.namespacePath ?? '');
      const defaults = async () =>
        [...(await inside.routes('ipv4')), ...(await inside.routes('ipv6'))]
          .filter(({ destination }) => destination === 'default')
          .map(({ family, gateway, link }) => ({ family, gateway, link }));
      expect(await defaults()).toEqual([
        { family: 'ipv4', gateway: undefined, link: 'eth0' },
        { family: 'ipv6', gateway: undefined, link: 'eth0' },
      ]);
      const bridge = await controller.createNetwork({ name: 'front', ipv6: false });
      const way = await bridge.createEndpoint({ name: 'way', gatewayPriority: 5 });
      await way.join(sandbox);
      expect(await defaults()).toEqual([
        { family: 'ipv4', gateway: expect.stringMatching(/^\d/) as string, link: 'eth1' },
        { family: 'ipv6', gateway: undefined, link: 'eth0' },
      ]);
      await way.leave(sandbox);
      expect(await defaults()).toEqual([
        { family: 'ipv4', gateway: undefined, link: 'eth0' },
        { family: 'ipv6', gateway: undefined, link: 'eth0' },
      ]);
      await inside.close();
    },
  );
});
