import { describe, expect, it } from 'vitest';
import { memoryBacking, memoryStore } from '../../../src/datastore/index.ts';
import { createIdm } from '../../../src/ipam/idm.ts';
import { fails } from './fails.ts';

describe('ids', () => {
  it('are given from the lowest, and again once they are released', async () => {
    const ids = createIdm({ name: 'id', start: 50, end: 52 });
    await fails('INVALID_ARGUMENT', ids.request({ id: 49 }));
    await fails('INVALID_ARGUMENT', ids.request({ id: 53 }));
    expect([await ids.request(), await ids.request(), await ids.request()]).toEqual([50, 51, 52]);
    expect((await fails('UNAVAILABLE', ids.request())).limit).toBe('id');
    expect(await ids.release(50)).toBe(true);
    expect(await ids.release(50)).toBe(false);
    expect(await ids.request()).toBe(50);
  });

  it('are given one after the other where that is asked for', async () => {
    const ids = createIdm({ name: 'id', start: 50, end: 55 });
    for (const id of [50, 51, 52]) expect(await ids.request({ serial: true })).toBe(id);
    await ids.release(50);
    expect(await ids.request({ serial: true })).toBe(53);
  });

  it('of a range are given from its start (8515b6ec)', async () => {
    const ids = createIdm({ name: 'id', start: 5, end: 10 });
    expect(await ids.request({ from: 6, to: 6 })).toBe(6);
    expect(await ids.request()).toBe(5);
    await ids.release(6);
    expect(await ids.request()).toBe(6);
    for (const id of [7, 8, 9, 10]) expect(await ids.request({ from: 7, to: 10 })).toBe(id);
    await ids.release(10);
    expect(await ids.request({ from: 5, to: 10 })).toBe(10);
  });

  it('serve as VNIs', async () => {
    const max = 2 ** 24 - 1;
    const ids = createIdm({ name: 'vni', start: 0, end: max });
    for (const id of [4096, 4097, 4098]) expect(await ids.request({ from: 4096, to: max })).toBe(id);
  });

  it('that are in use name who holds them', async () => {
    const ids = createIdm({ name: 'vni', start: 1, end: 100 });
    await ids.request({ id: 7, holder: 'network front' });
    expect((await fails('FORBIDDEN', ids.request({ id: 7 }))).holder).toBe('network front');
  });

  it.each([
    { name: '', start: 1, end: 2 },
    { name: 'a/b', start: 1, end: 2 },
    { name: 'x', start: 2, end: 2 },
    { name: 'x', start: -1, end: 2 },
    { name: 'x', start: 0.5, end: 2 },
    { name: 'x', start: 0, end: 2 ** 53 },
  ])('of the set %j are refused', (options) => {
    expect(() => createIdm(options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('refuse a range outside the set, or one that ends before it starts', async () => {
    const ids = createIdm({ name: 'x', start: 5, end: 10 });
    await fails('INVALID_ARGUMENT', ids.request({ from: 4, to: 6 }));
    await fails('INVALID_ARGUMENT', ids.request({ from: 6, to: 11 }));
    await fails('INVALID_ARGUMENT', ids.request({ from: 8, to: 7 }));
    await fails('INVALID_ARGUMENT', ids.release(11));
  });
});

describe('ids in a store', () => {
  it('outlive the process that took them', async () => {
    const backing = memoryBacking();
    const before = createIdm({ name: 'vni', start: 256, end: 4095, store: memoryStore({ backing }) });
    await before.request({ holder: 'network front' });
    await before.request({ id: 300, holder: 'network back' });
    const after = createIdm({ name: 'vni', start: 256, end: 4095, store: memoryStore({ backing }) });
    expect(await after.held()).toEqual([
      { id: 256, holder: 'network front' },
      { id: 300, holder: 'network back' },
    ]);
    expect(await after.request()).toBe(257);
  });

  it('are different for controllers that share it, also when they ask at once for the same holder', async () => {
    const backing = memoryBacking();
    const open = () =>
      createIdm({ name: 'vni', start: 0, end: 9999, store: memoryStore({ backing, scope: 'global' }) });
    const sets = [open(), open(), open()];
    const given = await Promise.all(
      Array.from({ length: 90 }, (_, i) => sets[i % 3]?.request({ holder: 'network front' })),
    );
    expect(new Set(given).size).toBe(90);
    expect((await open().held()).length).toBe(90);
  });
});
