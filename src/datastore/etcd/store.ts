import type { IRequestOp, ITxnResponse } from 'etcd3';
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
import { checkKey, checkOperations, checkPrefix, conditionFailed, encodeValue } from '../entry.ts';
import { loadPeer } from '../peer.ts';
import { Calls } from '../remote/calls.ts';
import { LeaseSet } from '../remote/heldlease.ts';
import { WatchSet } from '../remote/watchset.ts';
import { Members } from './members.ts';
import { checkEtcdOptions, type EtcdStoreOptions } from './options.ts';
import { Keyspace, listRange } from './ranges.ts';
import { renewOnce } from './renewal.ts';
import { EtcdWatch } from './watch.ts';

/**
 * A store in etcd 3.4 or newer, shared by many hosts. Needs the package `etcd3`. It does not connect before the first
 * call: a host may start while etcd is away.
 *
 * A call fails with UNAVAILABLE when etcd has not answered within `timeoutMs`; a write that failed so may have been
 * done. A transaction takes at most `maxOperations` operations (INVALID_ARGUMENT, `limit: 'maxOperations'`), a value
 * about 1.5 MB (etcd's `--max-request-bytes`). Leases last whole seconds, rounded up, and at least as long as etcd
 * allows (2 s by default).
 * @throws UNAVAILABLE when `etcd3` is not installed, INVALID_ARGUMENT for options that can't be right
 */
export async function etcdStore(
  options: EtcdStoreOptions,
): Promise<Datastore & Required<Pick<Datastore, 'lease'>>> {
  const checked = checkEtcdOptions(options);
  const calls = new Calls('etcd', checked.timeoutMs);
  const { Etcd3 } = await loadPeer('etcdStore', 'etcd3', () => import('etcd3'));
  const members = new Members((clientOptions) => new Etcd3(clientOptions), checked);
  return new EtcdStore(members, new Keyspace(checked.prefix), calls, checked.maxOperations);
}

interface WriteOutcome {
  readonly version: number;
  /** For each operation: whether the key of a delete was there. */
  readonly deleted: readonly boolean[];
}

class EtcdStore implements Datastore {
  readonly scope = 'global';
  readonly #members: Members;
  readonly #keys: Keyspace;
  readonly #calls: Calls;
  readonly #maxOperations: number;
  readonly #watches: WatchSet;
  readonly #leases = new LeaseSet();
  #closing: Promise<void> | undefined;

  constructor(members: Members, keys: Keyspace, calls: Calls, maxOperations: number) {
    this.#members = members;
    this.#keys = keys;
    this.#calls = calls;
    this.#watches = new WatchSet(calls);
    this.#maxOperations = maxOperations;
  }

