import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Datastore, type EtcdStoreOptions, etcdStore } from '../../../src/datastore/index.ts';
import { loadPeer } from '../../../src/datastore/peer.ts';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';
import { eventually, hasProgram } from '../../support/daemon.ts';
import { EtcdServer, etcdMissing } from '../../support/etcd.ts';

const missing = etcdMissing ?? (hasProgram('openssl') ? undefined : 'the program openssl is missing');
const named = (what: string) => (missing ? `${what} (${missing})` : what);

const stores: Datastore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

async function open(options: EtcdStoreOptions): Promise<Datastore> {
  const store = await etcdStore({ timeoutMs: 3_000, ...options });
  stores.push(store);
  return store;
}

describe('options of the etcd store', () => {
  it.each([
    [{ endpoints: [] }, 'endpoints'],
    [{ endpoints: 'localhost' }, 'endpoints'],
    [{ endpoints: ['http://a:1', 'https://b:1'] }, 'endpoints'],
    [{ endpoints: 'http://a:1', tls: {} }, 'tls'],
    [{ endpoints: 'https://a:1', tls: { cert: 'x' } }, 'tls'],
    [{ endpoints: 'http://a:1', timeoutMs: 0 }, 'timeoutMs'],
    [{ endpoints: 'http://a:1', maxOperations: 0.5 }, 'maxOperations'],
    [{ endpoints: 'http://a:1', prefix: 'a\0' }, 'prefix'],
  ])('refuses %j, naming the field', async (options, field) => {
    await expect(etcdStore(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });

  it('says how to install a package that is missing', async () => {
    const name = 'a-package-that-nobody-has';
    const refused = loadPeer('etcdStore', name, () => import(name));
    await expect(refused).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `etcdStore needs the package ${name}, which is not installed: npm install ${name} (with --global where libnetwork is so)`,
    });
  });
});

describe.skipIf(missing)(named('limits of etcd'), () => {
  let server: EtcdServer;
  beforeAll(async () => {
    server = await EtcdServer.start();
  }, 90_000);
  afterAll(() => server?.stop());

  it('refuses more operations than a transaction may have, and takes as many as it may', async () => {
    const store = await open({ endpoints: server.endpoints, prefix: 'limits/' });
    const puts = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ op: 'put', key: `${i}`, value: i, ifVersion: 0 }) as const);
    await expect(store.transaction(puts(129))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      limit: 'maxOperations',
    });
    expect(await store.list('')).toEqual([]);
    expect(await store.transaction(puts(128))).toHaveLength(128);
    const wrong = await open({ endpoints: server.endpoints, prefix: 'wrong/', maxOperations: 1_000 });
    await expect(wrong.transaction(puts(129))).rejects.toMatchObject({ limit: 'maxOperations' });
  });

  it('refuses a value that is too large for etcd', async () => {
    const store = await open({ endpoints: server.endpoints });
    await expect(store.put('large', 'x'.repeat(2_000_000))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      limit: 'max-request-bytes',
    });
  });

  it('lists more than one page, and more bytes than gRPC takes in one message by default', async () => {
    const store = await open({ endpoints: server.endpoints, prefix: 'many/' });
    const text = 'x'.repeat(2_500);
    for (let i = 0; i < 2_432; i += 128)
      await store.transaction(
        Array.from({ length: 128 }, (_, j) => ({
          op: 'put',
          key: String(i + j).padStart(4, '0'),
          value: text,
        })),
      );
    const entries = await store.list('');
    expect(entries.map((entry) => Number(entry.key))).toEqual(Array.from({ length: 2_432 }, (_, i) => i));
  }, 60_000);

  it('says which key holds what another program wrote', async () => {
    const client = server.client();
    await client.put('foreign/key').value('no json');
    client.close();
    const store = await open({ endpoints: server.endpoints });
    await expect(store.get('foreign/key')).rejects.toMatchObject({ code: 'INTERNAL', field: 'foreign/key' });
  });

  it('leaves no socket and no timer behind', async () => {
    const count = () =>
      process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name)).length;
    const before = count();
    const store = await etcdStore({ endpoints: server.endpoints, prefix: 'leaks/' });
    void store.watch('')[Symbol.asyncIterator]().next();
    const lease = await store.lease?.(60_000);
    await lease?.put('a', 1);
    expect(count()).toBeGreaterThan(before);
    await store.close();
    await eventually(() => expect(count()).toBeLessThanOrEqual(before));
  }, 90_000);
});

describe.skipIf(missing)(named('etcd behind TLS'), () => {
  let server: EtcdServer;
  let files: Certificates;
  let other: Certificates;
  beforeAll(async () => {
    [files, other] = await Promise.all([makeCertificates(), makeCertificates()]);
    server = await EtcdServer.start({ tls: files });
  }, 90_000);
  afterAll(async () => {
    await server?.stop();
    await files?.remove();
    await other?.remove();
  });
  const pem = ({ ca, cert, key }: Certificates) => ({
    ca: readFileSync(ca),
    cert: readFileSync(cert, 'utf8'),
    key: readFileSync(key, 'utf8'),
  });

  it('works with the certificates of the cluster', async () => {
    const store = await open({ endpoints: server.endpoints, tls: pem(files) });
    await store.put('a', 1);
    expect((await store.get('a'))?.value).toBe(1);
  });

  it.each([
    ['another authority', () => ({ ...pem(files), ca: readFileSync(other.ca) })],
    ['a client certificate of another authority', () => ({ ...pem(other), ca: readFileSync(files.ca) })],
    ['no client certificate', () => ({ ca: readFileSync(files.ca) })],
  ])('does not with %s', async (_what, tls) => {
    const store = await open({ endpoints: server.endpoints, tls: tls(), timeoutMs: 1_000 });
    await expect(store.get('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe.skipIf(missing)(named('etcd with users'), () => {
  let server: EtcdServer;
  beforeAll(async () => {
    server = await EtcdServer.start();
    const client = server.client();
    try {
      const root = client.user('root');
      await root.create('secret');
      await root.addRole('root');
      const role = client.role('ours');
      await role.create();
      await role.grant({ permission: 'Readwrite', range: client.range({ prefix: 'ours/' }) });
      const user = client.user('host');
      await user.create('word');
      await user.addRole('ours');
      await client.auth.authEnable();
    } finally {
      client.close();
    }
  }, 90_000);
  afterAll(() => server?.stop());

  it('lets a user read, write, watch and lease where its role may', async () => {
    const auth = { username: 'host', password: 'word' };
    const store = await open({ endpoints: server.endpoints, prefix: 'ours/', auth });
    const events = store.watch('')[Symbol.asyncIterator]();
    const lease = await store.lease?.(60_000);
    await lease?.put('a', 1);
    expect((await events.next()).value).toMatchObject({ entry: { key: 'a', value: 1 } });
    await lease?.release();
    expect((await events.next()).value).toEqual({ type: 'delete', key: 'a' });
  });

  it.each([
    ['elsewhere', { username: 'host', password: 'word' }, 'theirs/'],
    ['with a wrong password', { username: 'host', password: 'wrong' }, 'ours/'],
    ['without a name', undefined, 'ours/'],
  ])('refuses with FORBIDDEN %s', async (_where, auth, prefix) => {
    const store = await open({ endpoints: server.endpoints, prefix, auth });
    await expect(store.put('a', 1)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(store.list('')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const events = store.watch('')[Symbol.asyncIterator]();
    await expect(events.next()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});
