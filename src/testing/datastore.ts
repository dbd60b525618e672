import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Datastore, MAX_KEY_BYTES } from '../datastore/datastore.ts';
import { LibnetworkError } from '../errors.ts';
import { sharingPromises } from './datastore-sharing.ts';
import { historyPromises, leasePromises, watchPromises } from './datastore-watches.ts';

/**
 * What a store may say it does not do. The suite leaves those promises out.
 * `latest-only`: a watch tells each key's latest state, and not what happened in between or in which order.
 */
export type DatastoreDeviation = 'no-leases' | 'no-watch' | 'no-persistence' | 'latest-only';

export interface DatastoreSubject {
  /** Shown in the tests' names. */
  readonly name: string;
  /** A new, empty store. */
  readonly open: () => Promise<Datastore>;
  /** Another store over the data of one that was closed. Without it, nothing is asked about persistence. */
  readonly reopen?: (closed: Datastore) => Promise<Datastore>;
  /** Another store over the same data, at the same time. Without it, nothing is asked about sharing. */
  readonly sibling?: (store: Datastore) => Promise<Datastore>;
  /** Cuts a store off from its engine, while siblings still reach it; the result ends that. */
  readonly cut?: (store: Datastore) => Promise<() => void>;
  /** Makes the engine forget its history (a compaction), so that watches can't resume where they were. */
  readonly forget?: () => Promise<void>;
  /** The shortest time to live that the engine grants, in milliseconds. Default 300. */
  readonly shortestLeaseMs?: number;
  /** What it does not do, and why. */
  readonly deviations?: Readonly<Partial<Record<DatastoreDeviation, string>>>;
}

/** The promises of `Datastore`, as tests. Call it at the top of a vitest file. */
export function datastoreContract(subject: DatastoreSubject): void {
  const deviates = (deviation: DatastoreDeviation) => subject.deviations?.[deviation] !== undefined;
  const title = (deviation: DatastoreDeviation, name: string) =>
    deviates(deviation) ? `${name} (left out: ${subject.deviations?.[deviation]})` : name;

  describe(`datastore contract: ${subject.name}`, () => {
    let store: Datastore;
    beforeEach(async () => {
      store = await subject.open();
    });
    afterEach(() => store.close());
    const current = () => store;

    describe('values', () => valuePromises(current));
    describe('conditions', () => conditionPromises(current));
    describe('listing', () => listPromises(current));
    describe('transactions', () => transactionPromises(current));
    describe.skipIf(deviates('no-watch'))(title('no-watch', 'watches'), () => {
      watchPromises(current);
      describe.skipIf(deviates('latest-only'))(title('latest-only', 'history'), () =>
        historyPromises(current),
      );
    });
    describe.skipIf(deviates('no-leases'))(title('no-leases', 'leases'), () => leasePromises(current));
    sharingPromises(subject, current, deviates('no-leases'));
    describe('closing and aborting', () => endPromises(current));
    const { reopen } = subject;
    if (reopen !== undefined && !deviates('no-persistence'))
      describe('reopening', () => {
        it('finds what was written, with its versions, and counts on from them', async () => {
          const version = await store.put('a/b', { n: 1 });
          await store.put('gone', 1);
          await store.delete('gone');
          await store.close();
          store = await reopen(store);
          expect(await store.get('a/b')).toEqual({ key: 'a/b', value: { n: 1 }, version });
          expect(await store.get('gone')).toBeUndefined();
          expect(await store.put('a/b', 2, { ifVersion: version })).toBeGreaterThan(version);
        });
      });
  });
}

type Current = () => Datastore;

