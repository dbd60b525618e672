import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ConsulStoreOptions, consulStore, type Datastore } from '../../../src/datastore/index.ts';
import { datastoreContract } from '../../../src/testing/datastore.ts';
import { ConsulDouble } from '../../support/consul.ts';
import { eventually } from '../../support/daemon.ts';
import { proxied } from '../../support/proxied.ts';

let server: ConsulDouble;
let count = 0;
const contracts = proxied(
  () => server.port,
  (port, place) =>
    consulStore({ endpoints: `http://127.0.0.1:${port}`, prefix: `${place} /`, timeoutMs: 5_000 }),
);

beforeAll(async () => {
  server = await ConsulDouble.start();
});
afterAll(async () => {
  await contracts.close();
  await server.stop();
});

datastoreContract({
  name: "Consul's API",
  ...contracts,
  shortestLeaseMs: 10_000,
  deviations: { 'latest-only': 'a blocking query answers with what there is, not with what happened' },
});

describe('the Consul store', () => {
  const stores: Datastore[] = [];
  const connect = async (options: Partial<ConsulStoreOptions> = {}): Promise<Datastore> => {
    const store = await consulStore({
      endpoints: server.endpoint,
      prefix: `own ${++count}/`,
      timeoutMs: 1_000,
      ...options,
    });
    stores.push(store);
    return store;
  };
  afterEach(async () => {
    server.leaderless = false;
    for (const store of stores.splice(0)) await store.close();
  });

  it.each([
    [{ endpoints: [] }, 'endpoints'],
    [{ endpoints: 'localhost' }, 'endpoints'],
    [{ endpoints: 'http://a:1', tls: {} }, 'tls'],
    [{ endpoints: 'http://a:1', timeoutMs: -1 }, 'timeoutMs'],
    [{ endpoints: 'http://a:1', maxOperations: 0 }, 'maxOperations'],
  ])('refuses %j, naming the field', async (options, field) => {
    await expect(consulStore(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });

  it('keeps keys that an agent would refuse or tidy: dots, doubled slashes, endings, other scripts', async () => {
    const store = await connect({ prefix: '' });
    const keys = ['/a', 'a//b', 'a/../b', 'a.js', 'a_b', 'a b?c=d&e#f%20', 'ü/\u{1f310}', 'a/', 'A,b'];
    for (const key of keys) await store.put(key, key);
    for (const key of keys) expect((await store.get(key))?.value).toBe(key);
    expect((await store.list('a/')).map((entry) => entry.key)).toEqual(['a/', 'a/../b', 'a//b']);
    expect((await store.list('a//')).map((entry) => entry.key)).toEqual(['a//b']);
    for (const key of keys) expect(await store.delete(key)).toBe(true);
  });

  it('refuses more steps than a transaction may have, and what is too large', async () => {
    const store = await connect();
    const puts = (many: number) =>
      Array.from({ length: many }, (_, i) => ({ op: 'put', key: `${i}`, value: i, ifVersion: 0 }) as const);
    await expect(store.transaction(puts(65))).rejects.toMatchObject({ limit: 'maxOperations' });
    expect(await store.transaction(puts(64))).toHaveLength(64);
    const wrong = await connect({ maxOperations: 200 });
    await expect(wrong.transaction(puts(65))).rejects.toMatchObject({ limit: 'maxOperations' });
    await expect(store.put('large', 'x'.repeat(600_000))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      limit: 'kv_max_value_size',
    });
  });

  it('waits for a leader up to the deadline, and says UNAVAILABLE after', async () => {
    const store = await connect();
    server.leaderless = true;
    await expect(store.put('a', 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const waiting = store.put('a', 2);
    server.leaderless = false;
    expect(await waiting).toBeGreaterThan(0);
  });

  it('asks the next agent when one is gone', async () => {
    const store = await connect({ endpoints: ['http://127.0.0.1:1', server.endpoint] });
    expect(await store.put('a', 1)).toBeGreaterThan(0);
  });

  it('says FORBIDDEN where the token is not the right one, also to a watch', async () => {
    const guarded = await ConsulDouble.start({ token: 'secret' });
    const right = await connect({ endpoints: guarded.endpoint, token: 'secret' });
    await right.put('a', 1);
    const wrong = await connect({ endpoints: guarded.endpoint });
    await expect(wrong.get('a')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const next = wrong.watch('')[Symbol.asyncIterator]().next();
    await expect(next).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await guarded.stop();
  });

  it('watches on when the indexes went back, as after a restored snapshot', async () => {
    const store = await connect();
    await store.put('a', 1);
    const events = store.watch('')[Symbol.asyncIterator]();
    await store.put('b', 1);
    await events.next();
    server.rewind();
    await store.put('b', 'restored and changed');
    let event = (await events.next()).value;
    // It may tell first what the restored state holds.
    while (event?.type !== 'put' || event.entry.value === 1) event = (await events.next()).value;
    expect(event).toMatchObject({ entry: { key: 'b', value: 'restored and changed' } });
  });

  it('leaves no socket and no timer behind', async () => {
    const left = () =>
      process.getActiveResourcesInfo().filter((name) => /TCPSocket|Timeout/.test(name)).length;
    const before = left();
    const store = await connect();
    void store.watch('')[Symbol.asyncIterator]().next();
    await (await store.lease?.(60_000))?.put('a', 1);
    await store.close();
    await eventually(() => expect(left()).toBeLessThanOrEqual(before));
  });
});
