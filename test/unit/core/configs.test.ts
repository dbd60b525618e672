import { describe, expect, it } from 'vitest';
import { meshDriver } from './mesh.ts';
import { everything, expectNothingToRepair, refusal, restart, setUp } from './setting.ts';

const CONFIG = {
  name: 'config_network0',
  configOnly: true,
  ipv6: true,
  labels: { team: 'a' },
  options: { 'com.docker.network.driver.mtu': '1400' },
  ipam: { pools: [{ subnet: '10.9.0.0/24' }, { subnet: 'fd00:9::/64' }] },
};

describe('a configuration network', () => {
  it('gives its settings to networks made from it, and can’t be deleted while they live', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const config = await controller.createNetwork(CONFIG);
    // Its pools are those that it was given, for the networks made from it: none is taken.
    expect(config).toMatchObject({
      configOnly: true,
      driver: 'null',
      scope: 'local',
      ipam: { pools: [{ subnet: '10.9.0.0/24' }, { subnet: 'fd00:9::/64' }] },
    });
    const network = await controller.createNetwork({
      name: 'n',
      configFrom: 'config_network0',
      internal: true,
    });
    expect(network).toMatchObject({
      configOnly: false,
      configFrom: 'config_network0',
      driver: 'bridge',
      internal: true,
      labels: CONFIG.labels,
      options: CONFIG.options,
      ipam: { pools: [{ subnet: '10.9.0.0/24' }, { subnet: 'fd00:9::/64' }] },
    });
    const error = await refusal(config.delete());
    expect(error).toMatchObject({ code: 'FORBIDDEN', holder: 'network n' });
    expect(error.message).toContain('configuration network "config_network0" is in use');
    await expectNothingToRepair(setting);
    await network.delete();
    await config.delete();
    expect((await setting.world.keys()).filter((key) => !key.includes('/ipam/'))).toEqual([]);
  });

  it('is no driver’s network: it has no endpoints, and there may be many beside the null network', async () => {
    const setting = await setUp();
    const config = await setting.controller.createNetwork(CONFIG);
    await setting.controller.createNetwork({ name: 'other', configOnly: true });
    await setting.controller.createNetwork({ name: 'none', driver: 'null' });
    const error = await refusal(config.createEndpoint({ name: 'e' }));
    expect(error.code).toBe('FORBIDDEN');
    expect(error.message).toContain('cannot create endpoint on configuration-only network');
    const next = await restart(setting);
    expect(next.controller.network('config_network0')?.configOnly).toBe(true);
    await expectNothingToRepair(next);
  });

  it.each([
    [{ ...CONFIG, internal: true }, 'internal'],
    [{ ...CONFIG, attachable: true }, 'attachable'],
    [{ ...CONFIG, ingress: true }, 'ingress'],
    [{ ...CONFIG, scope: 'local' as const }, 'scope'],
    [{ ...CONFIG, configFrom: 'x' }, 'configFrom'],
    [{ name: 'n', configFrom: 'c', ipv4: false }, 'ipv4'],
    [{ name: 'n', configFrom: 'c', ipv6: true }, 'ipv6'],
    [{ name: 'n', configFrom: 'c', labels: { a: 'b' } }, 'labels'],
    [{ name: 'n', configFrom: 'c', options: { a: 'b' } }, 'options'],
    [{ name: 'n', configFrom: 'c', ipam: { driver: 'null' } }, 'ipam.driver'],
    [{ name: 'n', configFrom: 'c', ipam: { options: { a: 'b' } } }, 'ipam.options'],
    [{ name: 'n', configFrom: 'c', ipam: { pools: [{ subnet: '10.9.0.0/24' }] } }, 'ipam.pools'],
  ])('refuses %j', async (options, field) => {
    const setting = await setUp();
    const before = await everything(setting);
    expect(await refusal(setting.controller.createNetwork(options))).toMatchObject({
      code: 'FORBIDDEN',
      field,
    });
    expect(await everything(setting)).toEqual(before);
  });

  it('that is not there, or is an ordinary network, is not found', async () => {
    const { controller } = await setUp();
    await controller.createNetwork({ name: 'ordinary' });
    for (const configFrom of ['nobody', 'ordinary'])
      expect(await refusal(controller.createNetwork({ name: 'n', configFrom }))).toMatchObject({
        code: 'NOT_FOUND',
        field: 'configFrom',
        value: configFrom,
      });
  });
});

