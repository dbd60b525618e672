import { invalid } from '../../errors.ts';
import type {
  Datastore,
  Entry,
  Lease,
  StoreEvent,
  StoreOperation,
  StoreWaits,
  WriteCondition,
} from '../datastore.ts';
import { checkKey, checkOperations, checkPrefix, encodeValue } from '../entry.ts';
import { loadPeer } from '../peer.ts';
import { Backoff } from '../remote/backoff.ts';
import { type Call, Calls } from '../remote/calls.ts';
import { HeldLease } from '../remote/heldlease.ts';
import { WatchSet } from '../remote/watchset.ts';
import { isTransient, zookeeperError } from './failure.ts';
import {
  type CheckedZookeeperOptions,
  checkZookeeperOptions,
  type ZookeeperStoreOptions,
} from './options.ts';
import type { Session } from './session.ts';
import { Sessions } from './sessions.ts';
import { Tree } from './tree.ts';
import { ZookeeperWatch } from './watch.ts';
import { type Written, ZookeeperWrites } from './writes.ts';

/**
 * A store in ZooKeeper 3.5 or newer. Needs the package `node-zookeeper-client`, which knows no TLS: where the way to
 * the servers is not trusted, put a tunnel in front. It connects in the background; a host may start while ZooKeeper
 * is away.
 *
 * A call fails with UNAVAILABLE when ZooKeeper has not answered within `timeoutMs`; a write that failed so may have
 * been done. A value, a transaction, and the names of all keys together take at most `maxBytes` (INVALID_ARGUMENT,
 * `limit: 'maxBytes'`). A list is not one moment's: each entry is as it was when it was read. A watch tells each key's
 * latest state and not every state in between, and reads the whole prefix at every change. A read at a server that
 * lags behind may be old; conditions never are. Leases are sessions: the servers bound their time to live.
 * @throws UNAVAILABLE when the package is not installed, INVALID_ARGUMENT for options that can't be right
 */
export async function zookeeperStore(
  options: ZookeeperStoreOptions,
): Promise<Datastore & Required<Pick<Datastore, 'lease'>>> {
  const checked = checkZookeeperOptions(options);
  const calls = new Calls('ZooKeeper', checked.timeoutMs);
  const load = () => import('node-zookeeper-client');
  const zookeeper = await loadPeer('zookeeperStore', 'node-zookeeper-client', load);
  return new ZookeeperStore(new Sessions(zookeeper, checked), checked, calls);
}

class ZookeeperStore implements Datastore {
  readonly scope = 'global';
  readonly #sessions: Sessions;
  readonly #tree: Tree;
  readonly #calls: Calls;
  readonly #writes: ZookeeperWrites;
  readonly #watches: WatchSet;
  readonly #leases = new Map<HeldLease, Session>();
  #closing: Promise<void> | undefined;

  constructor(sessions: Sessions, options: CheckedZookeeperOptions, calls: Calls) {
    this.#sessions = sessions;
    this.#tree = new Tree(options.root);
    this.#calls = calls;
    this.#watches = new WatchSet(calls);
    this.#writes = new ZookeeperWrites(this.#tree, sessions.kind, options.maxBytes);
  }

  async get(key: string, options?: StoreWaits): Promise<Entry | undefined> {
    this.#calls.admit(options);
    checkKey(key);
    return this.#ask(`get ${key}`, options, 'read', (session) => this.#tree.read(session, key));
  }

