/**
 * One controller as a process of its own. Its global store is with its parent, or in etcd where endpoints are given;
 * the parent hears of every address that it gets, and of every one before it gives it back.
 */
import type { Datastore, Lease } from '../../src/datastore/datastore.ts';
import { etcdStore } from '../../src/datastore/etcd/index.ts';
import { LibnetworkError } from '../../src/errors.ts';
import { createIpam } from '../../src/ipam/index.ts';

export interface Call {
  readonly type: 'call';
  readonly id: number;
  readonly method: 'get' | 'put' | 'delete' | 'list' | 'transaction' | 'lease' | 'leasePut';
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly code?: LibnetworkError['code'];
}

export interface Note {
  readonly type: 'got' | 'gives back';
  readonly address: string;
  /** When it was said, in nanoseconds of the machine's clock: notes of two processes may arrive in another order. */
  readonly at: string;
}

const waiting = new Map<number, (answer: Answer) => void>();
let calls = 0;

function send(message: Call | Note): void {
  process.send?.(message);
}

function note(type: Note['type'], address: string): void {
  send({ type, address, at: `${process.hrtime.bigint()}` });
}

async function call<T>(method: Call['method'], ...args: readonly unknown[]): Promise<T> {
  calls++;
  const id = calls;
  const answer = await new Promise<Answer>((resolve) => {
    waiting.set(id, resolve);
    send({ type: 'call', id, method, args });
  });
  if (answer.code !== undefined) throw new LibnetworkError(answer.code, `the store refused ${method}`);
  return answer.value as T;
}

const parentStore: Datastore = {
  scope: 'global',
  get: (key) => call('get', key),
  put: (key, value, options) => call('put', key, value, { ifVersion: options?.ifVersion }),
  delete: (key, options) => call('delete', key, { ifVersion: options?.ifVersion }),
  list: (prefix) => call('list', prefix),
  transaction: (operations) => call('transaction', operations),
  watch: () => {
    throw new LibnetworkError('NOT_IMPLEMENTED', 'nothing is watched here');
  },
  lease: async (ttlMs): Promise<Lease> => {
    await call('lease', ttlMs);
    return {
      lost: new AbortController().signal,
      put: (key, value) => call('leasePut', key, value),
      release: async () => undefined,
    };
  },
  close: async () => undefined,
};

async function work(host: string, poolId: string, store: Datastore, leaseMs: number): Promise<void> {
  const ipam = createIpam({ globalStore: store, hostId: host, leaseMs, reuseDelayMs: 5 });
  const held: string[] = [];
  for (;;) {
    try {
      if (held.length > Math.random() * 60) {
        const [address] = held.splice(Math.floor(Math.random() * held.length), 1);
        note('gives back', address ?? '');
        await ipam.releaseAddress(poolId, address ?? '');
      } else {
        const { address } = await ipam.requestAddress({ poolId });
        note('got', address);
        held.push(address);
      }
    } catch (error) {
      // A full pool, and a page that all others want, too, are what this is about.
      if (!LibnetworkError.is(error, 'UNAVAILABLE') && !LibnetworkError.is(error, 'CONFLICT')) throw error;
    }
  }
}

process.on('message', (answer: Answer) => {
  waiting.get(answer.id)?.(answer);
  waiting.delete(answer.id);
});
process.on('disconnect', () => process.exit());
const [host = '', poolId = '', leaseMs = '300', endpoints] = process.argv.slice(2);
const store = endpoints === undefined ? parentStore : await etcdStore({ endpoints: endpoints.split(',') });
await work(host, poolId, store, Number(leaseMs));
