import { afterAll, beforeAll, describe } from 'vitest';
import { etcdStore } from '../../../src/datastore/index.ts';
import { datastoreContract } from '../../../src/testing/datastore.ts';
import { EtcdServer, etcdMissing } from '../../support/etcd.ts';
import { proxied } from '../../support/proxied.ts';

describe.skipIf(etcdMissing)(etcdMissing ? `etcd (${etcdMissing})` : 'etcd', () => {
  let server: EtcdServer;
  const stores = proxied(
    () => server.port(),
    (port, place) =>
      etcdStore({ endpoints: [`http://127.0.0.1:${port}`], prefix: `${place} /`, timeoutMs: 5_000 }),
  );

  beforeAll(async () => {
    server = await EtcdServer.start();
  }, 90_000);
  afterAll(async () => {
    await stores.close();
    await server?.stop();
  });

  // Everything in one etcd: each store has a prefix of its own.
  datastoreContract({
    name: 'etcd',
    ...stores,
    forget: () => server.compact(),
    shortestLeaseMs: 2_000,
  });
});
