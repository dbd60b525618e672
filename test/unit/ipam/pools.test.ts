import { describe, expect, it } from 'vitest';
import { createIpam, type Ipam, type IpamOptions } from '../../../src/ipam/index.ts';
import { fails } from './fails.ts';

/** Asks for pools by their text, in the family that the text has. */
function asker(ipam: Ipam = createIpam({ reuseDelayMs: 0 } satisfies IpamOptions)) {
  const request = async (
    subnet: string,
    ipRange?: string,
    addressSpace = 'LocalDefault',
    holder?: string,
  ) => {
    const family = subnet.includes(':') ? 'ipv6' : 'ipv4';
    return (await ipam.requestPool({ addressSpace, family, subnet, ipRange, holder })).id;
  };
  return { ipam, request };
}

describe('pool ids', () => {
  it('name the space, the subnet and the range', async () => {
    const { request } = asker();
    expect(await request('172.18.0.0/16')).toBe('LocalDefault/172.18.0.0/16');
    expect(await request('10.0.0.0/8', '10.10.0.0/16')).toBe('LocalDefault/10.0.0.0/8/10.10.0.0/16');
    expect(await request('fd00:0::/64')).toBe('LocalDefault/fd00::/64');
  });

  it('leave out host bits', async () => {
    const { request } = asker();
    expect(await request('10.1.2.3/16', '10.1.9.9/24')).toBe('LocalDefault/10.1.0.0/16/10.1.9.0/24');
  });

  it.each([
    '',
    'LocalDefault',
    'LocalDefault/10.0.0.0',
    'LocalDefault/10.0.0.1/8',
    'LocalDefault/10.0.0.0/8/10.0.0.0',
    'LocalDefault/x/8',
  ])('such as %j are refused', async (id) => {
    const { ipam } = asker();
    await fails('INVALID_ARGUMENT', ipam.releasePool(id));
    await fails('INVALID_ARGUMENT', ipam.requestAddress({ poolId: id }));
  });
});

