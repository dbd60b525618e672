/** The part of the datastore contract that not every store has: watches and leases. */
import { expect, it } from 'vitest';
import type { Datastore, StoreEvent } from '../datastore/datastore.ts';

type Current = () => Datastore;

export function watchPromises(store: Current): void {
  it('tells each change under a prefix from the call on, with its value and version', async () => {
    await store().put('w/before', 1);
    const events = store().watch('w/')[Symbol.asyncIterator]();
    const version = await store().put('w/a', { n: 1 });
    const entry = { key: 'w/a', value: { n: 1 }, version };
    expect((await events.next()).value).toEqual({ type: 'put', entry });
    await store().put('other', 1);
    await store().delete('w/before');
    expect((await events.next()).value).toEqual({ type: 'delete', key: 'w/before' });
    await store().transaction([
      { op: 'put', key: 'w/b', value: 2 },
      { op: 'delete', key: 'other' },
    ]);
    expect((await events.next()).value).toMatchObject({ type: 'put', entry: { key: 'w/b', value: 2 } });
    await store().delete('w/a');
    await events.next();
    await store().put('w/a', 3);
    expect((await events.next()).value).toMatchObject({ type: 'put', entry: { key: 'w/a', value: 3 } });
  });

  it('tells nothing of refused writes and of deletes that found nothing', async () => {
    const watch = store().watch('');
    await store().delete('nothing');
    await expect(store().put('a', 1, { ifVersion: 9 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await store().put('b', 1);
    expect(await take(watch, 1)).toMatchObject([{ type: 'put', entry: { key: 'b' } }]);
  });

  it('wakes a watcher that waits already', async () => {
    const events = take(store().watch('a'), 1);
    await store().put('a', 1);
    expect(await events).toMatchObject([{ type: 'put', entry: { key: 'a' } }]);
  });

  it('ends when its signal fires and when the store closes', async () => {
    const controller = new AbortController();
    const aborted = take(store().watch('', { signal: controller.signal }), 1);
    const closed = take(store().watch(''), 1);
    controller.abort();
    expect(await aborted).toEqual([]);
    await store().close();
    expect(await closed).toEqual([]);
  });
}

/** What stores promise whose engine keeps a history. */
export function historyPromises(store: Current): void {
  it('tells the changes under a prefix from the call on, in order, with their values', async () => {
    await store().put('w/before', 1);
    const watch = store().watch('w/');
    const version = await store().put('w/a', { n: 1 });
    await store().put('other', 1);
    await store().delete('w/before');
    await store().transaction([{ op: 'put', key: 'w/b', value: 2 }]);
    const events = await take(watch, 3);
    expect(events[0]).toEqual({ type: 'put', entry: { key: 'w/a', value: { n: 1 }, version } });
    expect(events[1]).toEqual({ type: 'delete', key: 'w/before' });
    expect(events[2]).toMatchObject({ type: 'put', entry: { key: 'w/b', value: 2 } });
  });
}

export function leasePromises(store: Current): void {
  const grant = async (ttlMs: number) => {
    const lease = await store().lease?.(ttlMs);
    if (lease === undefined) throw new Error('the store has no lease(), and does not say so by "no-leases"');
    return lease;
  };

  it('deletes the keys of a lease when it is released', async () => {
    const lease = await grant(60_000);
    await lease.put('mine', 1, { ifVersion: 0 });
    await store().put('other', 1);
    expect((await store().get('mine'))?.value).toBe(1);
    await lease.release();
    expect((await store().list('')).map((entry) => entry.key)).toEqual(['other']);
    expect(lease.lost.aborted).toBe(false);
  });

  it('keeps the keys of a holder that lives for longer than the time to live', async () => {
    const lease = await grant(300);
    await lease.put('mine', 1);
    await new Promise((resolve) => setTimeout(resolve, 900));
    expect((await store().get('mine'))?.value).toBe(1);
    expect(lease.lost.aborted).toBe(false);
    await lease.release();
  });

  it('keeps a key that was written anew without the lease', async () => {
    const lease = await grant(60_000);
    await lease.put('key', 'leased');
    await store().put('key', 'kept');
    await lease.release();
    expect((await store().get('key'))?.value).toBe('kept');
  });

  it('refuses writes with a lease that was released', async () => {
    const lease = await grant(60_000);
    await lease.release();
    await expect(lease.put('key', 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await store().get('key')).toBeUndefined();
  });

  it('checks conditions', async () => {
    const lease = await grant(60_000);
    await store().put('key', 1);
    await expect(lease.put('key', 2, { ifVersion: 0 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await lease.release();
    expect((await store().get('key'))?.value).toBe(1);
  });
}

/** Up to `count` events. */
export async function take(events: AsyncIterable<StoreEvent>, count: number): Promise<StoreEvent[]> {
  const taken: StoreEvent[] = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}
