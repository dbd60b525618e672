import { describe, expect, it } from 'vitest';
import {
  AUXILIARY_ADDRESS,
  createIpam,
  GATEWAY,
  IPV6_FROM_MAC,
  type Ipam,
  type IpamOptions,
  MAC_ADDRESS,
  REQUEST_ADDRESS_TYPE,
  RESERVED,
  REUSE_DELAY,
  SERIAL,
} from '../../../src/ipam/index.ts';
import { fails } from './fails.ts';

interface Opened {
  readonly ipam: Ipam;
  readonly id: string;
  any(options?: Record<string, string>): Promise<string>;
  take(address: string, holder?: string): Promise<string>;
  release(address: string): Promise<void>;
}

/** An IPAM without quiet times, with one pool. */
async function pool(
  subnet: string,
  more: { ipRange?: string; options?: Record<string, string>; ipam?: IpamOptions } = {},
): Promise<Opened> {
  const ipam = createIpam({ reuseDelayMs: 0, ...more.ipam });
  const family = subnet.includes(':') ? 'ipv6' : 'ipv4';
  const { id } = await ipam.requestPool({ addressSpace: 'LocalDefault', family, subnet, ...more });
  return {
    ipam,
    id,
    any: async (options) => (await ipam.requestAddress({ poolId: id, ...(options && { options }) })).address,
    take: async (address, holder) => (await ipam.requestAddress({ poolId: id, address, holder })).address,
    release: (address) => ipam.releaseAddress(id, address),
  };
}

describe('any address', () => {
  it.each([
    ['192.168.59.0/24', 254, '192.168.59.254/24'],
    ['192.168.0.0/16', 256, '192.168.1.0/16'],
    ['10.0.0.0/8', 256, '10.0.1.0/8'],
  ])('of %s is, after %i of them, %s', async (subnet, count, last) => {
    const { any } = await pool(subnet);
    for (let i = 1; i < count; i++) await any();
    expect(await any()).toBe(last);
  });

  it.each([11, 15, 20, 24, 27, 30, 31, 32])('of a /%i can be had until none is left', async (length) => {
    const { ipam, id, any } = await pool(`10.0.0.0/${length}`);
    const { capacity } = (await ipam.usage?.(id)) ?? expect.unreachable();
    expect(capacity).toBe(length >= 31 ? 2n ** BigInt(32 - length) : 2n ** BigInt(32 - length) - 2n);
    // Filling a /11 one by one takes seconds, and shows nothing that a /20 does not.
    if (length < 20) return;
    for (let i = 0n; i < capacity; i++) await any();
    await fails('UNAVAILABLE', any());
    expect((await ipam.usage?.(id))?.used).toBe(capacity);
  });

  it('is the lowest that is free', async () => {
    const { any, release } = await pool('10.0.0.0/23');
    for (let i = 0; i < 510; i++) await any();
    for (const address of ['10.0.0.1', '10.0.0.255', '10.0.0.77', '10.0.1.254', '10.0.1.0']) {
      await release(address);
      expect(await any()).toBe(`${address}/23`);
      await fails('UNAVAILABLE', any());
    }
  });

  it('of a range comes from it, edges included, with the length of the subnet', async () => {
    const { any } = await pool('172.28.0.0/16', { ipRange: '172.28.30.0/24' });
    expect(await any()).toBe('172.28.30.0/16');
    for (let i = 1; i < 255; i++) await any();
    expect(await any()).toBe('172.28.30.255/16');
    await fails('UNAVAILABLE', any());
  });

  it('of a range leaves out what was asked for', async () => {
    const { any, take } = await pool('10.0.0.0/8', { ipRange: '10.2.2.0/24' });
    await take('10.2.2.1');
    expect([await any(), await any()]).toEqual(['10.2.2.0/8', '10.2.2.2/8']);
  });

  it('of a range at the edge of the subnet is never the network or the broadcast address', async () => {
    const { any } = await pool('10.0.0.0/24', { ipRange: '10.0.0.252/30' });
    expect([await any(), await any(), await any()]).toEqual([
      '10.0.0.252/24',
      '10.0.0.253/24',
      '10.0.0.254/24',
    ]);
    await fails('UNAVAILABLE', any());
  });
});

