import { describe, expect, it } from 'vitest';
import { memoryBacking, memoryStore } from '../../../src/datastore/index.ts';
import { faultScript, SimulatedCrash } from '../../../src/testing/faults.ts';
import { faultyStore } from '../../../src/testing/faultystore.ts';

describe('faultyStore', () => {
  it('fails at the step asked for without writing, and goes on after it', async () => {
    const faults = faultScript({ at: 2, mode: 'fail' });
    const store = faultyStore(memoryStore(), faults);
    await store.put('a', 1);
    await expect(store.put('b', 1)).rejects.toMatchObject({ code: 'INTERNAL' });
    await store.put('c', 1);
    expect((await store.list('')).map((entry) => entry.key)).toEqual(['a', 'c']);
    expect(faults.trace).toEqual(['store put a', 'store put b', 'store put c']);
  });

  it.each([
    ['crash-before' as const, undefined],
    ['crash-after' as const, 1],
  ])('dies at the step asked for: %s', async (mode, left) => {
    const backing = memoryBacking();
    const faults = faultScript({ at: 1, mode });
    const store = faultyStore(memoryStore({ backing }), faults);
    const watch = store.watch('')[Symbol.asyncIterator]();
    await expect(store.put('a', 1)).rejects.toBeInstanceOf(SimulatedCrash);
    await expect(store.get('a')).rejects.toBeInstanceOf(SimulatedCrash);
    await expect(store.transaction([])).rejects.toBeInstanceOf(SimulatedCrash);
    await store.close();
    while (!(await watch.next()).done);
    const next = memoryStore({ backing });
    expect((await next.get('a'))?.value).toBe(left);
  });

  it('counts reads where asked to', async () => {
    const faults = faultScript({ at: 2, mode: 'fail' });
    const store = faultyStore(memoryStore(), faults, { reads: true });
    await store.get('a');
    await expect(store.list('a')).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(faults.trace).toEqual(['store get a', 'store list a']);
  });

  it('counts the writes of leases', async () => {
    const faults = faultScript({ at: 2, mode: 'fail' });
    const store = faultyStore(memoryStore(), faults);
    const lease = await store.lease?.(1_000);
    await expect(lease?.put('a', 1)).rejects.toMatchObject({ code: 'INTERNAL' });
    await lease?.release();
    expect(faults.trace).toEqual(['store lease', 'store lease put a', 'store lease release']);
  });
});