function valuePromises(store: Current): void {
  it('answers undefined for a key that was never written', async () => {
    expect(await store().get('nothing')).toBeUndefined();
  });

  it.each([
    ['an object', { name: 'front', list: [1, 2, { deep: null }], flag: false }],
    ['a text beyond ASCII', 'Zürich \u{1f310} \n "quoted"'],
    ['a number', 0],
    ['null', null],
    ['an empty array', []],
  ])('gives back %s as it was written', async (_what, value) => {
    const version = await store().put('key', value);
    expect(await store().get('key')).toEqual({ key: 'key', value, version });
  });

  it('keeps a value as it was when the caller changes the object after the call', async () => {
    const value = { list: [1] };
    const written = store().put('key', value);
    value.list.push(2);
    await written;
    value.list.push(3);
    expect((await store().get('key'))?.value).toEqual({ list: [1] });
  });

  it('gives out frozen data', async () => {
    await store().put('key', { deep: { list: [1] } });
    const value = (await store().get('key'))?.value as { deep: { list: number[] } };
    expect(() => value.deep.list.push(2)).toThrow(TypeError);
    expect((await store().get('key'))?.value).toEqual({ deep: { list: [1] } });
  });

  it('raises the version with every write of a key, also after it was deleted', async () => {
    const first = await store().put('key', 1);
    const second = await store().put('key', 2);
    await store().delete('key');
    const third = await store().put('key', 3);
    expect(first).toBeGreaterThan(0);
    expect(second).toBeGreaterThan(first);
    expect(third).toBeGreaterThan(second);
  });

  it('tells whether a deleted key was there', async () => {
    await store().put('key', 1);
    expect(await store().delete('key')).toBe(true);
    expect(await store().delete('key')).toBe(false);
    expect(await store().get('key')).toBeUndefined();
  });

  it.each([
    ['an empty key', ''],
    ['a key with NUL', 'a\0b'],
    ['a key that is too long', 'k'.repeat(MAX_KEY_BYTES + 1)],
    ['a key that is too long in bytes, not in characters', 'ü'.repeat(MAX_KEY_BYTES / 2 + 1)],
    ['a lone surrogate', 'a\ud800'],
  ])('refuses %s', async (_what, key) => {
    await expect(store().put(key, 1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(store().get(key)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(store().transaction([{ op: 'delete', key }])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('takes a key of the greatest length', async () => {
    const key = 'ü'.repeat(MAX_KEY_BYTES / 2);
    await store().put(key, 1);
    expect((await store().get(key))?.value).toBe(1);
    expect((await store().list('ü')).map((entry) => entry.key)).toEqual([key]);
  });

  it.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a bigint', 1n],
  ])('refuses %s as a value and writes nothing', async (_what, value) => {
    await expect(store().put('key', value)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await store().get('key')).toBeUndefined();
  });
}

function conditionPromises(store: Current): void {
  it('writes when the version is the expected one', async () => {
    const version = await store().put('key', 1, { ifVersion: 0 });
    await store().put('key', 2, { ifVersion: version });
    expect((await store().get('key'))?.value).toBe(2);
  });

  it('refuses a write on another version, names the key, and writes nothing', async () => {
    const version = await store().put('some/key', 1);
    await store().put('some/key', 2);
    const refused = await store()
      .put('some/key', 3, { ifVersion: version })
      .catch((error: unknown) => error);
    expect(LibnetworkError.is(refused, 'CONFLICT')).toBe(true);
    expect(String(refused)).toContain('some/key');
    expect((await store().get('some/key'))?.value).toBe(2);
  });

  it('refuses to create what exists and to update what does not', async () => {
    await store().put('key', 1);
    await expect(store().put('key', 2, { ifVersion: 0 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(store().put('other', 2, { ifVersion: 7 })).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await store().get('other')).toBeUndefined();
  });

  it('refuses a version from before the key was deleted and made again', async () => {
    const version = await store().put('key', 'old');
    await store().delete('key');
    await store().put('key', 'new');
    await expect(store().put('key', 'late', { ifVersion: version })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });

  it('deletes on the expected version only', async () => {
    const version = await store().put('key', 1);
    await expect(store().delete('key', { ifVersion: version + 1 })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect(await store().delete('key', { ifVersion: version })).toBe(true);
  });

  it('loses no update when many write the same key at once', async () => {
    const increment = async (): Promise<void> => {
      for (;;) {
        const entry = await store().get('counter');
        const next = Number(entry?.value ?? 0) + 1;
        try {
          await store().put('counter', next, { ifVersion: entry?.version ?? 0 });
          return;
        } catch (error) {
          if (!LibnetworkError.is(error, 'CONFLICT')) throw error;
        }
      }
    };
    const loops = Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 5; i++) await increment();
    });
    await Promise.all(loops);
    expect((await store().get('counter'))?.value).toBe(40);
  });

  it('lets exactly one of many create a key', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => store().put('key', i, { ifVersion: 0 })),
    );
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
  });
}

function listPromises(store: Current): void {
  it('lists what starts with the prefix, and nothing else, in the order of the bytes of the keys', async () => {
    // U+FF5E sorts after U+1F310 by UTF-16 units and before it by UTF-8 bytes.
    const keys = ['a/', 'a/1', 'a/10', 'a/2', 'a/\uff5e', 'a/\u{1f310}'];
    for (const key of ['b', 'a', 'a0', ...[...keys].reverse()]) await store().put(key, key);
    const entries = await store().list('a/');
    expect(entries.map((entry) => entry.key)).toEqual(keys);
    expect(entries.map((entry) => entry.value)).toEqual(keys);
  });

  it('lists everything for the empty prefix and nothing for an unknown one', async () => {
    await store().put('a', 1);
    await store().put('\u{10ffff}', 2);
    expect((await store().list('')).map((entry) => entry.key)).toEqual(['a', '\u{10ffff}']);
    expect(await store().list('c')).toEqual([]);
  });

  it('gives the versions that get gives, and frozen data', async () => {
    await store().put('a', { n: 1 });
    const [entry] = await store().list('a');
    expect(entry).toEqual(await store().get('a'));
    expect(Object.isFrozen(entry?.value)).toBe(true);
  });
}

function transactionPromises(store: Current): void {
  it('writes all operations and answers with the versions of the puts in order', async () => {
    await store().put('old', 1);
    const versions = await store().transaction([
      { op: 'put', key: 'b', value: 1 },
      { op: 'delete', key: 'old' },
      { op: 'put', key: 'a', value: 2, ifVersion: 0 },
    ]);
    expect(versions).toEqual([(await store().get('b'))?.version, (await store().get('a'))?.version]);
    expect(await store().get('old')).toBeUndefined();
  });

  it('writes nothing when one condition fails, and names its key', async () => {
    await store().put('taken', 1);
    const refused = await store()
      .transaction([
        { op: 'put', key: 'free', value: 1 },
        { op: 'put', key: 'taken', value: 2, ifVersion: 0 },
      ])
      .catch((error: unknown) => error);
    expect(LibnetworkError.is(refused, 'CONFLICT')).toBe(true);
    expect(String(refused)).toContain('taken');
    expect(await store().get('free')).toBeUndefined();
    expect((await store().get('taken'))?.value).toBe(1);
  });

  it('writes nothing when one value is no JSON', async () => {
    const refused = store().transaction([
      { op: 'put', key: 'a', value: 1 },
      { op: 'put', key: 'b', value: undefined },
    ]);
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await store().list('')).toEqual([]);
  });

  it('refuses a key that is named twice', async () => {
    const refused = store().transaction([
      { op: 'put', key: 'a', value: 1 },
      { op: 'delete', key: 'a' },
    ]);
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('does nothing for no operations', async () => {
    expect(await store().transaction([])).toEqual([]);
  });

  it('does not let the failure of one write touch those asked for beside it', async () => {
    await store().put('taken', 1);
    const outcomes = await Promise.allSettled([
      store().put('a', 1),
      store().put('taken', 2, { ifVersion: 0 }),
      store().put('b', 1),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((await store().list('')).map((entry) => entry.key)).toEqual(['a', 'b', 'taken']);
  });
}

function endPromises(store: Current): void {
  it('refuses every call after close, which may be called twice', async () => {
    await Promise.all([store().close(), store().close()]);
    await store().close();
    const unavailable = { code: 'UNAVAILABLE' };
    await expect(store().get('a')).rejects.toMatchObject(unavailable);
    await expect(store().put('a', 1)).rejects.toMatchObject(unavailable);
    await expect(store().delete('a')).rejects.toMatchObject(unavailable);
    await expect(store().list('a')).rejects.toMatchObject(unavailable);
    await expect(store().transaction([])).rejects.toMatchObject(unavailable);
  });

  it('finishes the writes that were asked for before close', async () => {
    const writes = [store().put('a', 1), store().put('b', 2)];
    const closed = store().close();
    for (const version of await Promise.all(writes)) expect(version).toBeGreaterThan(0);
    await closed;
  });

  it('does nothing for a caller whose signal has fired', async () => {
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(store().put('a', 1, { signal })).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(store().get('a', { signal })).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(store().list('', { signal })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await store().get('a')).toBeUndefined();
  });
}
