/** What is written to the store, and what a store that fails or a process that dies leaves. */
import { describe, expect, it, vi } from 'vitest';
import {
  type Datastore,
  type MemoryBacking,
  memoryBacking,
  memoryStore,
} from '../../../src/datastore/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { createIpam, type Ipam, SERIAL } from '../../../src/ipam/index.ts';
import { countingFaults, type FaultMode, faultScript, SimulatedCrash } from '../../../src/testing/faults.ts';
import { faultyStore } from '../../../src/testing/faultystore.ts';
import { fails } from './fails.ts';

const ROOT = 'docker/network/v1.0/ipam/LocalDefault';

function open(backing: MemoryBacking = memoryBacking()) {
  const store = memoryStore({ backing });
  return { backing, store, ipam: createIpam({ store, reuseDelayMs: 0 }) };
}

async function pool(
  ipam: Ipam,
  subnet = '10.0.0.0/8',
  options: Record<string, string> = {},
): Promise<string> {
  const family = subnet.includes(':') ? 'ipv6' : 'ipv4';
  return (await ipam.requestPool({ addressSpace: 'LocalDefault', family, subnet, options })).id;
}

describe('what is written', () => {
  it('is one page for an address, whatever the size of the pool, and nothing is read', async () => {
    const { store, ipam } = open();
    const ids = [
      await pool(ipam, '10.0.0.0/8'),
      await pool(ipam, '192.168.0.0/29'),
      await pool(ipam, '::/0'),
    ];
    const calls = (['get', 'list', 'put', 'delete', 'transaction'] as const).map((name) =>
      vi.spyOn(store, name),
    );
    for (const id of ids) {
      const { address } = await ipam.requestAddress({ poolId: id });
      await ipam.requestAddress({ poolId: id });
      await ipam.releaseAddress(id, address);
    }
    expect(calls.map((call) => call.mock.calls.length)).toEqual([0, 0, 9, 0, 0]);
  });

  it('is at most a page of bits, however the addresses lie', async () => {
    const { backing, ipam } = open();
    const id = await pool(ipam, '10.0.0.0/16');
    for (let i = 0; i < 2000; i++)
      await ipam
        .requestAddress({ poolId: id, address: `10.0.${(2 * i) >> 8}.${(2 * i + 2) & 255}` })
        .catch(() => undefined);
    const sizes = backing.list(`${ROOT}/pages/`).map(({ value }) => JSON.stringify(value).length);
    expect(Math.max(...sizes)).toBeLessThan(4096 / 6 + 80);
  });

  it('can be read by people', async () => {
    const { backing, ipam } = open();
    const id = await pool(ipam, '10.9.0.0/24');
    for (let i = 0; i < 3; i++) await ipam.requestAddress({ poolId: id });
    await ipam.requestAddress({ poolId: id, address: '10.9.0.9' });
    expect(backing.list(ROOT)).toEqual([
      {
        key: `${ROOT}/pages/10.9.0.0-24/0`,
        value: { v: 1, owners: { local: '1-3,9' } },
        version: expect.any(Number),
      },
      {
        key: `${ROOT}/pools/10.9.0.0-24`,
        value: { v: 1, subnet: '10.9.0.0/24', whole: true, ranges: [], options: {} },
        version: expect.any(Number),
      },
    ]);
  });

  it('is shared by changes of a page that are asked for at once', async () => {
    const { store, ipam } = open();
    const id = await pool(ipam);
    const put = vi.spyOn(store, 'put');
    await Promise.all(Array.from({ length: 100 }, () => ipam.requestAddress({ poolId: id })));
    expect(put.mock.calls.length).toBeLessThanOrEqual(2);
  });

  it('is nothing once all is released', async () => {
    const { backing, ipam } = open();
    const id = await pool(ipam);
    const { address } = await ipam.requestAddress({ poolId: id });
    await ipam.releaseAddress(id, address);
    expect(backing.list(`${ROOT}/pages/`)).toEqual([]);
    await ipam.requestAddress({ poolId: id });
    await ipam.releasePool(id);
    expect(backing.list(ROOT)).toEqual([]);
  });

  it('goes with its pool, however many pages there are', async () => {
    const { backing, ipam } = open();
    const id = await pool(ipam);
    for (let i = 0; i < 150; i++)
      await ipam
        .requestAddress({ poolId: id, address: `10.0.${i * 16 > 255 ? 0 : i * 16}.1` })
        .catch(() => undefined);
    for (let i = 0; i < 150; i++) await ipam.requestAddress({ poolId: id, address: `10.${i + 1}.0.1` });
    expect(backing.list(`${ROOT}/pages/`).length).toBeGreaterThan(150);
    await ipam.releasePool(id);
    expect(backing.list(ROOT)).toEqual([]);
  });
});

