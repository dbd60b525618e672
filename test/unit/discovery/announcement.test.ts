import { expect, it } from 'vitest';
import type { Datastore, Lease } from '../../../src/datastore/datastore.ts';
import { memoryStore } from '../../../src/datastore/index.ts';
import { Announcement } from '../../../src/discovery/announcement.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { eventually } from '../../support/daemon.ts';

interface Given {
  readonly lose: () => void;
}

/** A store whose leases end when they are told to; `before` is asked before anything is written under one. */
function leasing(before: (key: string, lease: number) => Promise<void> = async () => undefined) {
  const inner = memoryStore({ scope: 'global' });
  const leases: Given[] = [];
  const lease = async (): Promise<Lease> => {
    const lost = new AbortController();
    const n = leases.push({ lose: () => lost.abort() });
    return {
      lost: lost.signal,
      put: async (key, value, options) => {
        await before(key, n);
        if (lost.signal.aborted) throw new LibnetworkError('UNAVAILABLE', 'the lease is gone');
        return inner.put(key, value, options);
      },
      release: async () => undefined,
    };
  };
  const store: Datastore = new Proxy(inner, {
    get: (target, name) => {
      if (name === 'lease') return lease;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { store, leases };
}

const host = { id: 'a', address: '10.0.0.1' };
const parts = { key: 'hosts/a', host, ttlMs: 1_000 };

it('writes what it is told while a new lease is being filled, and not what that replaced', async () => {
  let proceed: () => void = () => undefined;
  let isWaiting = false;
  const hold = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  const { store, leases } = leasing(async (key, lease) => {
    if (key !== 'last' || lease !== 2) return;
    isWaiting = true;
    await hold;
  });
  const announcement = new Announcement({ ...parts, store, report: () => undefined });
  await announcement.begin();
  await announcement.put('number', 1);
  await announcement.put('last', 1);
  leases[0]?.lose();
  await eventually(() => expect(isWaiting).toBe(true));
  await expect(announcement.put('number', 2)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  proceed();
  await eventually(() => expect(announcement.live).toBe(true));
  expect((await store.get('number'))?.value).toBe(2);
  await announcement.end();
});

it('tells once of a lease that lapsed, also where it was gone on with', async () => {
  const { store, leases } = leasing();
  const reports: string[] = [];
  let failures = 2;
  const announcement = new Announcement({
    ...{ ...parts, store, report: ({ message }: LibnetworkError) => reports.push(message) },
    onReturn: async () => {
      if (failures-- > 0) throw new LibnetworkError('UNAVAILABLE', 'not yet');
    },
  });
  await announcement.begin();
  leases[0]?.lose();
  await eventually(() => expect(failures).toBe(-1));
  leases[1]?.lose();
  expect(reports.filter((text) => text.includes('lapsed'))).toHaveLength(2);
  await announcement.end();
});

it('comes back at whichever moment the new lease is lost, too', async () => {
  for (let moment = 0; moment < 12; moment++) {
    const { store, leases } = leasing();
    let isFirst = true;
    const announcement = new Announcement({
      ...{ ...parts, store, report: () => undefined },
      onReturn: async () => {
        if (!isFirst) return;
        isFirst = false;
        void (async () => {
          for (let i = 0; i < moment; i++) await undefined;
          leases[1]?.lose();
        })();
      },
    });
    await announcement.begin();
    leases[0]?.lose();
    await eventually(() => expect({ moment, leases: leases.length }).toEqual({ moment, leases: 3 }));
    await eventually(() => expect(announcement.live).toBe(true));
    await announcement.end();
  }
});
