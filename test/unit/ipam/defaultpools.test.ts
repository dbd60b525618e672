import { describe, expect, it, vi } from 'vitest';
import { formatPrefix, parsePrefix } from '../../../src/ip.ts';
import { Exclusions, findFree, parseDefaultPools, uniqueLocalBlock } from '../../../src/ipam/defaultpools.ts';
import { createIpam, type Ipam, type PoolRequest } from '../../../src/ipam/index.ts';
import { PrefixTree } from '../../../src/ipam/prefixtree.ts';
import { fails } from './fails.ts';

const V4 = { addressSpace: 'LocalDefault', family: 'ipv4' } as const;
const V6 = { addressSpace: 'LocalDefault', family: 'ipv6' } as const;
const GLOBAL = { addressSpace: 'GlobalDefault', family: 'ipv4' } as const;

async function take(ipam: Ipam, count: number, request: PoolRequest = V4): Promise<string[]> {
  const subnets: string[] = [];
  for (let i = 0; i < count; i++) subnets.push((await ipam.requestPool(request)).subnet);
  return subnets;
}

describe('the default pools', () => {
  it("are upstream's 31 networks, then 4,096 more", async () => {
    const ipam = createIpam();
    const subnets = await take(ipam, 31 + 4096);
    expect(subnets.slice(0, 15)).toEqual(Array.from({ length: 15 }, (_, i) => `172.${17 + i}.0.0/16`));
    expect(subnets.slice(15, 31)).toEqual(Array.from({ length: 16 }, (_, i) => `192.168.${16 * i}.0/20`));
    expect(subnets[31]).toBe('10.192.0.0/24');
    expect(subnets.at(-1)).toBe('10.207.255.0/24');
    expect(new Set(subnets).size).toBe(subnets.length);
    await fails('UNAVAILABLE', ipam.requestPool(V4));
  });

  it('of the global space are 65,536 networks of 10.0.0.0/8', async () => {
    const ipam = createIpam();
    expect(await take(ipam, 3, GLOBAL)).toEqual(['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24']);
    await ipam.requestPool({ ...GLOBAL, subnet: '10.0.0.0/9', options: {} }).then(
      () => expect.unreachable(),
      () => undefined,
    );
    await ipam.requestPool({ ...GLOBAL, subnet: '10.128.0.0/9' });
    expect(await take(ipam, 1, GLOBAL)).toEqual(['10.0.3.0/24']);
  });

  it('may be 4,096 or more /24 networks of our choosing', async () => {
    const ipam = createIpam({ defaultAddressPools: [{ base: '10.64.0.0/10', size: 24 }] });
    const subnets = await take(ipam, 5000);
    expect(new Set(subnets).size).toBe(5000);
    expect(subnets[4096]).toBe('10.80.0.0/24');
  });

  it('are taken in the order in which they are configured, the lowest first', async () => {
    const defaultAddressPools = [
      { base: '172.90.0.0/23', size: 24 },
      { base: '172.80.0.0/23', size: 24 },
    ];
    const subnets = ['172.90.0.0/24', '172.90.1.0/24', '172.80.0.0/24', '172.80.1.0/24'];
    expect(await take(createIpam({ defaultAddressPools }), 4)).toEqual(subnets);
  });

  it('are given once where blocks overlap', async () => {
    const defaultAddressPools = [
      { base: '10.0.0.0/30', size: 31 },
      { base: '10.0.0.0/29', size: 31 },
    ];
    const subnets = await take(createIpam({ defaultAddressPools }), 4);
    expect(subnets).toEqual(['10.0.0.0/31', '10.0.0.2/31', '10.0.0.4/31', '10.0.0.6/31']);
  });

  it('are given again once they are released', async () => {
    const ipam = createIpam();
    const [first] = [await ipam.requestPool(V4), await ipam.requestPool(V4)];
    await ipam.releasePool(first?.id ?? '');
    expect(await take(ipam, 1)).toEqual(['172.17.0.0/16']);
  });

  it.each([
    [{ base: '10.0.0.1/8', size: 24 }, 'defaultAddressPools[0].base'],
    [{ base: 'nonsense', size: 24 }, 'defaultAddressPools[0].base'],
    [{ base: '10.0.0.0/8', size: 7 }, 'defaultAddressPools[0].size'],
    [{ base: '10.0.0.0/8', size: 33 }, 'defaultAddressPools[0].size'],
    [{ base: '0.0.0.0/0', size: 0 }, 'defaultAddressPools[0].size'],
    [{ base: '10.0.0.0/8', size: 24.5 }, 'defaultAddressPools[0].size'],
  ])('%j are refused', (pool, field) => {
    expect(() => createIpam({ defaultAddressPools: [pool] })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field }),
    );
  });
});