describe('serial addresses', () => {
  const serial = { [SERIAL]: 'true' };

  it('go on where the last one was given', async () => {
    const { any, take, release } = await pool('10.0.0.0/8', { ipRange: '10.2.2.0/24' });
    await take('10.2.2.1');
    expect([await any(serial), await any(serial)]).toEqual(['10.2.2.0/8', '10.2.2.2/8']);
    await release('10.2.2.0');
    expect(await any(serial)).toBe('10.2.2.3/8');
    await release('10.2.2.1');
    expect(await any(serial)).toBe('10.2.2.4/8');
    expect(await any()).toBe('10.2.2.0/8');
  });

  it('turn at the end of the pool', async () => {
    const { any, release } = await pool('10.0.0.0/29', { options: serial });
    for (let i = 0; i < 6; i++) await any();
    await release('10.0.0.3');
    expect(await any()).toBe('10.0.0.3/29');
  });

  it('are given for exactly "true"', async () => {
    const { any, release } = await pool('10.0.0.0/24', { options: { [SERIAL]: 'yes' } });
    await any();
    await release('10.0.0.1');
    expect(await any()).toBe('10.0.0.1/24');
  });
});

describe('a certain address', () => {
  it('is given once, and the error names who holds it', async () => {
    const { take } = await pool('192.168.100.0/24');
    await take('192.168.100.250', 'endpoint web');
    const error = await fails('FORBIDDEN', take('192.168.100.250', 'endpoint api'));
    expect(error).toMatchObject({ field: 'address', value: '192.168.100.250', holder: 'endpoint web' });
    expect(error.message).toBe('address 192.168.100.250 is in use by endpoint web');
  });

  it('may be released by the form in which it was given', async () => {
    const { take, release } = await pool('192.168.100.0/24');
    await release(await take('192.168.100.250'));
    await take('192.168.100.250', 'endpoint api');
  });

  it('of a released endpoint is not said to be held by it', async () => {
    const { take, release } = await pool('10.0.0.0/24');
    await take('10.0.0.9', 'endpoint web');
    await release('10.0.0.9');
    await take('10.0.0.9');
    expect((await fails('FORBIDDEN', take('10.0.0.9'))).holder).toBeUndefined();
  });

  it('is not released for a holder that lost it to another', async () => {
    const { ipam, id, take } = await pool('10.0.0.0/24');
    await take('10.0.0.9', 'endpoint web');
    await ipam.releaseAddress(id, '10.0.0.9', { holder: 'endpoint gone' });
    expect((await fails('FORBIDDEN', take('10.0.0.9'))).holder).toBe('endpoint web');
    await ipam.releaseAddress(id, '10.0.0.9', { holder: 'endpoint web' });
    await take('10.0.0.9');
  });

  it.each([
    ['10.0.0.0/24', '10.0.0.0', 'the network address of 10.0.0.0/24'],
    ['10.0.0.0/24', '10.0.0.255', 'the broadcast address of 10.0.0.0/24'],
    ['fd00::/64', 'fd00::', 'the subnet-router anycast address of fd00::/64'],
  ])('of %s is not %s', async (subnet, address, holder) => {
    const { take } = await pool(subnet);
    expect((await fails('FORBIDDEN', take(address))).holder).toBe(holder);
  });

  it('is refused outside the subnet, also for a release', async () => {
    const { take, release } = await pool('192.168.0.2/31');
    for (const address of ['192.168.0.1', '192.168.0.4', '192.168.0.100', 'fd00::1', 'nonsense', '']) {
      await fails('INVALID_ARGUMENT', take(address));
      await fails('INVALID_ARGUMENT', release(address));
    }
  });
});

describe('small subnets', () => {
  it('a /31 has two addresses (RFC 3021)', async () => {
    const { any } = await pool('192.168.0.2/31');
    expect([await any(), await any()]).toEqual(['192.168.0.2/31', '192.168.0.3/31']);
    await fails('UNAVAILABLE', any());
  });

  it('a /32 has one', async () => {
    const { any } = await pool('1.1.1.1/32');
    expect(await any()).toBe('1.1.1.1/32');
    await fails('UNAVAILABLE', any());
  });

  it('a /127 has one, after the anycast address, and a /128 none', async () => {
    const { any } = await pool('fd00::2/127');
    expect(await any()).toBe('fd00::3/127');
    await fails('UNAVAILABLE', any());
    await fails('UNAVAILABLE', (await pool('fd00::5/128')).any());
  });
});

