/** Several controllers on one global store. */
import { describe, expect, it, vi } from 'vitest';
import {
  type Datastore,
  type MemoryBacking,
  memoryBacking,
  memoryStore,
} from '../../../src/datastore/index.ts';
import { createIpam, type Ipam, RESERVED } from '../../../src/ipam/index.ts';
import { fails } from './fails.ts';

const GLOBAL = 'GlobalDefault';
const ROOT = `docker/network/v1.0/ipam/${GLOBAL}`;

interface Controller {
  readonly ipam: Ipam;
  readonly store: Datastore;
  /** Dies without a word: its lease is not renewed any more. */
  die(): void;
}

function controller(backing: MemoryBacking, hostId: string, reuseDelayMs = 0): Controller {
  const store = memoryStore({ backing, scope: 'global' });
  const ipam = createIpam({ globalStore: store, hostId, reuseDelayMs });
  return { ipam, store, die: () => void store.close() };
}

async function pool(ipam: Ipam, subnet = '10.0.0.0/24', options?: Record<string, string>): Promise<string> {
  return (
    await ipam.requestPool({ addressSpace: GLOBAL, family: 'ipv4', subnet, ...(options && { options }) })
  ).id;
}

function held(id: string, ...addresses: string[]) {
  return [
    {
      pool: { id, subnet: id.slice(GLOBAL.length + 1), meta: {} },
      addressSpace: GLOBAL,
      addresses: addresses.map((address) => ({ address, holder: `endpoint at ${address}` })),
    },
  ];
}

