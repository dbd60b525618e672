import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Datastore, type ZookeeperStoreOptions, zookeeperStore } from '../../../src/datastore/index.ts';
import { datastoreContract } from '../../../src/testing/datastore.ts';
import { eventually } from '../../support/daemon.ts';
import { proxied } from '../../support/proxied.ts';
import { ZookeeperServer, zookeeperMissing } from '../../support/zookeeper.ts';

const named = zookeeperMissing ? `ZooKeeper (${zookeeperMissing})` : 'ZooKeeper';

describe.skipIf(zookeeperMissing)(named, () => {
  let server: ZookeeperServer;
  let count = 0;
  const contracts = proxied(
    () => server.port,
    (port, place) =>
      zookeeperStore({ servers: `127.0.0.1:${port}`, root: `/test/${place}`, timeoutMs: 5_000 }),
  );

  beforeAll(async () => {
    server = await ZookeeperServer.start();
    // The first answers of a cold JVM take their time.
    const first = await zookeeperStore({ servers: server.servers, root: '/first' });
    await eventually(() => first.put('a', 1));
    await first.close();
  }, 120_000);
  afterAll(async () => {
    await contracts.close();
    await server?.stop();
  });

  datastoreContract({
    name: 'ZooKeeper',
    ...contracts,
    shortestLeaseMs: 2_000,
    deviations: { 'latest-only': 'its watches fire once and say only that something changed' },
  });

  describe('the ZooKeeper store', () => {
    const stores: Datastore[] = [];
    const connect = async (options: Partial<ZookeeperStoreOptions> = {}): Promise<Datastore> => {
      const store = await zookeeperStore({
        servers: server.servers,
        root: `/own/n${++count}`,
        timeoutMs: 5_000,
        ...options,
      });
      stores.push(store);
      return store;
    };
    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close();
    });

    it.each([
      [{ servers: 'localhost' }, 'servers'],
      [{ servers: 'a:1/chroot' }, 'servers'],
      [{ servers: 'a:1', root: '/' }, 'root'],
      [{ servers: 'a:1', root: '/a/../b' }, 'root'],
      [{ servers: 'a:1', timeoutMs: 0 }, 'timeoutMs'],
      [{ servers: 'a:1', maxBytes: 1 }, 'maxBytes'],
      [{ servers: 'a:1', auth: { username: 'a:b', password: '' } }, 'auth.username'],
    ])('refuses %j, naming the field', async (options, field) => {
      await expect(zookeeperStore(options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
    });

    it('refuses a version from before a key was made anew, also when the node counts the same', async () => {
      const [one, two] = [await connect({ root: '/own/aba' }), await connect({ root: '/own/aba' })];
      const version = await one.put('key', 'old');
      for (let i = 0; i < 5; i++) {
        await two.delete('key');
        await two.put('key', `new ${i}`);
        await expect(one.put('key', 'late', { ifVersion: version })).rejects.toMatchObject({
          code: 'CONFLICT',
        });
      }
    });

    it('refuses a write that is larger than the servers take', async () => {
      const store = await connect();
      const refused = store.put('large', 'x'.repeat(1_100_000));
      await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', limit: 'maxBytes' });
      await store.put('smaller', 'x'.repeat(800_000));
    });

    it('keeps what it writes for its user alone', async () => {
      const auth = { username: 'host', password: 'word' };
      const mine = await connect({ root: '/own/guarded', auth });
      await mine.put('a', 1);
      expect((await mine.get('a'))?.value).toBe(1);
      const other = await connect({ root: '/own/guarded' });
      await expect(other.get('a')).rejects.toMatchObject({ code: 'FORBIDDEN' });
      await expect(other.put('a', 2)).rejects.toMatchObject({ code: 'FORBIDDEN' });
      const next = other.watch('')[Symbol.asyncIterator]().next();
      await expect(next).rejects.toMatchObject({ code: 'FORBIDDEN' });
    });

    it('leaves no socket and no timer behind', async () => {
      const left = () =>
        process.getActiveResourcesInfo().filter((name) => /TCPSocket|Timeout/.test(name)).length;
      const before = left();
      const store = await connect();
      void store.watch('')[Symbol.asyncIterator]().next();
      await (await store.lease?.(60_000))?.put('a', 1);
      expect(left()).toBeGreaterThan(before);
      await store.close();
      await eventually(() => expect(left()).toBeLessThanOrEqual(before));
    }, 90_000);

    it('refuses with UNAVAILABLE while the server is dead, and goes on with what it had', async () => {
      const store = await connect({ timeoutMs: 500 });
      await eventually(() => store.put('a', 1));
      const events = store.watch('')[Symbol.asyncIterator]();
      await eventually(() => store.list(''));
      await server.kill();
      const refused = await Promise.allSettled([store.get('a'), store.put('a', 2), store.lease?.(5_000)]);
      await server.run();
      for (const outcome of refused) expect(outcome).toMatchObject({ reason: { code: 'UNAVAILABLE' } });
      expect((await eventually(() => store.get('a')))?.value).toBe(1);
      await eventually(() => store.put('b', 1));
      expect((await events.next()).value).toMatchObject({ type: 'put', entry: { key: 'b' } });
    }, 120_000);

    it('gives up on a frozen server at the deadline, and writes nothing late', async () => {
      const store = await connect({ timeoutMs: 500 });
      await eventually(() => store.put('a', 1));
      await server.pause();
      const refused = await Promise.allSettled([store.get('a'), store.put('b', 2), store.list('')]);
      // What is asked for after the connection was given up must not reach the server when it thaws.
      const late = await Promise.allSettled([store.put('late', 1)]);
      server.resume();
      for (const outcome of [...refused, ...late])
        expect(outcome).toMatchObject({ reason: { code: 'UNAVAILABLE' } });
      await eventually(() => store.put('c', 1));
      expect(await store.get('late')).toBeUndefined();
    }, 120_000);
  });
});