  async put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number> {
    this.#calls.admit(options);
    const operation = { op: 'put', key, value, ifVersion: options?.ifVersion } as const;
    return (await this.#write(`put ${key}`, [operation], options)).version;
  }

  async delete(key: string, options?: StoreWaits & WriteCondition): Promise<boolean> {
    this.#calls.admit(options);
    const operation = { op: 'delete', key, ifVersion: options?.ifVersion } as const;
    return (await this.#write(`delete ${key}`, [operation], options)).before[0] ?? false;
  }

  async list(prefix: string, options?: StoreWaits): Promise<readonly Entry[]> {
    this.#calls.admit(options);
    checkPrefix(prefix);
    return this.#ask(`list ${prefix}`, options, 'read', (session) => this.#tree.list(session, prefix));
  }

  async transaction(operations: readonly StoreOperation[], options?: StoreWaits): Promise<readonly number[]> {
    this.#calls.admit(options);
    if (operations.length === 0) return [];
    const { version } = await this.#write(`transaction of ${operations.length}`, operations, options);
    // All steps of a multi have one zxid.
    return operations.filter(({ op }) => op === 'put').map(() => version);
  }

  watch(prefix: string, options?: StoreWaits): AsyncIterable<StoreEvent> {
    const ready = (call: Call) => this.#sessions.ready(call);
    const parts = { ready, tree: this.#tree, calls: this.#calls };
    return this.#watches.open(prefix, options, (opened) =>
      new ZookeeperWatch({ ...parts, ...opened }).start(),
    );
  }

  async lease(ttlMs: number, options?: StoreWaits): Promise<Lease> {
    this.#calls.admit(options);
    if (!(ttlMs > 0)) throw invalid('ttlMs', ttlMs, 'must be a positive number of milliseconds');
    // The main session sees to it that the tree is there.
    await this.#ask('lease', options, 'read', async () => undefined);
    const session = this.#sessions.open(ttlMs);
    const grantedAt = performance.now();
    try {
      await this.#calls.run('lease', options, (call) => session.ready(call.signal));
    } catch (error) {
      await session.close();
      throw error;
    }
    const lease = new HeldLease({
      ttlMs: session.timeoutMs,
      grantedAt,
      renew: (signal) => this.#renew(session, signal),
      put: async (key, value, waits) => {
        this.#calls.admit(waits);
        const operation = { op: 'put', key, value, ifVersion: waits?.ifVersion } as const;
        return (await this.#write(`lease put ${key}`, [operation], waits, session)).version;
      },
      release: async () => {
        this.#leases.delete(lease);
        await session.close();
      },
    });
    this.#leases.set(lease, session);
    lease.lost.addEventListener('abort', () => this.#abandon(lease), { once: true });
    if (this.#closing !== undefined) this.#abandon(lease);
    return lease;
  }

  async #renew(session: Session, signal: AbortSignal): Promise<boolean> {
    if (session.over) return false;
    try {
      await this.#calls.run('lease renewal', { signal }, async (call) => {
        await session.ready(call.signal);
        await session.exists(this.#tree.data);
      });
      return true;
    } catch (error) {
      if (session.over) return false;
      session.dropConnection();
      throw zookeeperError('lease renewal', error, false);
    }
  }

  #abandon(lease: HeldLease): void {
    lease.stopRenewing();
    this.#leases.get(lease)?.abandon();
    this.#leases.delete(lease);
  }

  /** A connection on which nothing came back until the deadline is of no use to the next call. */
  #suspect(call: Call): void {
    if (performance.now() >= call.deadline) this.#sessions.current().dropConnection();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = this.#calls.close();
    this.#watches.end();
    for (const lease of [...this.#leases.keys()]) this.#abandon(lease);
    await closed;
    await this.#sessions.close();
  }

  async #write(
    name: string,
    operations: readonly StoreOperation[],
    options: StoreWaits | undefined,
    lease?: Session,
  ): Promise<Written> {
    checkOperations(operations);
    // As it is now: the caller may change the object after the call.
    const frozen = operations.map((each) =>
      each.op === 'put' ? { ...each, value: JSON.parse(encodeValue(each.key, each.value)) as unknown } : each,
    );
    return this.#ask(name, options, 'write', async (main, call) => {
      await lease?.ready(call.signal);
      return this.#writes.commit(call, lease ?? main, frozen, lease !== undefined);
    });
  }

  /** Asks until there is an answer or the deadline is over; what may have been written is not asked for again. */
  #ask<T>(
    operation: string,
    options: StoreWaits | undefined,
    kind: 'read' | 'write',
    act: (session: Session, call: Call) => Promise<T>,
  ): Promise<T> {
    return this.#calls.run(operation, options, async (call) => {
      const backoff = new Backoff();
      call.signal.addEventListener('abort', () => this.#suspect(call), { once: true });
      for (;;) {
        let asked = false;
        try {
          const session = await this.#sessions.ready(call);
          await this.#watches.started();
          asked = true;
          return await act(session, call);
        } catch (error) {
          const doubtful = asked && kind === 'write';
          if (doubtful || !isTransient(error) || call.signal.aborted)
            throw zookeeperError(operation, error, doubtful);
          await backoff.wait(call.signal);
        }
      }
    });
  }
}
