import { describe, expect, it } from 'vitest';
import { everything, expectNothingToRepair, refusal, restart, setUp } from './setting.ts';

const POOL = { subnet: '10.9.0.0/24' };

describe('a network', () => {
  it('shows what it was made with, frozen', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({
      name: 'front',
      internal: true,
      labels: { team: 'a', empty: '' },
      options: { 'com.docker.network.bridge.name': 'br-front' },
      ipam: { pools: [{ ...POOL, gateway: '10.9.0.254', auxAddresses: { router: '10.9.0.2' } }] },
    });
    expect(network).toMatchObject({
      name: 'front',
      driver: 'bridge',
      scope: 'local',
      internal: true,
      labels: { team: 'a', empty: '' },
      options: { 'com.docker.network.bridge.name': 'br-front' },
      ipam: {
        driver: 'default',
        pools: [{ subnet: '10.9.0.0/24', gateway: '10.9.0.254', auxAddresses: { router: '10.9.0.2' } }],
      },
    });
    expect(network.id).toMatch(/^[0-9a-f]{64}$/);
    expect(network.createdAt).toBeInstanceOf(Date);
    for (const data of [
      network.labels,
      network.options,
      network.ipam,
      network.ipam.pools,
      network.ipam.pools[0],
    ])
      expect(Object.isFrozen(data)).toBe(true);
  });

  it('is found by id and by name, and the handle stays the same', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'front' });
    expect(controller.network('front')).toBe(network);
    expect(controller.network(network.id)).toBe(network);
    expect(controller.networks()).toEqual([network]);
    expect(controller.network('')).toBeUndefined();
    expect(controller.network('back')).toBeUndefined();
  });

  it('comes back after a restart as it was', async () => {
    const setting = await setUp();
    const before = await setting.controller.createNetwork({ name: 'front', ipv6: true, labels: { a: 'b' } });
    const { id, labels, ipam, createdAt } = before;
    const after = (await restart(setting)).controller.network('front');
    expect(after).toMatchObject({ id, labels, ipam, createdAt });
  });

  it('is shown with the endpoints that are stored, which nothing has counted', async () => {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({ name: 'front' });
    for (const name of ['web', 'db']) await network.createEndpoint({ name });
    const counts = (await setting.world.keys()).filter((key) => key.includes('count'));
    expect(counts).toEqual([]);
    const after = (await restart(setting)).controller.network(network.id);
    expect(after?.endpoints().map(({ name }) => name)).toEqual(['web', 'db']);
    expect(await refusal(after?.delete() ?? Promise.resolve())).toMatchObject({ code: 'FORBIDDEN' });
  });

  it('keeps its pool when a controller is opened with other ones, from which new networks take theirs', async () => {
    const from = (base: string) => ({ defaultAddressPools: [{ base, size: 24 }] });
    const setting = await setUp(from('10.1.0.0/16'));
    const first = await setting.controller.createNetwork({ name: 'first' });
    const next = await restart(setting, [], from('10.2.0.0/16'));
    const second = await next.controller.createNetwork({ name: 'second' });
    const same = await restart(next, [], from('10.2.0.0/16'));
    const subnets = same.controller.networks().map(({ ipam }) => ipam.pools[0]?.subnet);
    expect(subnets).toEqual([first, second].map(({ ipam }) => ipam.pools[0]?.subnet));
    expect(subnets).toEqual([expect.stringMatching(/^10\.1\./), expect.stringMatching(/^10\.2\./)]);
    await expectNothingToRepair(same);
  });

  it('takes a name that nobody else has', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const first = await controller.createNetwork({ name: 'front' });
    const before = await everything(setting);
    expect(await refusal(controller.createNetwork({ name: 'front' }))).toMatchObject({
      code: 'ALREADY_EXISTS',
      field: 'name',
      value: 'front',
      holder: `network ${first.id}`,
    });
    expect(await everything(setting)).toEqual(before);
  });

  it('is made once when two ask for one name at the same time', async () => {
    const setting = await setUp();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () => setting.controller.createNetwork({ name: 'front' })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(setting.controller.networks()).toHaveLength(1);
    await expectNothingToRepair(setting);
  });

  it('is not shown while it is being made', async () => {
    const { controller } = await setUp();
    const making = controller.createNetwork({ name: 'front' });
    expect(controller.network('front')).toBeUndefined();
    expect(controller.networks()).toEqual([]);
    await making;
    expect(controller.networks()).toHaveLength(1);
  });

  it('names the driver and the IPAM driver that are not there', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const before = await everything(setting);
    expect(await refusal(controller.createNetwork({ name: 'a', driver: 'unknowndriver' }))).toMatchObject({
      code: 'NOT_FOUND',
      field: 'driver',
      value: 'unknowndriver',
    });
    expect(await refusal(controller.createNetwork({ name: 'a', ipam: { driver: 'nobody' } }))).toMatchObject({
      code: 'NOT_FOUND',
      field: 'ipam.driver',
      value: 'nobody',
    });
    expect(await everything(setting)).toEqual(before);
  });

  it('needs a family', async () => {
    const { controller } = await setUp();
    const error = await refusal(controller.createNetwork({ name: 'a', ipv4: false }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'ipv4' });
    expect(error.message).toContain('IPv4 or IPv6 must be enabled');
  });

  it('needs an address pool where its driver is the bridge', async () => {
    const setting = await setUp();
    const before = await everything(setting);
    const error = await refusal(setting.controller.createNetwork({ name: 'a', ipam: { driver: 'null' } }));
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(await everything(setting)).toEqual(before);
    expect(setting.controller.networks()).toEqual([]);
  });
});

