import type { Datastore, Entry, Lease, StoreEvent } from '../datastore/datastore.ts';
import { type Faults, SimulatedCrash } from './faults.ts';

export interface FaultyStoreOptions {
  /** Count reads as steps too, so that they can fail. Default false: only what changes something is a step. */
  readonly reads?: boolean | undefined;
}

/**
 * A store whose every write is a step of the fault script: `store put docker/network/...`. After the script's
 * crash every call throws `SimulatedCrash`, watches end, and leases are no longer renewed (as long as `inner` is
 * closed by whoever made it); what was written before is still in `inner`.
 */
export function faultyStore(inner: Datastore, faults: Faults, options: FaultyStoreOptions = {}): Datastore {
  const read = <T>(name: string, act: () => Promise<T>): Promise<T> => {
    if (options.reads === true) return faults.aroundAsync(name, act);
    return faults.crashed ? Promise.reject(new SimulatedCrash(name)) : act();
  };
  const dead = new AbortController();
  faults.onCrash(() => dead.abort());
  const { lease } = inner;
  return {
    scope: inner.scope,
    get: (key, waits) => read<Entry | undefined>(`store get ${key}`, () => inner.get(key, waits)),
    list: (prefix, waits) => read<readonly Entry[]>(`store list ${prefix}`, () => inner.list(prefix, waits)),
    put: (key, value, waits) => faults.aroundAsync(`store put ${key}`, () => inner.put(key, value, waits)),
    delete: (key, waits) => faults.aroundAsync(`store delete ${key}`, () => inner.delete(key, waits)),
    transaction: (operations, waits) =>
      faults.aroundAsync(
        `store transaction ${operations.map(({ op, key }) => `${op} ${key}`).join(', ')}`,
        () => inner.transaction(operations, waits),
      ),
    watch: (prefix, waits): AsyncIterable<StoreEvent> => {
      if (faults.crashed) throw new SimulatedCrash(`store watch ${prefix}`);
      const signal = waits?.signal ? AbortSignal.any([waits.signal, dead.signal]) : dead.signal;
      return inner.watch(prefix, { signal });
    },
    ...(lease && {
      lease: async (ttlMs, waits): Promise<Lease> => {
        const held = await faults.aroundAsync('store lease', () => lease.call(inner, ttlMs, waits));
        return {
          lost: held.lost,
          put: (key, value, putWaits) =>
            faults.aroundAsync(`store lease put ${key}`, () => held.put(key, value, putWaits)),
          release: () => faults.aroundAsync('store lease release', () => held.release()),
        };
      },
    }),
    // A dead process closes nothing; its end is no failure of the store.
    close: () => (faults.crashed ? Promise.resolve() : inner.close()),
  };
}
