/** A daemon, on the fake kernel, and a store of its cluster that asks for certificates, a user and a password. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';
import { hasProgram } from '../../support/daemon.ts';
import { type DaemonOptions, isBuilt, withDaemon } from '../../support/dnet.ts';
import { EtcdServer, etcdMissing } from '../../support/etcd.ts';

const obstacle =
  etcdMissing ??
  (hasProgram('openssl') ? undefined : 'the program openssl is missing') ??
  (isBuilt ? '' : 'not built: npm run build');
const PASSWORD = 'open-sesame';

describe.skipIf(obstacle !== '')(`a store with certificates and users ${obstacle}`, () => {
  let files: Certificates;
  let server: EtcdServer;
  let directory: string;
  let passwordFile: string;

  beforeAll(async () => {
    files = await makeCertificates();
    directory = await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-password-`));
    passwordFile = join(directory, 'password');
    await writeFile(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
    server = await EtcdServer.start({ tls: files });
    const client = server.client();
    try {
      for (const name of ['root', 'dnet']) {
        const user = client.user(name);
        await user.create(PASSWORD);
        if (name === 'root') await user.addRole('root');
      }
      const role = client.role('ours');
      await role.create();
      await role.grant({ permission: 'Readwrite', range: client.range({ prefix: 'ours/' }) });
      await client.user('dnet').addRole('ours');
      await client.auth.authEnable();
    } finally {
      client.close();
    }
  });
  afterAll(async () => {
    await server?.stop();
    await files?.remove();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  const withStore = (more: Pick<DaemonOptions, 'env'> & { settings?: object }): DaemonOptions => ({
    ...more,
    settings: {
      clusterStore: `${server.endpoint(0).replace('https', 'etcds')}/ours`,
      clusterAdvertise: '192.0.2.1',
      clusterHost: 'h1',
      clusterStoreCaCert: files.ca,
      clusterStoreCert: files.cert,
      clusterStoreKey: files.key,
      clusterStoreUser: 'dnet',
      ...more.settings,
    },
  });

  it('is used with the settings’ certificates and user, and a password of a file or the environment', async () => {
    for (const more of [
      { settings: { clusterStorePasswordFile: passwordFile } },
      { env: { DNET_CLUSTER_STORE_PASSWORD: PASSWORD } },
    ])
      await withDaemon(withStore(more), async (daemon) => {
        const { stdout } = await daemon.dnet('host', 'ls', '--format', '{{.Id}} {{.Address}} {{.Live}}');
        expect(stdout).toBe('h1 192.0.2.1 true\n');
        const shown = await daemon.dnet('inspect');
        expect(daemon.log() + shown.stdout).not.toContain(PASSWORD);
      });
  });

  it.each([
    ['a wrong password', '/ours', 'wrong'],
    ['keys that are not the user’s', '/theirs', PASSWORD],
  ])('keeps the daemon from starting with %s', async (_what, path, password) => {
    const clusterStore = `${server.endpoint(0).replace('https', 'etcds')}${path}`;
    const options = withStore({
      settings: { clusterStore },
      env: { DNET_CLUSTER_STORE_PASSWORD: password },
    });
    const refused = withDaemon(options, async () => undefined);
    await expect(refused).rejects.toThrow(/dnet: etcd refuses get /);
  });
});