describe('deleting a network', () => {
  it('is refused while it has endpoints, naming them', async () => {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({ name: 'front' });
    const web = await network.createEndpoint({ name: 'web' });
    const before = await everything(setting);
    const error = await refusal(network.delete());
    expect(error).toMatchObject({ code: 'FORBIDDEN', holder: `web (${web.id.slice(0, 12)})` });
    expect(error.message).toContain('has active endpoints');
    expect(await everything(setting)).toEqual(before);
    await web.delete();
    await network.delete();
  });

  it('leaves nothing, and a second time there is none', async () => {
    const setting = await setUp();
    const before = setting.world.dump();
    const network = await setting.controller.createNetwork({ name: 'front', ipv6: true });
    await network.delete();
    expect(setting.world.dump()).toEqual(before);
    expect((await setting.world.keys()).filter((key) => !key.includes('/ipam/'))).toEqual([]);
    expect(await refusal(network.delete())).toMatchObject({ code: 'NOT_FOUND' });
    expect(setting.controller.network(network.id)).toBeUndefined();
    await setting.controller.createNetwork({ name: 'front' });
  });

  it('is done once when two ask for it at the same time', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'front' });
    const [first, second] = await Promise.allSettled([network.delete(), network.delete()]);
    expect(first?.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'NOT_FOUND' } });
  });

  it('and making an endpoint at the same time never leaves an endpoint without a network', async () => {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({ name: 'front' });
    const [deletion, creation] = await Promise.allSettled([
      network.delete(),
      network.createEndpoint({ name: 'web' }),
    ]);
    expect([deletion?.status, creation?.status].sort()).toEqual(['fulfilled', 'rejected']);
    await expectNothingToRepair(setting);
  });
});