describe('a default pool of a certain size', () => {
  const ipam = createIpam();

  it('is asked for with the unspecified address', async () => {
    expect((await ipam.requestPool({ ...V4, subnet: '0.0.0.0/24' })).subnet).toBe('172.17.0.0/24');
    expect((await ipam.requestPool({ ...V4, subnet: '0.0.0.0/16' })).subnet).toBe('172.18.0.0/16');
    expect((await ipam.requestPool({ ...V4, subnet: '0.0.0.0/26' })).subnet).toBe('172.17.1.0/26');
    expect((await ipam.requestPool({ ...V6, subnet: '::/80' })).subnet).toMatch(/^fd[0-9a-f:]+\/80$/);
  });

  it.each(['/24', '0.0.0.0/AB', '0.0.0.0/150', '0.0.0.0/8'])('can not be %s', async (subnet) => {
    await fails('INVALID_ARGUMENT', ipam.requestPool({ ...V4, subnet }));
  });
});

describe('the search for a default pool', () => {
  const defaultAddressPools = [{ base: '192.168.0.0/16', size: 24 }];

  it.each([
    ['after a pool at the end', ['192.168.255.0/24'], [], '192.168.0.0/24'],
    ['after parts of the first', ['192.168.0.0/25', '192.168.0.128/25'], [], '192.168.1.0/24'],
    ['in a gap', ['192.168.0.0/24', '192.168.2.0/24'], [], '192.168.1.0/24'],
    ['after a small pool within', ['192.168.0.77/32'], [], '192.168.1.0/24'],
    [
      'after routes of all sizes',
      ['192.168.0.0/24', '192.168.1.0/24'],
      ['192.168.2.4/30', '192.168.3.0/30', '192.168.4.0/23'],
      '192.168.6.0/24',
    ],
    ['after a route that starts before the block', [], ['192.128.0.0/9', '192.168.0.0/17'], undefined],
    ['after a route of half the block', [], ['192.168.0.0/17'], '192.168.128.0/24'],
    ['past a name server', [], ['192.168.0.53'], '192.168.1.0/24'],
    [
      'past routes one in the other',
      [],
      ['192.168.0.0/22', '192.168.0.0/24', '192.168.1.128/25'],
      '192.168.4.0/24',
    ],
    ['without heed of the other family', [], ['::/0', 'fd00::1'], '192.168.0.0/24'],
  ] as const)('finds one %s', async (_, pools, excluded, expected) => {
    const ipam = createIpam({ defaultAddressPools });
    for (const subnet of pools) await ipam.requestPool({ ...V4, subnet });
    const exclude = excluded.map((prefix) => ({ prefix, reason: `route ${prefix}` }));
    const found = ipam.requestPool({ ...V4, exclude });
    if (expected === undefined) await fails('UNAVAILABLE', found);
    else expect((await found).subnet).toBe(expected);
  });

  it('does not look at every candidate', () => {
    const pools = new PrefixTree<string>('ipv4');
    const [block] = parseDefaultPools([{ base: '10.0.0.0/8', size: 24 }]);
    if (block === undefined) return expect.unreachable();
    for (let i = 0; i < 10_000; i++) {
      const free = findFree([block], pools, new Exclusions([], 'ipv4'));
      if (free) pools.insert(free, formatPrefix(free));
    }
    const exclusions = new Exclusions(
      [
        { prefix: '10.64.0.0/10', reason: 'a route' },
        { prefix: '10.32.0.0/11', reason: 'a route' },
      ],
      'ipv4',
    );
    pools.insert(
      parsePrefix('10.39.16.0/20') ?? expect.unreachable(),
      'the rest of what comes before the routes',
    );
    const asked = vi.spyOn(exclusions, 'find');
    for (let step = 0; step < 32; step++) {
      const free = findFree([block], pools, exclusions);
      if (free) pools.insert(free, formatPrefix(free));
    }
    // One question for what is given and one for each route on the way, not one for each of 10,000 pools.
    expect(asked.mock.calls.length).toBeLessThanOrEqual(32 * 3);
  });

  it('refuses an exclusion that is no prefix', async () => {
    const call = createIpam().requestPool({ ...V4, exclude: [{ prefix: 'default', reason: 'a route' }] });
    expect((await fails('INVALID_ARGUMENT', call)).field).toBe('exclude[0].prefix');
  });

  it('never gives a subnet twice, nor one that is reserved (4de54ee14c)', async () => {
    const ipam = createIpam({ defaultAddressPools: [{ base: '10.0.0.0/20', size: 24 }] });
    const exclude = [
      { prefix: '10.0.3.0/25', reason: 'route' },
      { prefix: '10.0.7.0/24', reason: 'route' },
    ];
    const held = new Map<string, string>();
    for (let i = 0; i < 400; i++) {
      if (held.size === 14 || (i % 3 === 2 && held.size > 0)) {
        const [subnet, id] = [...held][(i * 7) % held.size] ?? ['', ''];
        await ipam.releasePool(id);
        held.delete(subnet);
      } else {
        const { id, subnet } = await ipam.requestPool({ ...V4, exclude });
        expect(held.has(subnet)).toBe(false);
        expect(['10.0.3.0/24', '10.0.7.0/24']).not.toContain(subnet);
        held.set(subnet, id);
      }
    }
  });
});

