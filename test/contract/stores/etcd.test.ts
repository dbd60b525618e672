import { afterAll, beforeAll, describe } from 'vitest';
import { type Datastore, etcdStore } from '../../../src/datastore/index.ts';
import { datastoreContract } from '../../../src/testing/datastore.ts';
import { EtcdServer, etcdMissing } from '../../support/etcd.ts';
import { TcpProxy } from '../../support/tcpproxy.ts';

describe.skipIf(etcdMissing)(etcdMissing ? `etcd (${etcdMissing})` : 'etcd', () => {
  let server: EtcdServer;
  let count = 0;
  const opened = new WeakMap<Datastore, { readonly prefix: string; readonly proxy: TcpProxy }>();
  const proxies: TcpProxy[] = [];

  async function open(prefix: string): Promise<Datastore> {
    const proxy = await TcpProxy.to(server.port());
    proxies.push(proxy);
    const endpoints = [`http://127.0.0.1:${proxy.port}`];
    const store = await etcdStore({ endpoints, prefix, timeoutMs: 5_000 });
    opened.set(store, { prefix, proxy });
    return store;
  }
  const prefixOf = (store: Datastore) => opened.get(store)?.prefix ?? '';

  beforeAll(async () => {
    server = await EtcdServer.start();
  }, 90_000);
  afterAll(async () => {
    for (const proxy of proxies) await proxy.close();
    await server?.stop();
  });

  // Everything in one etcd: each store has a prefix of its own.
  datastoreContract({
    name: 'etcd',
    open: () => open(`test ${++count}/`),
    reopen: (closed) => open(prefixOf(closed)),
    sibling: (store) => open(prefixOf(store)),
    cut: async (store) => {
      opened.get(store)?.proxy.cut();
      return () => opened.get(store)?.proxy.heal();
    },
    forget: () => server.compact(),
    shortestLeaseMs: 2_000,
  });
});