describe('after a restart', () => {
  it('pools, ranges, addresses and options are as before', async () => {
    const first = open();
    const id = await pool(first.ipam, '10.0.0.0/8', { [SERIAL]: 'true' });
    const range = await first.ipam.requestPool({
      addressSpace: 'LocalDefault',
      family: 'ipv4',
      subnet: '10.0.0.0/8',
      ipRange: '10.1.0.0/16',
      holder: 'network front',
    });
    const kept = [
      await first.ipam.requestAddress({ poolId: id }),
      await first.ipam.requestAddress({ poolId: range.id }),
    ];
    for (let restarts = 0; restarts < 4; restarts++) {
      const before = first.backing.list('');
      const { ipam } = open(first.backing);
      for (const { address } of kept)
        await fails('FORBIDDEN', ipam.requestAddress({ poolId: id, address: address.split('/')[0] }));
      await fails('FORBIDDEN', pool(ipam, '10.7.0.0/16'));
      expect((await ipam.usage?.(id))?.used).toBe(2n);
      expect(first.backing.list('')).toEqual(before);
    }
  });

  it('a released address still rests', async () => {
    const backing = memoryBacking();
    const time = { now: 5000 };
    const reopen = () =>
      createIpam({ store: memoryStore({ backing }), reuseDelayMs: 1000, clock: () => time.now });
    const before = reopen();
    const id = await pool(before, '10.0.0.0/24');
    for (let i = 0; i < 3; i++) await before.requestAddress({ poolId: id });
    await before.releaseAddress(id, '10.0.0.2');
    time.now += 400;
    await before.releaseAddress(id, '10.0.0.1');
    time.now += 599;
    const after = reopen();
    expect((await after.requestAddress({ poolId: id })).address).toBe('10.0.0.4/24');
    time.now += 500;
    expect((await after.requestAddress({ poolId: id })).address).toBe('10.0.0.1/24');
    expect((await after.requestAddress({ poolId: id })).address).toBe('10.0.0.2/24');
  });

  it('pages without a pool are gone', async () => {
    const { backing, ipam } = open();
    await memoryStore({ backing }).put(`${ROOT}/pages/10.0.0.0-24/0`, { v: 1, owners: { local: '1-9' } });
    const id = await pool(ipam, '10.0.0.0/24');
    expect((await ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.1/24');
  });

  it("the host's id, and with it the IPv6 prefix, is as before", async () => {
    const first = open();
    const a = await first.ipam.requestPool({ addressSpace: 'LocalDefault', family: 'ipv6' });
    await first.ipam.releasePool(a.id);
    const b = await open(first.backing).ipam.requestPool({ addressSpace: 'LocalDefault', family: 'ipv6' });
    expect(b.subnet).toBe(a.subnet);
  });

  it.each([
    ['a page of another schema', 'pages/10.0.0.0-24/0', { v: 2, owners: {} }],
    ['a page whose bits can not be read', 'pages/10.0.0.0-24/0', { v: 1, owners: { local: '1-x' } }],
    ['a page with more bits than the pool', 'pages/10.0.0.0-24/0', { v: 1, owners: { local: '256' } }],
    ['a page of base64 that is too short', 'pages/10.0.0.0-24/0', { v: 1, owners: { local: 'base64:AAAA' } }],
    ['a page that is no object', 'pages/10.0.0.0-24/0', null],
    ['a pool of another schema', 'pools/10.0.0.0-24', { v: 2 }],
    [
      'a pool whose subnet is none',
      'pools/10.0.0.0-24',
      { v: 1, subnet: '10.0.0.9/24', whole: true, ranges: [] },
    ],
  ])('%s is set aside, and the rest serves on', async (_, key, value) => {
    const first = open();
    const id = await pool(first.ipam, '10.0.0.0/24');
    const other = await pool(first.ipam, '10.1.0.0/24');
    await first.ipam.requestAddress({ poolId: id });
    await first.ipam.requestAddress({ poolId: other });
    await first.store.put(`${ROOT}/${key}`, value);
    const { ipam, backing } = open(first.backing);
    expect((await ipam.requestAddress({ poolId: other })).address).toBe('10.1.0.2/24');
    expect(backing.get(`${ROOT}/damaged/${key}`)?.value).toEqual(value);
    const held = [
      {
        pool: { id, subnet: '10.0.0.0/24', meta: {} },
        addressSpace: 'LocalDefault',
        addresses: [{ address: '10.0.0.1', holder: 'endpoint web' }],
      },
    ];
    await ipam.reconcile?.(held);
    expect((await fails('FORBIDDEN', ipam.requestAddress({ poolId: id, address: '10.0.0.1' }))).holder).toBe(
      'endpoint web',
    );
  });
});

describe('when a write fails', () => {
  /** An IPAM whose n-th write from now on is struck. */
  function struck(backing: MemoryBacking, at: number, mode: FaultMode) {
    const faults = faultScript({ at, mode });
    return {
      faults,
      ipam: createIpam({ store: faultyStore(memoryStore({ backing }), faults), reuseDelayMs: 0 }),
    };
  }

  it('an address is not taken, nor a pool', async () => {
    const backing = memoryBacking();
    const { ipam } = struck(backing, 2, 'fail');
    const id = await pool(ipam, '10.0.0.0/24');
    await fails('INTERNAL', ipam.requestAddress({ poolId: id, address: '10.0.0.7', holder: 'endpoint web' }));
    await ipam.requestAddress({ poolId: id, address: '10.0.0.7' });
    const again = struck(backing, 1, 'fail').ipam;
    await fails('INTERNAL', pool(again, '10.1.0.0/24'));
    await pool(again, '10.1.0.0/24');
  });

  it('an address that was to be released is still held', async () => {
    const { ipam } = struck(memoryBacking(), 3, 'fail');
    const id = await pool(ipam, '10.0.0.0/24');
    await ipam.requestAddress({ poolId: id, holder: 'endpoint web' });
    await fails('INTERNAL', ipam.releaseAddress(id, '10.0.0.1'));
    const error = await fails('FORBIDDEN', ipam.requestAddress({ poolId: id, address: '10.0.0.1' }));
    expect(error.holder).toBe('endpoint web');
  });

  it('an address whose release fails is not given to one who asks meanwhile', async () => {
    const { store, ipam } = open();
    const id = await pool(ipam, '10.0.0.0/24');
    await ipam.requestAddress({ poolId: id, address: '10.0.0.9', holder: 'endpoint db' });
    await ipam.requestAddress({ poolId: id, holder: 'endpoint web' });
    let take: Promise<unknown> = Promise.resolve();
    vi.spyOn(store, 'put').mockImplementationOnce(async () => {
      take = ipam.requestAddress({ poolId: id, address: '10.0.0.1', holder: 'endpoint api' });
      take.catch(() => undefined);
      for (let i = 0; i < 50; i++) await Promise.resolve();
      throw new LibnetworkError('UNAVAILABLE', 'the store has gone away');
    });
    await fails('UNAVAILABLE', ipam.releaseAddress(id, '10.0.0.1'));
    expect((await fails('FORBIDDEN', take)).holder).toBe('endpoint web');
  });

  it('an address that was resting rests on, until when it would have', async () => {
    const time = { now: 5000 };
    // Writes: the pool, six addresses, two releases; the next one fails.
    const store = faultyStore(memoryStore(), faultScript({ at: 10, mode: 'fail' }));
    const ipam = createIpam({ store, reuseDelayMs: 1000, clock: () => time.now });
    const id = await pool(ipam, '10.0.0.0/29');
    for (let i = 0; i < 6; i++) await ipam.requestAddress({ poolId: id });
    await ipam.releaseAddress(id, '10.0.0.5');
    time.now += 500;
    await ipam.releaseAddress(id, '10.0.0.2');
    await fails('INTERNAL', ipam.requestAddress({ poolId: id, address: '10.0.0.5' }));
    time.now += 600;
    expect((await ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.5/29');
  });

  it('a pool that was to be released can be released again', async () => {
    const { ipam } = struck(memoryBacking(), 2, 'fail');
    const id = await pool(ipam, '10.0.0.0/24');
    await fails('INTERNAL', ipam.releasePool(id));
    await fails('FORBIDDEN', pool(ipam, '10.0.0.0/25'));
    await ipam.releasePool(id);
    await pool(ipam, '10.0.0.0/25');
  });

  it('a pool is released when only the answer of the store was lost', async () => {
    const { store, ipam, backing } = open();
    const id = await pool(ipam, '10.0.0.0/24');
    const { transaction } = store;
    vi.spyOn(store, 'transaction').mockImplementationOnce(async (...args) => {
      await transaction.apply(store, args);
      throw new LibnetworkError('UNAVAILABLE', 'the answer was lost');
    });
    await ipam.releasePool(id);
    await fails('NOT_FOUND', ipam.requestAddress({ poolId: id }));
    expect(backing.list(ROOT)).toEqual([]);
    await pool(ipam, '10.0.0.0/25');
  });

  it('a pool is given when only the answer of the store was lost', async () => {
    const { store, ipam } = open();
    const { put } = store;
    vi.spyOn(store, 'put').mockImplementationOnce(async (...args) => {
      await put.apply(store, args);
      throw new LibnetworkError('UNAVAILABLE', 'the answer was lost');
    });
    const id = await pool(ipam, '10.0.0.0/24');
    await fails('FORBIDDEN', pool(ipam, '10.0.0.0/25'));
    await ipam.requestAddress({ poolId: id });
  });

  it.each([
    ['10.0.0.0/24', '10.0.0.0/25'],
    ['10.0.0.0/25', '10.0.0.0/24'],
  ])(
    'pools that overlap in the store do not keep it from being read: %s is used, %s is not',
    async (used, unused) => {
      const first = open();
      const id = await pool(first.ipam, used);
      await first.ipam.requestAddress({ poolId: id });
      const key = `${ROOT}/pools/${unused.replace('/', '-')}`;
      await first.store.put(key, { v: 1, subnet: unused, whole: true, ranges: [], options: {} });
      const { ipam, backing } = open(first.backing);
      expect((await ipam.requestAddress({ poolId: id })).address).toContain('10.0.0.2/');
      expect(backing.get(key)).toBeUndefined();
    },
  );

  it('the first request after a failed load works', async () => {
    const store: Datastore = memoryStore();
    vi.spyOn(store, 'list').mockRejectedValueOnce(new Error('not now'));
    const ipam = createIpam({ store });
    await expect(pool(ipam)).rejects.toThrow('not now');
    await pool(ipam);
  });

  it('others that share the write fail with it, and those after it do not', async () => {
    const { ipam } = struck(memoryBacking(), 2, 'fail');
    const id = await pool(ipam, '10.0.0.0/24');
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, () => ipam.requestAddress({ poolId: id })),
    );
    expect(results.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0);
    const given = results.flatMap((result) => (result.status === 'fulfilled' ? result.value.address : []));
    const rest = await Promise.all(
      Array.from({ length: 254 - given.length }, () => ipam.requestAddress({ poolId: id })),
    );
    expect(new Set([...given, ...rest.map(({ address }) => address)]).size).toBe(254);
  });
});

describe('when the process dies', () => {
  /** Two pools, three addresses, one of them released, one pool released; and what a caller would have recorded. */
  async function life(ipam: Ipam, held: Map<string, Set<string>>): Promise<void> {
    const front = await pool(ipam, '10.0.0.0/24');
    held.set(front, new Set());
    const back = await pool(ipam, '10.1.0.0/24');
    held.set(back, new Set());
    for (const id of [front, front, back]) {
      const { address } = await ipam.requestAddress({ poolId: id });
      held.get(id)?.add(address.split('/')[0] ?? '');
    }
    held.get(front)?.delete('10.0.0.1');
    await ipam.releaseAddress(front, '10.0.0.1');
    held.delete(back);
    await ipam.releasePool(back);
  }

  it('before or after any write, reconcile leaves exactly what is recorded', async () => {
    const counting = countingFaults();
    await life(createIpam({ store: faultyStore(memoryStore(), counting), reuseDelayMs: 0 }), new Map());
    expect(counting.steps).toBe(7);
    for (const mode of ['crash-before', 'crash-after'] as const) {
      for (let at = 1; at <= counting.steps; at++) {
        const backing = memoryBacking();
        const held = new Map<string, Set<string>>();
        const dying = createIpam({
          store: faultyStore(memoryStore({ backing }), faultScript({ at, mode })),
          reuseDelayMs: 0,
        });
        await expect(life(dying, held)).rejects.toSatisfy(SimulatedCrash.is);
        await expectRepaired(backing, held);
      }
    }
  });

  async function expectRepaired(backing: MemoryBacking, held: Map<string, Set<string>>): Promise<void> {
    const { ipam } = open(backing);
    const records = [...held].map(([id, addresses]) => ({
      pool: { id, subnet: id.slice('LocalDefault/'.length), meta: {} },
      addressSpace: 'LocalDefault',
      addresses: [...addresses].map((address) => ({ address, holder: `endpoint at ${address}` })),
    }));
    const plan = await ipam.reconcile?.(records, { dryRun: true });
    expect(await ipam.reconcile?.(records)).toEqual(plan);
    for (const check of [ipam, open(backing).ipam]) {
      expect(await check.reconcile?.(records)).toEqual({ missing: [], orphaned: [] });
      for (const [id, addresses] of held)
        expect((await check.usage?.(id))?.used).toBe(BigInt(addresses.size));
    }
    expect(backing.list(`${ROOT}/pools/`)).toHaveLength(held.size);
  }
});
