import { invalid, LibnetworkError } from '../../errors.ts';
import type {
  Datastore,
  Entry,
  Lease,
  StoreEvent,
  StoreOperation,
  StoreWaits,
  WriteCondition,
} from '../datastore.ts';
import { checkKey, checkOperations, checkPrefix, compareKeys, encodeValue } from '../entry.ts';
import { Calls } from '../remote/calls.ts';
import { LeaseSet } from '../remote/heldlease.ts';
import { WatchSet } from '../remote/watchset.ts';
import { Agents } from './agents.ts';
import { ConsulKeys } from './keys.ts';
import { type CheckedConsulOptions, type ConsulStoreOptions, checkConsulOptions } from './options.ts';
import { ConsulWatch, pairsOf } from './watch.ts';
import { ConsulWrites } from './writes.ts';

/** Consul's bounds for the time to live of a session, in milliseconds. */
const SHORTEST_TTL_MS = 10_000;
const LONGEST_TTL_MS = 86_400_000;

/**
 * A store in Consul's KV, by its HTTP API. It does not connect before the first call.
 *
 * A call fails with UNAVAILABLE when Consul has not answered within `timeoutMs`; a write that failed so may have been
 * done. A transaction takes at most `maxOperations` steps: one for a write, two for a conditional delete, up to three
 * for a write with a lease (INVALID_ARGUMENT, `limit: 'maxOperations'`), and 512 kB in all. A watch tells each key's
 * latest state and not every state in between, and reads the whole prefix at every change. Leases are sessions of
 * 10 s to 24 h; Consul may take twice the time to live to notice a holder that is gone.
 * @throws INVALID_ARGUMENT for options that can't be right
 */
export async function consulStore(
  options: ConsulStoreOptions,
): Promise<Datastore & Required<Pick<Datastore, 'lease'>>> {
  return new ConsulStore(checkConsulOptions(options));
}

class ConsulStore implements Datastore {
  readonly scope = 'global';
  readonly #agents: Agents;
  readonly #keys: ConsulKeys;
  readonly #calls: Calls;
  readonly #writes: ConsulWrites;
  readonly #watches: WatchSet;
  readonly #leases = new LeaseSet();
  #closing: Promise<void> | undefined;

  constructor(options: CheckedConsulOptions) {
    this.#calls = new Calls('Consul', options.timeoutMs);
    this.#watches = new WatchSet(this.#calls);
    this.#keys = new ConsulKeys(options.prefix);
    this.#agents = new Agents(options);
    this.#writes = new ConsulWrites(this.#agents, this.#keys, options.maxOperations);
  }

  async get(key: string, options?: StoreWaits): Promise<Entry | undefined> {
    this.#calls.admit(options);
    checkKey(key);
    return this.#calls.run(`get ${key}`, options, async (call) => {
      await this.#watches.started();
      const pair = await this.#writes.find(call, key);
      return pair && this.#keys.entry(pair);
    });
  }

  async put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number> {
    this.#calls.admit(options);
    const operation = { op: 'put', key, value, ifVersion: options?.ifVersion } as const;
    const [version = 0] = await this.#write(`put ${key}`, [operation], options);
    return version;
  }

  async delete(key: string, options?: StoreWaits & WriteCondition): Promise<boolean> {
    this.#calls.admit(options);
    checkKey(key);
    return this.#calls.run(`delete ${key}`, options, async (call) => {
      await this.#watches.started();
      return this.#writes.remove(call, key, options?.ifVersion);
    });
  }

  async list(prefix: string, options?: StoreWaits): Promise<readonly Entry[]> {
    this.#calls.admit(options);
    checkPrefix(prefix);
    return this.#calls.run(`list ${prefix}`, options, async (call) => {
      await this.#watches.started();
      const path = `kv/${this.#keys.encode(prefix)}`;
      const query = { recurse: '', consistent: '' };
      const answer = await this.#agents.ask(call, 'read', { method: 'GET', path, query, accept: [404] });
      const entries = pairsOf(answer).map((pair) => this.#keys.entry(pair));
      return entries.sort((a, b) => compareKeys(a.key, b.key));
    });
  }

  async transaction(operations: readonly StoreOperation[], options?: StoreWaits): Promise<readonly number[]> {
    this.#calls.admit(options);
    if (operations.length === 0) return [];
    return this.#write(`transaction of ${operations.length}`, operations, options);
  }

  watch(prefix: string, options?: StoreWaits): AsyncIterable<StoreEvent> {
    const parts = { agents: this.#agents, keys: this.#keys, calls: this.#calls };
    return this.#watches.open(prefix, options, (opened) => new ConsulWatch({ ...parts, ...opened }).start());
  }

  async lease(ttlMs: number, options?: StoreWaits): Promise<Lease> {
    this.#calls.admit(options);
    if (!(ttlMs > 0)) throw invalid('ttlMs', ttlMs, 'must be a positive number of milliseconds');
    const ttl = Math.min(Math.max(Math.ceil(ttlMs), SHORTEST_TTL_MS), LONGEST_TTL_MS);
    const grantedAt = performance.now();
    const body = { TTL: `${ttl}ms`, Behavior: 'delete', LockDelay: '0s', NodeChecks: [] };
    const answer = await this.#calls.run('lease', options, (call) =>
      // A session that was made and not heard of runs out by itself: it can be asked for again as a read.
      this.#agents.ask(call, 'read', { method: 'PUT', path: 'session/create', body }),
    );
    const id = sessionId(answer.body);
    return this.#leases.hold({
      ttlMs: ttl,
      grantedAt,
      renew: (signal) => this.#renew(id, signal),
      put: async (key, value, waits) => {
        this.#calls.admit(waits);
        const operation = { op: 'put', key, value, ifVersion: waits?.ifVersion } as const;
        const [version = 0] = await this.#write(`lease put ${key}`, [operation], waits, id);
        return version;
      },
      release: async () => {
        await this.#calls.run('lease release', undefined, (call) =>
          this.#agents.ask(call, 'read', { method: 'PUT', path: `session/destroy/${id}` }),
        );
      },
    });
  }

  async #renew(id: string, signal: AbortSignal): Promise<boolean> {
    const path = `session/renew/${id}`;
    const answer = await this.#calls.run('lease renewal', { signal }, (call) =>
      this.#agents.ask(call, 'read', { method: 'PUT', path, accept: [404] }),
    );
    return answer.status !== 404;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = this.#calls.close();
    this.#watches.end();
    this.#leases.end();
    await closed;
    this.#agents.close();
  }

  #write(
    name: string,
    operations: readonly StoreOperation[],
    options: StoreWaits | undefined,
    session?: string,
  ): Promise<readonly number[]> {
    checkOperations(operations);
    // As it is now: the caller may change the object after the call.
    const frozen = operations.map((each) =>
      each.op === 'put' ? { ...each, value: JSON.parse(encodeValue(each.key, each.value)) as unknown } : each,
    );
    return this.#calls.run(name, options, async (call) => {
      await this.#watches.started();
      return this.#writes.commit(call, frozen, session);
    });
  }
}

function sessionId(body: unknown): string {
  const id = (body as { ID?: unknown } | undefined)?.ID;
  if (typeof id === 'string' && /^[\w-]+$/.test(id)) return id;
  throw new LibnetworkError('INTERNAL', 'Consul made a session without an id');
}