describe('the address pools of a network', () => {
  it('are one for each family that is on', async () => {
    const { controller } = await setUp();
    const only4 = await controller.createNetwork({ name: 'only4' });
    const only6 = await controller.createNetwork({ name: 'only6', ipv4: false, ipv6: true });
    const both = await controller.createNetwork({ name: 'both', ipv6: true });
    const families = (network: typeof both) =>
      network.ipam.pools.map(({ subnet }) => (subnet.includes(':') ? 'ipv6' : 'ipv4'));
    expect(families(only4)).toEqual(['ipv4']);
    expect(families(only6)).toEqual(['ipv6']);
    expect(families(both)).toEqual(['ipv4', 'ipv6']);
    const ends = await Promise.all(
      [only4, only6, both].map((network) => network.createEndpoint({ name: 'e' })),
    );
    expect(ends.map(({ ipv4, ipv6 }) => [ipv4 !== undefined, ipv6 !== undefined])).toEqual([
      [true, false],
      [false, true],
      [true, true],
    ]);
  });

  it('are refused in a family that is off', async () => {
    const { controller } = await setUp();
    const pools = [{ subnet: 'fd00:9::/64' }];
    expect(await refusal(controller.createNetwork({ name: 'a', ipam: { pools } }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'ipam.pools[0].subnet',
      value: 'fd00:9::/64',
    });
  });

  it('never overlap those of another network', async () => {
    const setting = await setUp();
    await setting.controller.createNetwork({ name: 'front', ipam: { pools: [POOL] } });
    const before = await everything(setting);
    const pools = [{ subnet: '10.9.0.128/25' }];
    const error = await refusal(setting.controller.createNetwork({ name: 'b', ipam: { pools } }));
    expect(error.code).toBe('CONFLICT');
    expect(error.message).toContain('front');
    expect(await everything(setting)).toEqual(before);
  });

  it('give addresses of the range only, but any address that is asked for by name', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({
      name: 'front',
      ipam: { pools: [{ subnet: '10.9.0.0/16', ipRange: '10.9.5.0/29', gateway: '10.9.0.1' }] },
    });
    const names = ['a', 'b', 'c'];
    const ends = await Promise.all(names.map((name) => network.createEndpoint({ name })));
    for (const { ipv4 } of ends) expect(ipv4).toMatch(/^10\.9\.5\.[0-7]\/16$/);
  });

  // Upstream's TestAuxAddresses: inside the range, outside it but inside the subnet, outside both.
  it.each([
    [{ subnet: '192.168.0.0/16' }, '192.168.2.2', true],
    [{ subnet: '192.168.0.0/16' }, '192.169.2.3', false],
    [{ subnet: '192.168.0.0/16', ipRange: '192.168.1.0/24' }, '192.168.1.2', true],
    [{ subnet: '192.168.0.0/16', ipRange: '192.168.1.0/24' }, '192.168.2.4', true],
    [{ subnet: '192.168.0.0/16', ipRange: '192.168.1.0/24' }, '192.169.2.4', false],
  ])('hold auxiliary addresses of the subnet: %j, %s: %s', async (pool, address, taken) => {
    const { controller } = await setUp();
    const making = controller.createNetwork({
      name: 'a',
      ipam: { pools: [{ ...pool, auxAddresses: { myaux: address } }] },
    });
    if (taken) expect((await making).ipam.pools[0]?.auxAddresses).toEqual({ myaux: address });
    else expect(await refusal(making)).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('never give a gateway or an auxiliary address to an endpoint', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({
      name: 'front',
      ipam: { pools: [{ subnet: '10.9.0.0/29', auxAddresses: { router: '10.9.0.3' } }] },
    });
    for (const ipv4 of ['10.9.0.1', '10.9.0.3'])
      expect(await refusal(network.createEndpoint({ name: 'x', ipv4 }))).toMatchObject({ code: 'FORBIDDEN' });
    const got = [];
    for (const name of ['a', 'b', 'c', 'd']) got.push((await network.createEndpoint({ name })).ipv4);
    expect(got.sort()).toEqual(['10.9.0.2/29', '10.9.0.4/29', '10.9.0.5/29', '10.9.0.6/29']);
    const error = await refusal(network.createEndpoint({ name: 'e' }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    expect(error.message).toContain('10.9.0.0/29');
  });
});

describe('the networks of drivers without links', () => {
  it.each(['host', 'null'])('%s: there is one, and it takes no address', async (driver) => {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({ name: 'n1', driver });
    expect(network.ipam.pools).toEqual([]);
    const before = await everything(setting);
    expect(await refusal(setting.controller.createNetwork({ name: 'n2', driver }))).toMatchObject({
      code: 'FORBIDDEN',
      holder: expect.stringContaining('n1'),
    });
    expect(await everything(setting)).toEqual(before);
  });

  it('lets sandboxes join a null network, leave it and be deleted', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'none', driver: 'null' });
    const sandbox = await controller.createSandbox({ containerId: 'null_container' });
    const endpoint = await network.createEndpoint({ name: 'testep' });
    await endpoint.join(sandbox);
    await endpoint.leave(sandbox);
    await endpoint.delete();
    await sandbox.delete();
  });

  it('lets two sandboxes share the host, and a third endpoint join the first again', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'host', driver: 'host' });
    const first = await controller.createSandbox({ containerId: 'h1', namespacePath: 'host' });
    const second = await controller.createSandbox({ containerId: 'h2', namespacePath: 'host' });
    const ends = [];
    for (const [name, sandbox] of [
      ['e1', first],
      ['e2', second],
      ['e3', first],
    ] as const) {
      const endpoint = await network.createEndpoint({ name });
      await endpoint.join(sandbox);
      ends.push(endpoint);
    }
    expect(first.namespacePath).toBe('host');
    expect(first.endpoints().map(({ name }) => name)).toEqual(['e1', 'e3']);
    await ends[2]?.leave(first);
    await first.delete();
    await second.delete();
    expect(network.endpoints().map(({ name }) => name)).toEqual(['e3']);
  });
});