describe('subnets', () => {
  it('may be the same in different address spaces', async () => {
    const { request } = asker();
    expect(await request('10.0.0.0/8')).not.toBe(await request('10.0.0.0/8', undefined, 'GlobalDefault'));
    await fails('INVALID_ARGUMENT', request('10.0.0.0/8', undefined, 'blue'));
  });

  it.each([
    ['10.0.0.0/8', ['10.0.0.0/8', '10.128.0.0/9', '10.20.2.0/24', '10.0.0.0/32', '0.0.0.0/0']],
    ['10.5.0.0/16', ['10.0.0.0/8', '10.5.3.0/24', '10.4.0.0/15']],
    ['2001:db8::/112', ['2001:db8::/64', '2001:db8::/120', '::/0']],
    ['::/0', ['fd00::/64']],
  ])('%s excludes what overlaps it', async (subnet, others) => {
    const { request } = asker();
    await request(subnet, undefined, 'LocalDefault', 'network front');
    for (const other of others) {
      const error = await fails('FORBIDDEN', request(other));
      expect(error).toMatchObject({ holder: 'network front', value: other, field: 'ipam.pools.subnet' });
      expect(error.message).toContain(`pool ${subnet} (network front)`);
    }
  });

  it('side by side do not exclude each other', async () => {
    const { request } = asker();
    for (const subnet of ['10.0.0.0/8', '11.0.0.0/8', '9.0.0.0/8', 'fd00::/64', 'fd00:0:0:1::/64'])
      await request(subnet);
  });

  it('of many kinds can all be released', async () => {
    const { ipam, request } = asker();
    const ids = [
      await request('192.168.0.0/16'),
      await request('172.17.0.0/16'),
      await request('10.0.0.0/8'),
      await request('2001:db8:1::/64'),
      await request('2001:db8:2::/120'),
      await request('11.0.0.0/8', '11.1.0.0/16'),
      (await ipam.requestPool({ addressSpace: 'LocalDefault', family: 'ipv4' })).id,
      (await ipam.requestPool({ addressSpace: 'LocalDefault', family: 'ipv6' })).id,
    ];
    for (const id of ids) await ipam.releasePool(id);
    for (const id of ids) await fails('NOT_FOUND', ipam.releasePool(id));
    await request('0.0.0.0/0');
    await request('::/0');
  });

  it('forget their addresses when they are released', async () => {
    const { ipam, request } = asker();
    const id = await request('10.0.0.0/24');
    await ipam.requestAddress({ poolId: id, holder: 'endpoint web' });
    await ipam.releasePool(id);
    await request('10.0.0.0/24');
    expect((await ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.1/24');
  });
});

describe('ranges', () => {
  it('of one subnet are pools of their own, each given once', async () => {
    const { request } = asker();
    await request('10.0.0.0/8', '10.10.0.0/17');
    await fails('FORBIDDEN', request('10.0.0.0/8', '10.10.0.0/17'));
    await request('10.0.0.0/8', '10.11.0.0/16');
    await request('10.0.0.0/8');
    await fails('FORBIDDEN', request('10.0.0.0/8'));
  });

  it('share the addresses of the subnet', async () => {
    const { ipam, request } = asker();
    const [whole, range] = [await request('10.0.0.0/24'), await request('10.0.0.0/24', '10.0.0.0/25')];
    expect((await ipam.requestAddress({ poolId: range })).address).toBe('10.0.0.1/24');
    expect((await ipam.requestAddress({ poolId: whole })).address).toBe('10.0.0.2/24');
  });

  it('do not let their subnet overlap another', async () => {
    const { request } = asker();
    await request('10.1.0.0/16');
    await fails('FORBIDDEN', request('10.0.0.0/8', '10.2.0.0/16'));
  });

  it('keep their subnet until the last of them is released', async () => {
    const { ipam, request } = asker();
    const [a, b] = [await request('10.0.0.0/8', '10.1.0.0/16'), await request('10.0.0.0/8', '10.2.0.0/16')];
    await ipam.requestAddress({ poolId: b });
    await ipam.releasePool(a);
    await fails('NOT_FOUND', ipam.releasePool(a));
    await fails('NOT_FOUND', ipam.releasePool('LocalDefault/10.0.0.0/8'));
    await fails('FORBIDDEN', request('10.9.0.0/16'));
    await ipam.releasePool(b);
    await request('10.9.0.0/16');
  });

  it('may be asked for before and after their subnet, and outlive it', async () => {
    const { ipam, request } = asker();
    const whole = await request('10.0.0.0/8');
    const range = await request('10.0.0.0/8', '10.1.0.0/16');
    await ipam.releasePool(whole);
    await fails('NOT_FOUND', ipam.requestAddress({ poolId: whole }));
    expect((await ipam.requestAddress({ poolId: range })).address).toBe('10.1.0.0/8');
    await ipam.releasePool(range);
    await request('10.0.0.0/9');
  });

  it('as wide as the subnet, or wider, are the subnet', async () => {
    const { ipam, request } = asker();
    const id = await request('172.28.0.0/16', '172.28.0.0/16');
    expect(id).toBe('LocalDefault/172.28.0.0/16/172.28.0.0/16');
    expect((await ipam.requestAddress({ poolId: id })).address).toBe('172.28.0.1/16');
    expect(await request('10.9.0.0/24', '10.0.0.0/8')).toBe('LocalDefault/10.9.0.0/24/10.9.0.0/24');
  });

  it('must lie in the subnet and be of its family', async () => {
    const { request } = asker();
    await fails('INVALID_ARGUMENT', request('10.0.0.0/24', '10.0.1.0/25'));
    await fails('INVALID_ARGUMENT', request('10.0.0.0/24', 'fd00::/64'));
  });
});

describe('pools asked for at once', () => {
  it('all differ, and are all released', async () => {
    const { ipam } = asker();
    const pools = await Promise.all(
      Array.from({ length: 120 }, () => ipam.requestPool({ addressSpace: 'GlobalDefault', family: 'ipv4' })),
    );
    expect(new Set(pools.map(({ id }) => id)).size).toBe(120);
    await Promise.all(pools.map(({ id }) => ipam.releasePool(id)));
    const next = await ipam.requestPool({ addressSpace: 'GlobalDefault', family: 'ipv4' });
    expect(next.subnet).toBe('10.0.0.0/24');
  });

  it('fail alone', async () => {
    const { request } = asker();
    const results = await Promise.allSettled([
      request('10.0.0.0/8'),
      request('10.0.0.0/9'),
      request('11.0.0.0/8'),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });
});