describe('controllers that share a store', () => {
  it('give different addresses of one pool, asked all at once', async () => {
    const backing = memoryBacking();
    const controllers = ['a', 'b', 'c', 'd'].map((host) => controller(backing, host));
    const id = await pool(controllers[0]?.ipam ?? expect.unreachable());
    const given = await Promise.all(
      Array.from({ length: 240 }, (_, i) => controllers[i % 4]?.ipam.requestAddress({ poolId: id })),
    );
    expect(new Set(given.map((each) => each?.address)).size).toBe(240);
  });

  it('give different default pools, asked all at once', async () => {
    const backing = memoryBacking();
    const controllers = ['a', 'b', 'c'].map((host) => controller(backing, host));
    const pools = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        controllers[i % 3]?.ipam.requestPool({ addressSpace: GLOBAL, family: 'ipv4' }),
      ),
    );
    expect(new Set(pools.map((each) => each?.id)).size).toBe(60);
  });

  it('do not both get one of two overlapping pools', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const results = await Promise.allSettled([pool(a.ipam, '10.0.0.0/8'), pool(b.ipam, '10.7.0.0/16')]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('see what the other took, and who has it', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const id = await pool(a.ipam);
    expect((await b.ipam.requestAddress({ poolId: id, holder: 'endpoint web' })).address).toBe('10.0.0.1/24');
    expect((await a.ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.2/24');
    expect(
      (await fails('FORBIDDEN', a.ipam.requestAddress({ poolId: id, address: '10.0.0.1' }))).holder,
    ).toMatch(/^controller b\//);
    expect(
      (await fails('FORBIDDEN', b.ipam.requestAddress({ poolId: id, address: '10.0.0.1' }))).holder,
    ).toBe('endpoint web');
    expect((await a.ipam.usage?.(id))?.used).toBe(2n);
  });

  it('see what the other released', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const id = await pool(a.ipam, '10.0.0.0/30');
    await a.ipam.requestAddress({ poolId: id });
    await b.ipam.requestAddress({ poolId: id });
    await fails('UNAVAILABLE', a.ipam.requestAddress({ poolId: id }));
    await b.ipam.releaseAddress(id, '10.0.0.2');
    expect((await a.ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.2/30');
    await a.ipam.releaseAddress(id, '10.0.0.2');
    expect((await b.ipam.requestAddress({ poolId: id, address: '10.0.0.2' })).address).toBe('10.0.0.2/30');
  });

  it('may release what the other took only once that is gone', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const id = await pool(a.ipam);
    await a.ipam.requestAddress({ poolId: id, address: '10.0.0.9' });
    await b.ipam.releaseAddress(id, '10.0.0.9');
    await fails('FORBIDDEN', b.ipam.requestAddress({ poolId: id, address: '10.0.0.9' }));
    a.die();
    backing.expireLeases();
    await b.ipam.releaseAddress(id, '10.0.0.9');
    expect((await b.ipam.requestAddress({ poolId: id, address: '10.0.0.9' })).address).toBe('10.0.0.9/24');
  });

  it('let an address rest, whoever released it', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a', 60_000), controller(backing, 'b', 60_000)];
    const id = await pool(a.ipam);
    await a.ipam.requestAddress({ poolId: id });
    await b.ipam.requestAddress({ poolId: id });
    await a.ipam.releaseAddress(id, '10.0.0.1');
    expect((await b.ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.3/24');
    const late = controller(backing, 'c', 60_000);
    expect((await late.ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.4/24');
  });

  it('do not give an address that rests when the other has got it meanwhile', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a', 60_000), controller(backing, 'b', 60_000)];
    const id = await pool(a.ipam, '10.0.0.0/30');
    await b.ipam.requestAddress({ poolId: id, address: '10.0.0.2' });
    await a.ipam.requestAddress({ poolId: id, address: '10.0.0.1' });
    await a.ipam.releaseAddress(id, '10.0.0.1');
    // From now on b knows that the first one rests.
    await b.ipam.releaseAddress(id, '10.0.0.2');
    await b.ipam.requestAddress({ poolId: id, address: '10.0.0.2' });
    await a.ipam.requestAddress({ poolId: id, address: '10.0.0.1' });
    await fails('UNAVAILABLE', b.ipam.requestAddress({ poolId: id }));
  });

  it('know that an address rests which they knew as held', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a', 60_000), controller(backing, 'b', 60_000)];
    const id = await pool(a.ipam, '10.0.0.0/30');
    await a.ipam.requestAddress({ poolId: id });
    await b.ipam.requestAddress({ poolId: id });
    await a.ipam.releaseAddress(id, '10.0.0.1');
    expect((await b.ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.1/30');
  });

  it('do not give from a pool that the other released, and heed what it made anew', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const id = await pool(a.ipam);
    await b.ipam.requestAddress({ poolId: id });
    await b.ipam.releaseAddress(id, '10.0.0.1');
    await a.ipam.releasePool(id);
    await fails('NOT_FOUND', b.ipam.requestAddress({ poolId: id }));
    await fails('NOT_FOUND', b.ipam.releasePool(id));
    await pool(a.ipam, '10.0.0.0/24', { [RESERVED]: '10.0.0.1-10.0.0.9' });
    expect((await b.ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.10/24');
    await a.ipam.releasePool(id);
    await pool(a.ipam, '10.0.0.0/8');
    await fails('FORBIDDEN', pool(b.ipam, '10.0.0.0/24'));
  });

  it('write one page for an address, in one write', async () => {
    const backing = memoryBacking();
    const { ipam, store } = controller(backing, 'a');
    const id = await pool(ipam);
    await ipam.requestAddress({ poolId: id });
    const writes = [vi.spyOn(store, 'put'), vi.spyOn(store, 'delete'), vi.spyOn(store, 'transaction')];
    await ipam.requestAddress({ poolId: id });
    await ipam.releaseAddress(id, '10.0.0.1');
    expect(writes.map((write) => write.mock.calls.length)).toEqual([2, 0, 0]);
  });

  it('fail typed when others never let them write', async () => {
    const backing = memoryBacking();
    const { ipam, store } = controller(backing, 'a');
    const id = await pool(ipam);
    await ipam.requestAddress({ poolId: id });
    const put = store.put.bind(store);
    vi.spyOn(store, 'put').mockImplementation(async (key, value, options) => {
      if (key.includes('/pages/')) await put(key, value);
      return put(key, value, options);
    });
    const error = await fails('CONFLICT', ipam.requestAddress({ poolId: id, address: '10.0.0.77' }));
    expect(error.limit).toBe('MAX_CONFLICTS');
  });
});

describe('a controller that dies', () => {
  it('keeps its addresses while its lease lasts, and loses them after', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const id = await pool(b.ipam, '10.0.0.0/30');
    await a.ipam.requestAddress({ poolId: id });
    await b.ipam.requestAddress({ poolId: id });
    a.die();
    await fails('UNAVAILABLE', b.ipam.requestAddress({ poolId: id }));
    backing.expireLeases();
    expect((await b.ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.1/30');
  });

  it('has its addresses again when it comes back in time', async () => {
    const backing = memoryBacking();
    const before = controller(backing, 'a');
    const id = await pool(before.ipam, '10.0.0.0/30');
    await before.ipam.requestAddress({ poolId: id });
    before.die();
    const after = controller(backing, 'a');
    await after.ipam.requestAddress({ poolId: id });
    // What ends now is the lease of the life before; b must not take what it held then.
    expect(await after.ipam.reconcile?.(held(id, '10.0.0.1', '10.0.0.2'))).toEqual({
      missing: [],
      orphaned: [],
    });
    const b = controller(backing, 'b');
    await fails('UNAVAILABLE', b.ipam.requestAddress({ poolId: id }));
    const labels = backing
      .list(`${ROOT}/pages/`)
      .flatMap(({ value }) => Object.keys((value as { owners: object }).owners));
    expect(labels).toHaveLength(1);
    expect(backing.get(`${ROOT}/members/${labels[0]}`)).toBeDefined();
  });

  it('and comes back late finds what it lost, and gets what is left of it', async () => {
    const backing = memoryBacking();
    const a = controller(backing, 'a');
    const id = await pool(a.ipam, '10.0.0.0/30');
    await a.ipam.requestAddress({ poolId: id });
    await a.ipam.requestAddress({ poolId: id });
    a.die();
    backing.expireLeases();
    const b = controller(backing, 'b');
    await b.ipam.requestAddress({ poolId: id });
    const late = controller(backing, 'a');
    const report = await late.ipam.reconcile?.(held(id, '10.0.0.1', '10.0.0.2'));
    expect(report?.orphaned).toEqual([]);
    expect(report?.missing).toHaveLength(2);
    expect(report?.missing[0]).toMatch(
      /^10\.0\.0\.1 of .* \(endpoint at 10\.0\.0\.1\): controller b\/.* holds it$/,
    );
    expect(report?.missing[1]).toBe(
      '10.0.0.2 of GlobalDefault/10.0.0.0/24 (endpoint at 10.0.0.2)'.replace('/24', '/30'),
    );
    expect((await late.ipam.usage?.(id))?.used).toBe(2n);
  });

  it('is swept by the repair of another, its pools too, but not what that one is told to keep', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const [kept, lost] = [await pool(a.ipam, '10.0.0.0/24'), await pool(a.ipam, '10.1.0.0/24')];
    for (const id of [kept, kept, lost]) await a.ipam.requestAddress({ poolId: id });
    a.die();
    expect(await b.ipam.reconcile?.(held(kept, '10.0.0.1'))).toEqual({
      missing: [expect.stringMatching(/^10\.0\.0\.1 of .*: controller a\/.* holds it$/)],
      orphaned: [],
    });
    backing.expireLeases();
    expect(await b.ipam.reconcile?.(held(kept, '10.0.0.1'))).toEqual({
      missing: [],
      orphaned: [`pool ${lost}`, `10.0.0.2 of ${kept}`],
    });
    expect(
      (await fails('FORBIDDEN', b.ipam.requestAddress({ poolId: kept, address: '10.0.0.1' }))).holder,
    ).toBe('endpoint at 10.0.0.1');
  });
});

describe('a controller whose lease is lost while it lives', () => {
  it('takes a new one, and has its addresses under it before it is asked for anything', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const id = await pool(a.ipam, '10.0.0.0/30');
    await a.ipam.requestAddress({ poolId: id });
    await a.ipam.requestAddress({ poolId: id });
    backing.expireLeases();
    // The store's next answers are enough for it; no request is made.
    for (let i = 0; i < 50; i++) await Promise.resolve();
    await fails('UNAVAILABLE', b.ipam.requestAddress({ poolId: id }));
    expect(await a.ipam.reconcile?.(held(id, '10.0.0.1', '10.0.0.2'))).toEqual({ missing: [], orphaned: [] });
  });
});

describe('a lease that is lost while an address is searched', () => {
  it('does not leave the address under the label that has gone', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const id = await pool(a.ipam, '10.0.0.0/30');
    await a.ipam.requestAddress({ poolId: id });
    await b.ipam.requestAddress({ poolId: id });
    await a.ipam.usage?.(id);
    await b.ipam.releaseAddress(id, '10.0.0.2');
    const list = a.store.list.bind(a.store);
    vi.spyOn(a.store, 'list').mockImplementation(async (prefix, options) => {
      const entries = await list(prefix, options);
      if (!prefix.includes('/pages/')) return entries;
      // All that a knows is full: it looks again, and meanwhile its lease ends and it takes another.
      backing.expireLeases();
      for (let i = 0; i < 50; i++) await Promise.resolve();
      return list(prefix, options);
    });
    expect((await a.ipam.requestAddress({ poolId: id })).address).toBe('10.0.0.2/30');
    const page = backing.get(`${ROOT}/pages/10.0.0.0-30/0`)?.value as { owners: object };
    for (const label of Object.keys(page.owners))
      expect(backing.get(`${ROOT}/members/${label}`)).toBeDefined();
  });
});

describe('the repair of one controller', () => {
  it('leaves alone what others hold, and their pools', async () => {
    const backing = memoryBacking();
    const [a, b] = [controller(backing, 'a'), controller(backing, 'b')];
    const id = await pool(a.ipam);
    await pool(a.ipam, '10.1.0.0/24');
    await a.ipam.requestAddress({ poolId: id });
    await b.ipam.requestAddress({ poolId: id });
    expect(await b.ipam.reconcile?.(held(id))).toEqual({ missing: [], orphaned: [`10.0.0.2 of ${id}`] });
    expect((await a.ipam.usage?.(id))?.used).toBe(1n);
    await fails('FORBIDDEN', pool(b.ipam, '10.1.0.0/24'));
  });

  it('refuses to touch what it can not read: a later version may have written it', async () => {
    const backing = memoryBacking();
    const a = controller(backing, 'a');
    const id = await pool(a.ipam);
    await a.ipam.requestAddress({ poolId: id });
    const key = `${ROOT}/pages/10.0.0.0-24/0`;
    await a.store.put(key, { v: 2, future: true });
    const b = controller(backing, 'b');
    await fails('INTERNAL', b.ipam.requestAddress({ poolId: id }));
    expect(backing.get(key)?.value).toEqual({ v: 2, future: true });
  });
});
