import { afterAll, beforeAll, describe } from 'vitest';
import { type Datastore, etcdStore } from '../../../src/datastore/index.ts';
import { datastoreContract } from '../../../src/testing/datastore.ts';
import { EtcdServer, etcdMissing } from '../../support/etcd.ts';

describe.skipIf(etcdMissing)(etcdMissing ? `etcd (${etcdMissing})` : 'etcd', () => {
  let server: EtcdServer;
  let count = 0;
  const prefixes = new WeakMap<Datastore, string>();

  async function open(prefix: string): Promise<Datastore> {
    const store = await etcdStore({ endpoints: server.endpoints, prefix });
    prefixes.set(store, prefix);
    return store;
  }

  beforeAll(async () => {
    server = await EtcdServer.start();
  }, 90_000);
  afterAll(() => server?.stop());

  // Everything in one etcd: each store has a prefix of its own.
  datastoreContract({
    name: 'etcd',
    open: () => open(`test ${++count}/`),
    reopen: (closed) => open(prefixes.get(closed) ?? ''),
  });
});