  async get(key: string, options?: StoreWaits): Promise<Entry | undefined> {
    this.#calls.admit(options);
    checkKey(key);
    return this.#calls.run(`get ${key}`, options, async (call) => {
      await this.#watches.started();
      const request = { key: this.#keys.bytes(key) };
      const { kvs } = await this.#members.ask(call, 'read', ({ kv }, waits) => kv.range(request, waits));
      return kvs[0] === undefined ? undefined : this.#keys.entry(kvs[0]);
    });
  }

  async put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number> {
    this.#calls.admit(options);
    const operation = { op: 'put', key, value, ifVersion: options?.ifVersion } as const;
    return (await this.#write(`put ${key}`, [operation], options)).version;
  }

  async delete(key: string, options?: StoreWaits & WriteCondition): Promise<boolean> {
    this.#calls.admit(options);
    const operation = { op: 'delete', key, ifVersion: options?.ifVersion } as const;
    return (await this.#write(`delete ${key}`, [operation], options)).deleted[0] ?? false;
  }

  async list(prefix: string, options?: StoreWaits): Promise<readonly Entry[]> {
    this.#calls.admit(options);
    checkPrefix(prefix);
    return this.#calls.run(`list ${prefix}`, options, async (call) => {
      await this.#watches.started();
      const { pairs } = await listRange(this.#members, call, this.#keys.range(prefix), { keysOnly: false });
      return pairs.map((pair) => this.#keys.entry(pair));
    });
  }

  async transaction(operations: readonly StoreOperation[], options?: StoreWaits): Promise<readonly number[]> {
    this.#calls.admit(options);
    if (operations.length === 0) return [];
    const keys = operations.map(({ op, key }) => `${op} ${key}`).join(', ');
    const { version } = await this.#write(`transaction ${keys}`, operations, options);
    // All puts of a transaction are one revision.
    return operations.filter(({ op }) => op === 'put').map(() => version);
  }

  watch(prefix: string, options?: StoreWaits): AsyncIterable<StoreEvent> {
    const parts = { members: this.#members, keys: this.#keys, calls: this.#calls };
    return this.#watches.open(prefix, options, (opened) => new EtcdWatch({ ...parts, ...opened }).start());
  }

  async lease(ttlMs: number, options?: StoreWaits): Promise<Lease> {
    this.#calls.admit(options);
    if (!(ttlMs > 0)) throw invalid('ttlMs', ttlMs, 'must be a positive number of milliseconds');
    const grantedAt = performance.now();
    const request = { TTL: Math.ceil(ttlMs / 1000) };
    const granted = await this.#calls.run('lease', options, (call) =>
      // A lease that was granted and not heard of runs out by itself: it can be asked for again as a read.
      this.#members.ask(call, 'read', (client, waits) => client.leaseClient.leaseGrant(request, waits)),
    );
    const id = granted.ID;
    return this.#leases.hold({
      ttlMs: Number(granted.TTL) * 1000,
      grantedAt,
      renew: (signal) =>
        this.#calls.run('lease renewal', { signal }, (call) =>
          this.#members.ask(call, 'read', (client, waits) => renewOnce(client.leaseClient, id, waits)),
        ),
      put: async (key, value, waits) => {
        this.#calls.admit(waits);
        const operation = { op: 'put', key, value, ifVersion: waits?.ifVersion } as const;
        return (await this.#write(`lease put ${key}`, [operation], waits, id)).version;
      },
      release: () => this.#revoke(id),
    });
  }

  async #revoke(id: string): Promise<void> {
    try {
      await this.#calls.run('lease release', undefined, (call) =>
        this.#members.ask(call, 'read', (client, waits) => client.leaseClient.leaseRevoke({ ID: id }, waits)),
      );
    } catch (error) {
      if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
    }
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
    this.#members.close();
  }

  /** One etcd transaction: all conditions hold and everything is written, or nothing. */
  async #write(
    operation: string,
    operations: readonly StoreOperation[],
    options: StoreWaits | undefined,
    lease?: string,
  ): Promise<WriteOutcome> {
    checkOperations(operations);
    if (operations.length > this.#maxOperations) throw tooMany(operations.length, this.#maxOperations);
    const success = operations.map((each) => this.#request(each, lease));
    const conditioned = operations.filter(({ ifVersion }) => ifVersion !== undefined);
    const compare = conditioned.map(({ key, ifVersion }) => ({
      key: this.#keys.bytes(key),
      result: 'Equal' as const,
      target: 'Mod' as const,
      mod_revision: ifVersion ?? 0,
    }));
    const failure = conditioned.map(({ key }) => ({
      request_range: { key: this.#keys.bytes(key), keys_only: true },
    }));
    return this.#calls.run(operation, options, async (call) => {
      await this.#watches.started();
      const answer = await this.#members.ask(call, 'write', ({ kv }, waits) =>
        kv.txn({ compare, success, failure }, waits),
      );
      if (!answer.succeeded) throw refusal(conditioned, answer);
      return {
        version: Number(answer.header.revision),
        deleted: answer.responses.map((each) => Number(each.response_delete_range?.deleted ?? 0) > 0),
      };
    });
  }

  #request(operation: StoreOperation, lease: string | undefined): IRequestOp {
    const key = this.#keys.bytes(operation.key);
    if (operation.op === 'delete') return { request_delete_range: { key } };
    const value = Buffer.from(encodeValue(operation.key, operation.value));
    return { request_put: { key, value, ...(lease !== undefined && { lease }) } };
  }
}

function refusal(conditioned: readonly StoreOperation[], answer: ITxnResponse): LibnetworkError {
  for (const [i, { key, ifVersion }] of conditioned.entries()) {
    const version = Number(answer.responses[i]?.response_range?.kvs[0]?.mod_revision ?? 0);
    if (version !== ifVersion) return conditionFailed(key, ifVersion, version);
  }
  return new LibnetworkError('INTERNAL', 'etcd refused a transaction whose conditions all hold');
}

function tooMany(count: number, most: number): LibnetworkError {
  return new LibnetworkError(
    'INVALID_ARGUMENT',
    `operations: a transaction in this etcd may have ${most}, got ${count}; split it, or raise maxOperations and etcd's --max-txn-ops`,
    { field: 'operations', value: count, limit: 'maxOperations' },
  );
}