describe('flags and scope', () => {
  it('are shown, and kept over a restart', async () => {
    const setting = await setUp();
    await setting.controller.createNetwork({ name: 'n', attachable: true, scope: 'local' });
    const { controller } = await restart(setting);
    expect(controller.network('n')).toMatchObject({ attachable: true, ingress: false, scope: 'local' });
  });

  it('are refused where the driver’s networks have another scope', async () => {
    const { controller } = await setUp();
    for (const [field, options] of [
      ['scope', { scope: 'global' as const }],
      ['ingress', { ingress: true }],
    ] as const)
      expect(await refusal(controller.createNetwork({ name: 'n', ...options }))).toMatchObject({
        code: 'FORBIDDEN',
        field,
      });
  });
});

describe('several pools of one family', () => {
  const pools = [
    { subnet: '10.9.0.0/30' },
    { subnet: '10.9.1.0/24', gateway: '10.9.1.254' },
    { subnet: 'fd00:9::/64' },
  ];

  it('are used one after the other, and by the address that is asked for', async () => {
    const setting = await setUp({ drivers: [meshDriver()] });
    const network = await setting.controller.createNetwork({
      name: 'n',
      driver: 'mesh',
      ipv6: true,
      ipam: { pools },
    });
    expect(network.ipam.pools.map(({ gateway }) => gateway)).toEqual(['10.9.0.1', '10.9.1.254', 'fd00:9::1']);
    const get = async (name: string, ipv4?: string) => (await network.createEndpoint({ name, ipv4 })).ipv4;
    expect(await get('a', '10.9.1.77')).toBe('10.9.1.77/24');
    expect([await get('b'), await get('c')]).toEqual(['10.9.0.2/30', '10.9.1.1/24']);
    await expectNothingToRepair(setting);
    const next = await restart(setting, [], { drivers: [meshDriver()] });
    await expectNothingToRepair(next);
    await next.controller.network('n')?.endpoint('b')?.delete();
    const again = await next.controller.network('n')?.createEndpoint({ name: 'd' });
    expect(again?.ipv4).toBe('10.9.0.2/30');
  });

  it('are all given back when one of them can’t be had', async () => {
    const setting = await setUp({ drivers: [meshDriver()] });
    await setting.controller.createNetwork({ name: 'a', ipam: { pools: [{ subnet: '10.9.1.0/24' }] } });
    const before = await setting.world.keys();
    const making = setting.controller.createNetwork({
      name: 'n',
      driver: 'mesh',
      ipv6: true,
      ipam: { pools },
    });
    expect(await refusal(making)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await setting.world.keys()).toEqual(before);
    await expectNothingToRepair(setting);
  });
});

describe('predefined networks', () => {
  it('are made on request, once, and can’t be deleted', async () => {
    const setting = await setUp({ predefined: true });
    const names = (c: typeof setting.controller) =>
      c.networks().map(({ name, driver }) => `${name}/${driver}`);
    expect(names(setting.controller)).toEqual(['bridge/bridge', 'host/host', 'none/null']);
    expect(await setting.osl.host.link('docker0')).toMatchObject({ kind: 'bridge', up: true });
    const next = await restart(setting, [], { predefined: true });
    expect(names(next.controller).sort()).toEqual(['bridge/bridge', 'host/host', 'none/null']);
    for (const network of next.controller.networks())
      expect(await refusal(network.delete())).toMatchObject({ code: 'FORBIDDEN', field: 'name' });
    expect((await refusal(next.controller.network('none')?.delete() ?? Promise.resolve())).message).toContain(
      'network of type "null" cannot be deleted',
    );
    await expectNothingToRepair(next);
  });

  it('are ordinary ones where they were not asked for', async () => {
    const { controller } = await setUp();
    expect(controller.networks()).toEqual([]);
    await (await controller.createNetwork({ name: 'none', driver: 'null' })).delete();
  });
});