describe('when no default pool is left', () => {
  it('the error lists each candidate with exactly what excluded it', async () => {
    const ipam = createIpam({
      defaultAddressPools: [
        { base: '172.20.0.0/14', size: 16 },
        { base: '10.0.0.0/22', size: 24 },
      ],
    });
    await ipam.requestPool({ ...V4, subnet: '10.0.2.0/26', holder: 'network front' });
    const exclude = [
      { prefix: '172.16.0.0/12', reason: 'route 172.16.0.0/12 of tun0' },
      { prefix: '10.0.0.0/23', reason: 'route 10.0.0.0/23 of eth0' },
      { prefix: '10.0.3.53', reason: 'name server 10.0.3.53' },
    ];
    const error = await fails('UNAVAILABLE', ipam.requestPool({ ...V4, exclude }));
    expect(error.value).toEqual([
      { from: '172.20.0.0/16', to: '172.23.0.0/16', by: 'route 172.16.0.0/12 of tun0' },
      { from: '10.0.0.0/24', to: '10.0.1.0/24', by: 'route 10.0.0.0/23 of eth0' },
      { from: '10.0.2.0/24', to: '10.0.2.0/24', by: 'pool 10.0.2.0/26 (network front)' },
      { from: '10.0.3.0/24', to: '10.0.3.0/24', by: 'name server 10.0.3.53' },
    ]);
    expect(error.message).toContain('10.0.2.0/24: pool 10.0.2.0/26 (network front)');
    expect(error.limit).toBe('defaultAddressPools');
  });

  it('the message stays short where thousands are taken', async () => {
    const ipam = createIpam({ defaultAddressPools: [{ base: '10.0.0.0/14', size: 24 }] });
    await take(ipam, 1024);
    const error = await fails('UNAVAILABLE', ipam.requestPool(V4));
    expect(error.message.split('\n')).toHaveLength(66);
    expect(error.message).toContain('and 960 more');
    expect(error.value).toHaveLength(1024);
  });
});

describe('default IPv6 pools', () => {
  it.each([
    ['', 'fd42:98fc:1c14::/48'],
    ['499d4bc0-b0b3-416f-b1ee-cf6486315593', 'fd62:fb69:18af::/48'],
  ])('are derived of the host id %j by RFC 4193', (hostId, expected) => {
    expect(formatPrefix(uniqueLocalBlock(hostId).base)).toBe(expected);
  });

  it('are /64 networks of one /48', async () => {
    const ipam = createIpam({ hostId: '' });
    expect(await take(ipam, 3, V6)).toEqual([
      'fd42:98fc:1c14::/64',
      'fd42:98fc:1c14:1::/64',
      'fd42:98fc:1c14:2::/64',
    ]);
  });

  it('come from what is configured, where that has any', async () => {
    const ipam = createIpam({ defaultAddressPools: [{ base: 'fd00:9::/32', size: 96 }] });
    expect(await take(ipam, 2, V6)).toEqual(['fd00:9::/96', 'fd00:9::1:0:0/96']);
    await fails('UNAVAILABLE', ipam.requestPool(V4));
  });
});