describe('large IPv6 subnets', () => {
  it.each([
    ['fd00::/64', 'fd00::1/64', 'fd00::ffff:ffff:ffff:ffff'],
    ['fd00::/63', 'fd00::1/63', 'fd00::1:ffff:ffff:ffff:ffff'],
    ['fd00::/8', 'fd00::1/8', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['::/0', '::1/0', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])('%s gives %s first and its last address to who asks', async (subnet, first, last) => {
    const { ipam, id, any, take } = await pool(subnet);
    expect(await any()).toBe(first);
    expect(await take(last)).toBe(`${last}/${subnet.split('/')[1]}`);
    await fails('FORBIDDEN', take(last));
    const usage = await ipam.usage?.(id);
    expect(usage?.capacity).toBe(2n ** (128n - BigInt(subnet.split('/')[1] ?? 0)) - 1n);
    expect(usage?.used).toBe(2n);
  });

  it('give addresses of a range beyond their first 2^64', async () => {
    const { any, release } = await pool('fd00::/48', { ipRange: 'fd00:0:0:5::/64' });
    expect(await any()).toBe('fd00:0:0:5::/48');
    expect(await any()).toBe('fd00:0:0:5::1/48');
    await release('fd00:0:0:5::');
    expect(await any()).toBe('fd00:0:0:5::/48');
  });
});

describe('reserved addresses', () => {
  const options = { [RESERVED]: '10.0.0.1, 10.0.0.4/30,10.0.0.10-10.0.0.200, fd00::1, 10.0.0.250-10.9.9.9' };

  it('are given only to who asks for them', async () => {
    const { any, take } = await pool('10.0.0.0/24', { options });
    expect([await any(), await any(), await any(), await any()]).toEqual(
      [2, 3, 8, 9].map((n) => `10.0.0.${n}/24`),
    );
    expect(await any()).toBe('10.0.0.201/24');
    expect(await take('10.0.0.1')).toBe('10.0.0.1/24');
    expect(await take('10.0.0.100', 'endpoint db')).toBe('10.0.0.100/24');
    expect((await fails('FORBIDDEN', take('10.0.0.100'))).holder).toBe('endpoint db');
  });

  it('are not given even when nothing else is left', async () => {
    const { any, take } = await pool('10.0.0.0/29', { options: { [RESERVED]: '10.0.0.2-10.0.0.6' } });
    await any();
    await fails('UNAVAILABLE', any());
    await take('10.0.0.6');
  });

  it('stay reserved after their holder is gone', async () => {
    const { any, take, release } = await pool('10.0.0.0/24', {
      options: { [RESERVED]: '10.0.0.1' },
      ipam: { reuseDelayMs: 5 },
    });
    await take('10.0.0.1');
    await release('10.0.0.1');
    expect(await any()).toBe('10.0.0.2/24');
  });

  it('count as reserved until they are used', async () => {
    const { ipam, id, take } = await pool('10.0.0.0/24', { options: { [RESERVED]: '10.0.0.16/28' } });
    expect(await ipam.usage?.(id)).toEqual({ capacity: 254n, used: 0n, reserved: 18n });
    await take('10.0.0.17');
    expect(await ipam.usage?.(id)).toEqual({ capacity: 254n, used: 1n, reserved: 17n });
  });

  it('of a whole /8 cost nothing to hold', async () => {
    const { any } = await pool('fd00::/8', { options: { [RESERVED]: 'fd00::-fdff::' } });
    expect(await any()).toBe('fdff::1/8');
  });

  it.each(['10.0.0', '10.0.0.9-10.0.0.1', '10.0.0.1-fd00::1', '1-2-3', ','])(
    'can not be %j',
    async (text) => {
      const error = await fails('INVALID_ARGUMENT', pool('10.0.0.0/24', { options: { [RESERVED]: text } }));
      expect(error.field).toContain(RESERVED);
    },
  );
});

describe('a released address', () => {
  /** A pool on a clock that the test turns. */
  async function timed(subnet: string, options?: Record<string, string>) {
    const time = { now: 1_000_000 };
    const opened = await pool(subnet, {
      ipam: { reuseDelayMs: 60_000, clock: () => time.now },
      ...(options && { options }),
    });
    return { ...opened, time };
  }

  it('is not given again before its quiet time is over', async () => {
    const { any, release, time } = await timed('10.0.0.0/24');
    expect(await any()).toBe('10.0.0.1/24');
    await release('10.0.0.1');
    expect(await any()).toBe('10.0.0.2/24');
    time.now += 59_999;
    expect(await any()).toBe('10.0.0.3/24');
    time.now += 1;
    expect(await any()).toBe('10.0.0.1/24');
  });

  it('is given again at once where nothing else is left, the longest resting first', async () => {
    const { any, release, time } = await timed('10.0.0.0/29');
    for (let i = 0; i < 6; i++) await any();
    await release('10.0.0.4');
    time.now += 1;
    await release('10.0.0.2');
    expect(await any()).toBe('10.0.0.4/29');
    expect(await any()).toBe('10.0.0.2/29');
    await fails('UNAVAILABLE', any());
  });

  it('is given at once to who asks for it', async () => {
    const { any, take, release } = await timed('10.0.0.0/24');
    await any();
    await release('10.0.0.1');
    expect(await take('10.0.0.1')).toBe('10.0.0.1/24');
    await release('10.0.0.1');
    expect(await any()).toBe('10.0.0.2/24');
  });

  it('does not count as used', async () => {
    const { ipam, id, any, release } = await timed('10.0.0.0/24');
    await any();
    await release('10.0.0.1');
    expect((await ipam.usage?.(id))?.used).toBe(0n);
  });

  it('rests as long as its pool says', async () => {
    const { any, release, time } = await timed('10.0.0.0/24', { [REUSE_DELAY]: '10' });
    await any();
    await release('10.0.0.1');
    time.now += 10;
    expect(await any()).toBe('10.0.0.1/24');
    await fails('INVALID_ARGUMENT', timed('10.0.0.0/24', { [REUSE_DELAY]: 'soon' }));
  });
});

describe('IPv6 addresses from MAC addresses', () => {
  const mac = { [MAC_ADDRESS]: 'aa:bb:cc:dd:ee:ff' };

  it('hold the MAC address in their low 48 bits, where the pool asks for it', async () => {
    const { any } = await pool('fe90::/64', { options: { [IPV6_FROM_MAC]: 'true' } });
    expect(await any(mac)).toBe('fe90::aabb:ccdd:eeff/64');
  });

  it('are made where a request asks for it', async () => {
    const { any } = await pool('fe90::/80');
    expect(await any({ ...mac, [IPV6_FROM_MAC]: 'true' })).toBe('fe90::aabb:ccdd:eeff/80');
    expect(await any(mac)).toBe('fe90::1/80');
  });

  it('are for endpoints, not for the gateway', async () => {
    const { any } = await pool('fe90::/64', { options: { [IPV6_FROM_MAC]: 'true' } });
    expect(await any({ [REQUEST_ADDRESS_TYPE]: GATEWAY })).toBe('fe90::1/64');
  });

  it('are not made of nothing, nor in a pool that is too small, nor twice', async () => {
    const options = { [IPV6_FROM_MAC]: 'true' };
    const { any } = await pool('fe90::/64', { options });
    expect((await fails('INVALID_ARGUMENT', any())).field).toBe('macAddress');
    await fails('INVALID_ARGUMENT', (await pool('fe90::/81', { options })).any(mac));
    await any(mac);
    await fails('FORBIDDEN', any(mac));
  });

  it('do not change IPv4 pools', async () => {
    const { any } = await pool('10.0.0.0/24', { options: { [IPV6_FROM_MAC]: 'true' } });
    expect(await any(mac)).toBe('10.0.0.1/24');
  });
});

describe('usage', () => {
  it('tells endpoints from gateways and auxiliary addresses', async () => {
    const { ipam, id, any, release } = await pool('10.0.0.0/24');
    const gateway = await any({ [REQUEST_ADDRESS_TYPE]: GATEWAY });
    await any({ [REQUEST_ADDRESS_TYPE]: AUXILIARY_ADDRESS });
    await any();
    expect(await ipam.usage?.(id)).toEqual({ capacity: 254n, used: 1n, reserved: 4n });
    await release(gateway);
    expect(await ipam.usage?.(id)).toEqual({ capacity: 254n, used: 1n, reserved: 3n });
  });

  it('of a range counts what lies in it', async () => {
    const { ipam, id, any, take } = await pool('10.0.0.0/24', { ipRange: '10.0.0.128/25' });
    await take('10.0.0.1');
    await any();
    expect(await ipam.usage?.(id)).toEqual({ capacity: 127n, used: 1n, reserved: 1n });
  });
});

describe('many requests at once', () => {
  it('never give an address twice, released and taken in between', async () => {
    const { any, release } = await pool('192.168.100.0/24');
    const held = new Set<string>();
    const worker = async (n: number) => {
      for (let i = 0; i < 40; i++) {
        const address = await any(n % 2 === 0 ? { [SERIAL]: 'true' } : {});
        expect(held.has(address)).toBe(false);
        held.add(address);
        if ((i * 7 + n) % 3 !== 0) continue;
        held.delete(address);
        await release(address);
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, n) => worker(n)));
    expect(new Set([...held, await any()]).size).toBe(held.size + 1);
  });
});
