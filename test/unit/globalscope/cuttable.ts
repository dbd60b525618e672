import type { Datastore, Lease, StoreEvent } from '../../../src/datastore/datastore.ts';
import { LibnetworkError } from '../../../src/errors.ts';

/** A store whose host can be cut off from it, and can die. */
export interface Cuttable {
  readonly store: Datastore;
  /** Nothing passes until `mend`; the lease runs out as if it were silent when `expire` says so. */
  cut(): void;
  /** From the first write of a key on that has this in it no answer arrives until `mend`; what is asked happens. */
  loseAnswersFrom(part: string): void;
  mend(): void;
  /** The lease runs out now; its keys are gone. */
  expire(): Promise<void>;
  kill(): void;
  /** How often the store was asked or written, by method. */
  readonly calls: Record<string, number>;
}

export function cuttable(inner: Datastore & Required<Pick<Datastore, 'lease'>>): Cuttable {
  let off = false;
  let mute = false;
  let trigger: string | undefined;
  let dead = false;
  const calls: Record<string, number> = {};
  const watches = new Set<AbortController>();
  const leases = new Set<{ readonly lease: Lease; readonly lost: AbortController }>();
  const pass = async <T>(method: string, act: () => Promise<T>, keys = ''): Promise<T> => {
    calls[method] = (calls[method] ?? 0) + 1;
    if (off || dead) throw new LibnetworkError('UNAVAILABLE', 'the store can not be reached');
    if (trigger !== undefined && keys.includes(trigger)) mute = true;
    const answer = await act();
    if (mute) throw new LibnetworkError('UNAVAILABLE', 'the store did not answer');
    return answer;
  };
  const endWatches = (): void => {
    for (const watch of watches) watch.abort();
    watches.clear();
  };
  const store: Datastore = {
    scope: inner.scope,
    get: (...args) => pass('get', () => inner.get(...args)),
    list: (...args) => pass('list', () => inner.list(...args)),
    put: (...args) => pass('put', () => inner.put(...args), args[0]),
    delete: (...args) => pass('delete', () => inner.delete(...args)),
    transaction: (...args) =>
      pass('transaction', () => inner.transaction(...args), args[0].map(({ key }) => key).join(' ')),
    watch: (prefix, options): AsyncIterable<StoreEvent> => {
      const own = new AbortController();
      watches.add(own);
      const signal = options?.signal ? AbortSignal.any([options.signal, own.signal]) : own.signal;
      if (off || dead) own.abort();
      return inner.watch(prefix, own.signal.aborted ? { signal: options?.signal } : { signal });
    },
    lease: (ttl, options) =>
      pass('lease', async () => {
        const lease = await inner.lease(ttl, options);
        const lost = new AbortController();
        leases.add({ lease, lost });
        lease.lost.addEventListener('abort', () => lost.abort());
        return {
          lost: lost.signal,
          put: (...args) => pass('lease put', () => lease.put(...args)),
          release: () => pass('release', () => lease.release()),
        };
      }),
    close: () => inner.close(),
  };
  return {
    store,
    calls,
    cut: () => {
      off = true;
      endWatches();
    },
    loseAnswersFrom: (part) => {
      trigger = part;
    },
    mend: () => {
      off = false;
      mute = false;
      trigger = undefined;
    },
    expire: async () => {
      for (const each of [...leases]) {
        leases.delete(each);
        await each.lease.release();
        each.lost.abort();
      }
    },
    kill: () => {
      dead = true;
      endWatches();
      void inner.close();
    },
  };
}
