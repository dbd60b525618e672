import { LibnetworkError, throwIfAborted } from '../errors.ts';
import type {
  Datastore,
  Entry,
  Lease,
  StoreEvent,
  StoreOperation,
  StoreWaits,
  WriteCondition,
} from './datastore.ts';
import { checkKey, checkOperations, checkPrefix, storeClosed } from './entry.ts';
import { type LeaseGrant, type MemoryBacking, memoryBacking } from './memory-backing.ts';
import { Watchers } from './watchers.ts';

export interface MemoryStoreOptions {
  /** What holds the data. Default: a new one of this store's own, which goes with it. */
  readonly backing?: MemoryBacking | undefined;
  /** Default `local`; `global` lets it stand for a store that several hosts share. */
  readonly scope?: 'local' | 'global' | undefined;
}

/**
 * A store in memory. Two stores over one `backing` see each other's writes, and a backing outlives its stores: it
 * models a disk that outlives a process, or a distributed store under several controllers. It knows leases; a
 * store that is closed without releasing one stops renewing it, as a process that died.
 */
export function memoryStore(
  options: MemoryStoreOptions = {},
): Datastore & Required<Pick<Datastore, 'lease'>> {
  return new MemoryStore(options.backing ?? memoryBacking(), options.scope ?? 'local');
}

class MemoryStore implements Datastore {
  readonly scope: 'local' | 'global';
  readonly #backing: MemoryBacking;
  readonly #watchers = new Watchers();
  readonly #listener = (event: StoreEvent): void => this.#watchers.emit(event);
  readonly #grants = new Set<LeaseGrant>();
  #closed = false;

  constructor(backing: MemoryBacking, scope: 'local' | 'global') {
    this.#backing = backing;
    this.scope = scope;
    backing.listeners.add(this.#listener);
  }

  async get(key: string, options?: StoreWaits): Promise<Entry | undefined> {
    this.#admit(options);
    checkKey(key);
    return this.#backing.get(key);
  }

  async put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number> {
    this.#admit(options);
    checkKey(key);
    const [version = 0] = this.#backing.commit([{ op: 'put', key, value, ifVersion: options?.ifVersion }]);
    return version;
  }

  async delete(key: string, options?: StoreWaits & WriteCondition): Promise<boolean> {
    this.#admit(options);
    checkKey(key);
    const existed = this.#backing.get(key) !== undefined;
    this.#backing.commit([{ op: 'delete', key, ifVersion: options?.ifVersion }]);
    return existed;
  }

  async list(prefix: string, options?: StoreWaits): Promise<readonly Entry[]> {
    this.#admit(options);
    checkPrefix(prefix);
    return this.#backing.list(prefix);
  }

  async transaction(operations: readonly StoreOperation[], options?: StoreWaits): Promise<readonly number[]> {
    this.#admit(options);
    checkOperations(operations);
    return this.#backing.commit(operations);
  }

  watch(prefix: string, options?: StoreWaits): AsyncIterable<StoreEvent> {
    this.#admit(options);
    checkPrefix(prefix);
    return this.#watchers.watch(prefix, options?.signal);
  }

  async lease(ttlMs: number, options?: StoreWaits): Promise<Lease> {
    this.#admit(options);
    const grant = this.#backing.grant(ttlMs);
    this.#grants.add(grant);
    return {
      lost: grant.lost,
      put: async (key, value, putOptions) => {
        this.#admit(putOptions);
        checkKey(key);
        if (!grant.alive)
          throw new LibnetworkError('UNAVAILABLE', `the lease for ${key} is gone; take a new one`, {
            operation: `lease put ${key}`,
          });
        const operation = { op: 'put', key, value, ifVersion: putOptions?.ifVersion } as const;
        const [version = 0] = this.#backing.commit([operation], grant);
        return version;
      },
      release: async () => {
        this.#grants.delete(grant);
        this.#backing.revoke(grant);
      },
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#backing.listeners.delete(this.#listener);
    this.#watchers.end();
    for (const grant of this.#grants) grant.stopRenewing();
  }

  #admit(options: StoreWaits | undefined): void {
    if (this.#closed) throw storeClosed('the memory store');
    throwIfAborted(options?.signal);
  }
}
