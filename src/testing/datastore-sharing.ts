/** The part of the datastore contract that is about several stores over one engine, and about losing sight of it. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Datastore, StoreEvent } from '../datastore/datastore.ts';
import { LibnetworkError } from '../errors.ts';
import type { DatastoreSubject } from './datastore.ts';

type Current = () => Datastore;
type Sibling = (store: Datastore) => Promise<Datastore>;

export function sharingPromises(subject: DatastoreSubject, store: Current, noLeases: boolean): void {
  const { sibling, cut, forget, shortestLeaseMs = 300 } = subject;
  const siblings: Datastore[] = [];
  afterEach(async () => {
    for (const each of siblings.splice(0)) await each.close();
  });
  const another: Sibling = async (of) => {
    if (sibling === undefined) throw new Error('the subject has no sibling()');
    const made = await sibling(of);
    siblings.push(made);
    return made;
  };
  describe.skipIf(sibling === undefined)('several stores over one engine', () => {
    togetherPromises(store, another);
    it.skipIf(noLeases)(
      'takes the keys of a holder that is gone, and tells so',
      async () => {
        const holder = await another(store());
        const lease = await holder.lease?.(shortestLeaseMs);
        await lease?.put('host', 1);
        const events = store().watch('host')[Symbol.asyncIterator]();
        expect((await store().get('host'))?.value).toBe(1);
        await holder.close();
        expect((await events.next()).value).toEqual({ type: 'delete', key: 'host' });
        expect(await store().get('host')).toBeUndefined();
      },
      90_000,
    );
  });
  describe.skipIf(sibling === undefined || cut === undefined)('cut off from the engine', () => {
    if (cut !== undefined) cutPromises(store, another, cut, forget);
    it.skipIf(noLeases)(
      'tells a holder that its lease is lost, and lets it take another one after',
      async () => {
        const lease = await store().lease?.(shortestLeaseMs);
        await lease?.put('host', 'old');
        const heal = await cut?.(store());
        await poll(() => expect(lease?.lost.aborted).toBe(true));
        heal?.();
        const other = await another(store());
        await poll(async () => expect(await other.get('host')).toBeUndefined());
        await expect(lease?.put('host', 'late')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
        const next = await poll(() => store().lease?.(60_000));
        await next?.put('host', 'new');
        expect((await other.get('host'))?.value).toBe('new');
        await next?.release();
      },
      120_000,
    );
  });
}

function togetherPromises(store: Current, another: Sibling): void {
  it('sees what another wrote, and loses no update', async () => {
    const other = await another(store());
    const version = await store().put('key', 1);
    await poll(async () => expect((await other.get('key'))?.version).toBe(version));
    await other.put('key', 2, { ifVersion: version });
    await expect(store().put('key', 3, { ifVersion: version })).rejects.toMatchObject({ code: 'CONFLICT' });
    await poll(async () => expect((await store().get('key'))?.value).toBe(2));
  });

  it('tells every change of another that a list after the watch does not show', async () => {
    const other = await another(store());
    const writing = (async () => {
      for (let i = 0; i < 50; i++) await other.put(`n/${i}`, i);
    })();
    const watch = store().watch('n/')[Symbol.asyncIterator]();
    const seen = new Set((await store().list('n/')).map((entry) => entry.key));
    while (seen.size < 50) keep(seen, (await watch.next()).value);
    await writing;
    expect(seen.size).toBe(50);
  });
}

function cutPromises(
  store: Current,
  another: Sibling,
  cut: NonNullable<DatastoreSubject['cut']>,
  forget: DatastoreSubject['forget'],
): void {
  it('refuses every call with UNAVAILABLE, and answers when it is back', async () => {
    await store().put('a', 1);
    const heal = await cut(store());
    const refused = await Promise.allSettled([
      store().get('a'),
      store().list(''),
      store().put('a', 2),
      store().delete('b'),
      store().transaction([{ op: 'put', key: 'c', value: 1 }]),
    ]);
    for (const outcome of refused) expect(outcome).toMatchObject({ reason: { code: 'UNAVAILABLE' } });
    heal();
    const found = await poll(() => store().get('a'));
    expect([1, 2]).toContain(found?.value);
    expect(await store().put('a', 3)).toBeGreaterThan(found?.version ?? 0);
  }, 60_000);

  it('heeds the signal of a caller that does not want to wait', async () => {
    await store().put('a', 1);
    const heal = await cut(store());
    const controller = new AbortController();
    const call = store().get('a', { signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' });
    heal();
  });

  for (const how of ['in its history', 'by a new list, the history being gone'] as const) {
    const skipped = how !== 'in its history' && forget === undefined;
    it.skipIf(skipped)(
      `watches on where it was, ${how}`,
      async () => {
        const other = await another(store());
        for (const key of ['w/kept', 'w/gone', 'w/changed']) await store().put(key, 'old');
        const state = new Map<string, unknown>();
        const following = follow(store().watch('w/'), state);
        await store().put('w/first', 1);
        await poll(() => expect(state.get('w/first')).toBe(1));
        const heal = await cut(store());
        await other.put('w/changed', 'new');
        await other.delete('w/gone');
        await other.put('w/made', 1);
        await other.put('w/brief', 1);
        await other.delete('w/brief');
        if (how !== 'in its history') await forget?.();
        heal();
        await poll(() =>
          expect(Object.fromEntries(state)).toMatchObject({
            'w/changed': 'new',
            'w/made': 1,
            'w/gone': undefined,
          }),
        );
        await other.put('w/last', 1);
        await poll(() => expect(state.get('w/last')).toBe(1));
        expect(state.has('w/kept')).toBe(false);
        expect(state.get('w/brief')).toBeUndefined();
        await store().close();
        await following;
      },
      60_000,
    );
  }
}

/** Keeps the latest value of each key that is told; `undefined`: it was deleted. */
async function follow(events: AsyncIterable<StoreEvent>, state: Map<string, unknown>): Promise<void> {
  for await (const event of events)
    if (event.type === 'put') state.set(event.entry.key, event.entry.value);
    else state.set(event.key, undefined);
}

function keep(seen: Set<string>, event: StoreEvent | undefined): void {
  if (event?.type === 'put') seen.add(event.entry.key);
}

/** Repeats until it passes: engines take their time. */
async function poll<T>(check: () => Promise<T> | T): Promise<T> {
  const deadline = Date.now() + 50_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      const passing = !LibnetworkError.is(error) || error.code === 'UNAVAILABLE';
      if (!passing || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
