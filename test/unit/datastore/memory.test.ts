import { describe, expect, it } from 'vitest';
import { memoryBacking, memoryStore, type StoreClock } from '../../../src/datastore/index.ts';
import { MAX_WATCH_BACKLOG } from '../../../src/datastore/watchers.ts';

/** Time that passes only when told to. */
class HandClock implements StoreClock {
  #now = 0;
  #alarms: { at: number; action: () => void }[] = [];

  after(ms: number, action: () => void): () => void {
    const alarm = { at: this.#now + ms, action };
    this.#alarms.push(alarm);
    return () => {
      this.#alarms = this.#alarms.filter((other) => other !== alarm);
    };
  }

  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = this.#alarms.filter((alarm) => alarm.at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#now = next.at;
      this.#alarms = this.#alarms.filter((other) => other !== next);
      next.action();
    }
    this.#now = end;
  }
}

describe('several stores over one backing', () => {
  it('see what each other wrote, and watch it', async () => {
    const backing = memoryBacking();
    const first = memoryStore({ backing, scope: 'global' });
    const second = memoryStore({ backing, scope: 'global' });
    const watch = second.watch('a')[Symbol.asyncIterator]();
    const version = await first.put('a', 1);
    expect(await second.get('a')).toEqual({ key: 'a', value: 1, version });
    expect((await watch.next()).value).toMatchObject({ type: 'put', entry: { key: 'a' } });
    await expect(second.put('a', 2, { ifVersion: version + 1 })).rejects.toMatchObject({ code: 'CONFLICT' });
    await first.close();
    expect(await second.delete('a', { ifVersion: version })).toBe(true);
  });
});

describe('leases by the clock', () => {
  function setUp() {
    const clock = new HandClock();
    const backing = memoryBacking({ clock });
    return { clock, backing, holder: memoryStore({ backing }), other: memoryStore({ backing }) };
  }

  it('keeps the keys of a holder that lives', async () => {
    const { clock, holder, other } = setUp();
    const lease = await holder.lease(30_000);
    await lease.put('host/a', 1);
    clock.pass(3_600_000);
    expect((await other.get('host/a'))?.value).toBe(1);
    expect(lease.lost.aborted).toBe(false);
  });

  it('deletes the keys of a holder that died, after the time to live and not before, and tells watchers', async () => {
    const { clock, holder, other } = setUp();
    const lease = await holder.lease(30_000);
    await lease.put('host/a', 1);
    const watch = other.watch('host/')[Symbol.asyncIterator]();
    clock.pass(10_000);
    await holder.close();
    clock.pass(29_999);
    expect(await other.get('host/a')).toBeDefined();
    clock.pass(1);
    expect(await other.get('host/a')).toBeUndefined();
    expect((await watch.next()).value).toEqual({ type: 'delete', key: 'host/a' });
    expect(lease.lost.aborted).toBe(true);
  });

  it('tells a holder that was cut off that its lease is lost', async () => {
    const { backing, holder, other } = setUp();
    const lease = await holder.lease(30_000);
    await lease.put('host/a', 1);
    backing.expireLeases();
    expect(lease.lost.aborted).toBe(true);
    expect(await other.get('host/a')).toBeUndefined();
    await expect(lease.put('host/a', 2)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it.each([0, -1, Number.NaN])('refuses a time to live of %s', async (ttlMs) => {
    await expect(memoryStore().lease(ttlMs)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'ttlMs',
    });
  });
});

describe('a watcher that does not read', () => {
  it('is ended with a typed error at the limit, and the store goes on', async () => {
    const store = memoryStore();
    const watch = store.watch('')[Symbol.asyncIterator]();
    for (let i = 0; i <= MAX_WATCH_BACKLOG; i++) void store.put('a', i);
    await expect(watch.next()).rejects.toMatchObject({ code: 'UNAVAILABLE', limit: 'MAX_WATCH_BACKLOG' });
    expect((await store.get('a'))?.value).toBe(MAX_WATCH_BACKLOG);
  });
});
