/** Two daemons on fake kernels, which have IPsec as the real one may not, and a real etcd: keys that both replace. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { etcdStore } from '../../../src/datastore/index.ts';
import { keysKey } from '../../../src/globalscope/shapes.ts';
import { eventually } from '../../support/daemon.ts';
import { type Daemon, isBuilt, withDaemon } from '../../support/dnet.ts';
import { EtcdServer, etcdMissing } from '../../support/etcd.ts';

const obstacle = etcdMissing ?? (isBuilt ? '' : 'not built: npm run build');

/** What the hosts share: the generations of keys by number, and which of them is sent with. */
interface SharedKeys {
  readonly generations: readonly { readonly id: number; readonly secret: string }[];
  readonly sending: number;
}

describe.skipIf(obstacle !== '')(`the keys of encrypted networks ${obstacle}`, () => {
  let server: EtcdServer;
  beforeAll(async () => {
    server = await EtcdServer.start();
  });
  afterAll(() => server?.stop());

  const settingsOf = (host: string, address: string) => ({
    clusterStore: server.endpoint(0).replace('http', 'etcd'),
    clusterAdvertise: address,
    clusterHost: host,
    predefined: false,
  });
  const onTwoHosts = (act: (one: Daemon, two: Daemon) => Promise<void>): Promise<void> =>
    withDaemon({ settings: settingsOf('h1', '192.0.2.1') }, (one) =>
      withDaemon({ settings: settingsOf('h2', '192.0.2.2') }, (two) => act(one, two)),
    );
  const sharedKeys = async (): Promise<SharedKeys> => {
    const store = await etcdStore({ endpoints: server.endpoints });
    try {
      return (await store.get(keysKey))?.value as SharedKeys;
    } finally {
      await store.close();
    }
  };
  const done = async (daemon: Daemon, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await daemon.dnet(...args);
    expect([args, code, stderr]).toEqual([args, 0, expect.anything()]);
    return stdout.trim();
  };

  it('are replaced by a command to one daemon, when all use the new one, and what is made stays', async () => {
    await onTwoHosts(async (one, two) => {
      await done(one, 'network', 'create', '-d', 'overlay', '-o', 'encrypted', 'secret');
      await eventually(async () => expect(await done(two, 'network', 'ls')).toContain('secret'));
      for (const [daemon, container] of [
        [one, 'web'],
        [two, 'db'],
      ] as const) {
        await done(daemon, 'sandbox', 'create', container);
        await done(daemon, 'network', 'connect', 'secret', container);
      }
      const before = await sharedKeys();
      expect(before.generations.map(({ id }) => id)).toEqual([before.sending]);
      expect(await done(two, 'keys', 'rotate')).toBe('');
      const after = await sharedKeys();
      expect(after.sending).toBe(before.sending + 1);
      expect(after.generations.at(-1)?.secret).not.toBe(before.generations[0]?.secret);
      // The old one goes when no packet under it can be on its way any more.
      await eventually(async () =>
        expect((await sharedKeys()).generations.map(({ id }) => id)).toEqual([after.sending]),
      );
      for (const [daemon, container] of [
        [one, 'web'],
        [two, 'db'],
      ] as const) {
        const { missing, orphaned } = JSON.parse(
          await done(daemon, 'reconcile', '--dry-run', '--format', 'json'),
        );
        expect([missing, orphaned]).toEqual([[], []]);
        await done(daemon, 'sandbox', 'rm', container);
      }
      await done(one, 'network', 'rm', 'secret');
    });
  });
});
