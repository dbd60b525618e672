import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { refusal, setUp } from './setting.ts';

const POOLS = { defaultAddressPools: [{ base: '10.200.0.0/22', size: 24 }] };

describe('address pools of our choosing', () => {
  it('keep clear of networks, routes and name servers; when none is left, the error says which took which', async () => {
    const { world, controller, osl } = await setUp(POOLS);
    await osl.host.apply([
      { op: 'createLink', name: 'eth9', link: { kind: 'dummy' }, up: true },
      { op: 'addAddress', link: 'eth9', address: '10.200.2.1/24' },
    ]);
    writeFileSync(world.resolvConf, 'nameserver 10.200.3.53\nnameserver fe80::1%eth9\n');
    const front = { name: 'front', driver: 'bridge', ipam: { pools: [{ subnet: '10.200.1.0/25' }] } };
    await controller.createNetwork(front);
    const chosen = await controller.createNetwork({ name: 'chosen', driver: 'bridge' });
    expect(chosen.ipam.pools.map((pool) => pool.subnet)).toEqual(['10.200.0.0/24']);
    const error = await refusal(controller.createNetwork({ name: 'more', driver: 'bridge' }));
    expect(error.code).toBe('UNAVAILABLE');
    // The bridges' own routes are there, too; what is said of a candidate is one thing that excludes it.
    for (const line of [
      /10\.200\.0\.0\/24: .*10\.200\.0\.0\/24/,
      /10\.200\.1\.0\/24: .*10\.200\.1\.0\/25/,
      /10\.200\.2\.0\/24: route 10\.200\.2\.0\/24 of eth9/,
      new RegExp(`10\\.200\\.3\\.0/24: name server 10\\.200\\.3\\.53 of ${world.resolvConf}`),
    ])
      expect(error.message).toMatch(line);
    expect(controller.networks().map(({ name }) => name)).not.toContain('more');
  });

  it('do not keep an explicit subnet from a name server in it', async () => {
    const { world, controller } = await setUp(POOLS);
    writeFileSync(world.resolvConf, 'nameserver 10.200.3.53\n');
    const network = await controller.createNetwork({
      name: 'front',
      driver: 'bridge',
      ipam: { pools: [{ subnet: '10.200.3.0/24' }] },
    });
    expect(network.ipam.pools[0]?.subnet).toBe('10.200.3.0/24');
  });

  it('may be several of each family; an endpoint gets its address from the next when one is full', async () => {
    const { controller, osl } = await setUp();
    await osl.host.apply([{ op: 'createLink', name: 'eth9', link: { kind: 'dummy' }, up: true }]);
    const pools = [
      { subnet: '10.9.0.0/30' },
      { subnet: '10.9.1.0/29' },
      { subnet: 'fd00:9::/126' },
      { subnet: 'fd00:a::/64' },
    ];
    const network = await controller.createNetwork({
      name: 'n',
      driver: 'macvlan',
      ipv6: true,
      options: { parent: 'eth9' },
      ipam: { pools },
    });
    const made = [];
    for (let i = 0; i < 4; i++) made.push(await network.createEndpoint({ name: `e${i}` }));
    expect(made.map(({ ipv4 }) => ipv4)).toEqual([
      '10.9.0.1/30',
      '10.9.0.2/30',
      '10.9.1.1/29',
      '10.9.1.2/29',
    ]);
    expect(made.map(({ ipv6 }) => ipv6)).toEqual([
      'fd00:9::1/126',
      'fd00:9::2/126',
      'fd00:9::3/126',
      'fd00:a::1/64',
    ]);
    const taken = await refusal(network.createEndpoint({ name: 'x', ipv4: '10.9.1.1' }));
    expect(taken.code).toBe('FORBIDDEN');
    expect(taken.holder).toBe('endpoint e2');
  });
});
