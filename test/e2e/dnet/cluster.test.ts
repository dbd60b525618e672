/** Two hosts with a daemon each, and a real etcd: what an operator does with networks over both. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../../../examples/hosts/lab.ts';
import { eventually, hasProgram } from '../../support/daemon.ts';
import { type Daemon, dockerClients, isBuilt, program, run, startDaemon } from '../../support/dnet.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';

const obstacle = !canUseKernel
  ? whyNot
  : !hasProgram('etcd')
    ? 'the program etcd (Debian: etcd-server) is missing'
    : !hasProgram('busybox')
      ? 'the program busybox (Debian: busybox-static) is missing'
      : isBuilt
        ? ''
        : 'not built: npm run build';

describe.skipIf(obstacle !== '')(`two daemons of one cluster ${obstacle}`, () => {
  let lab: Lab;
  let one: Daemon;
  let two: Daemon;

  const flagsOf = (address: string, name: string): string[] => {
    const store = `${lab.etcdUrl.replace(/^http/, 'etcd')}/lab`;
    return ['--cluster-store', store, '--cluster-advertise', address, '--cluster-host', name];
  };
  /** A daemon on a host of the lab; its sandboxes are where the lab takes them away. */
  const open = async (i: number, advertised?: string): Promise<Daemon> => {
    const { name, address, namespace } = lab.host(i);
    const directory = join(lab.directory, name);
    await mkdir(directory, { recursive: true });
    const flags = [...flagsOf(advertised ?? address, name), '--no-predefined'];
    // So that the test does not wait long for a store that is away.
    return startDaemon(directory, namespace, { flags, settings: { clusterTimeoutMs: 1_000 } });
  };
  /** What a command prints; the test fails where it does. */
  const done = async (daemon: Daemon, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await daemon.dnet(...args);
    expect([args, code, stderr]).toEqual([args, 0, expect.anything()]);
    return stdout.trim();
  };
  const networksOf = async (daemon: Daemon): Promise<string[]> =>
    (await done(daemon, 'network', 'ls', '--format', '{{.Name}}')).split('\n');
  /** Of the endpoint that `network connect` makes, which has the container's name. */
  const addressOf = async (daemon: Daemon, container: string): Promise<string> =>
    (await done(daemon, 'endpoint', 'inspect', 'front', container, '--format', '{{.ipv4}}')).replace(
      /\/.*/,
      '',
    );
  const runContainer = async (daemon: Daemon, container: string): Promise<string> => {
    await done(daemon, 'sandbox', 'create', container);
    await done(daemon, 'network', 'connect', 'front', container);
    return addressOf(daemon, container);
  };
  const pings = (daemon: Daemon, container: string, address: string): Promise<void> =>
    eventually(async () => {
      const ping = ['busybox', 'ping', '-c', '1', '-W', '1', address];
      const { code, stdout, stderr } = await daemon.dnet('sandbox', 'exec', container, '--', ...ping);
      expect([code, stdout + stderr]).toEqual([0, expect.stringContaining('1 packets received')]);
    });

  beforeAll(async () => {
    lab = await Lab.open({ hosts: 2 });
    [one, two] = await Promise.all([open(0), open(1, 'eth0')]);
  });
  afterAll(async () => {
    await Promise.all([one?.kill(), two?.kill()]);
    await lab?.close();
  });

  it('each shows both hosts, and which it is itself', async () => {
    await eventually(async () => {
      const lines = (await done(two, 'host', 'ls')).split('\n').map((line) => line.split(/ {2,}/));
      expect(lines).toEqual([
        ['HOST', 'ADDRESS', 'STATUS'],
        ['h1', '192.0.2.1', 'live'],
        ['h2 (this one)', '192.0.2.2', 'live'],
      ]);
    });
    expect(await done(one, 'doctor')).toMatch(/^ok +cluster: 2 of 2 hosts live$/m);
  });

  it('a network that Docker’s client makes at one is at the other, and containers reach each other in it', async () => {
    const [docker] = dockerClients;
    if (docker) {
      const { code, stderr } = await run(docker, [
        ...['-H', one.host, 'network', 'create', '-d', 'overlay', 'front'],
      ]);
      expect([code, stderr]).toEqual([0, '']);
    } else await done(one, 'network', 'create', '-d', 'overlay', 'front');
    await eventually(async () => expect(await networksOf(two)).toContain('front'));
    const [first, second] = await Promise.all([runContainer(one, 'web'), runContainer(two, 'db')]);
    expect(first).not.toBe(second);
    await pings(one, 'web', second);
    await pings(two, 'db', first);
    expect(await done(one, 'endpoint', 'ls', 'front')).toMatch(/^.*\bdb\b.*$/m);
  });

  it('a daemon that is restarted finds all of it again, and packets passed meanwhile', async () => {
    const address = await addressOf(one, 'web');
    expect(await one.stop()).toBe(0);
    await pings(two, 'db', address);
    await one.restart();
    expect(await networksOf(one)).toContain('front');
    await pings(two, 'db', address);
    expect(await done(one, 'host', 'ls')).toMatch(/h1 \(this one\) +192\.0\.2\.1 +live/);
  });

  it('encrypts and takes a new key, or says what this kernel is missing', async () => {
    const made = await one.dnet('network', 'create', '-d', 'overlay', '-o', 'encrypted', 'secret');
    if (made.code === 0) {
      expect(await done(two, 'keys', 'rotate')).toBe('');
      await done(one, 'network', 'rm', 'secret');
      return;
    }
    expect([made.code, made.stderr]).toEqual([8, expect.stringMatching(/modprobe esp4/)]);
    expect(await networksOf(one)).not.toContain('secret');
    const { code, stderr } = await one.dnet('keys', 'rotate');
    expect([code, stderr]).toEqual([3, expect.stringContaining('no network of this cluster is encrypted')]);
  });

  it('without the store containers go on, and what needs it says so and what to do', async () => {
    const [web, db] = await Promise.all([addressOf(one, 'web'), addressOf(two, 'db')]);
    await lab.killEtcd();
    await one.stop();
    const [refused, hosts, doctor] = await Promise.all([
      two.dnet('network', 'create', '-d', 'overlay', 'late'),
      two.dnet('host', 'ls'),
      two.dnet('doctor'),
      pings(two, 'db', web),
      one.restart(),
    ]);
    const step = /etcd .*Next: see whether its servers run and can be reached from here/;
    expect([refused.code, refused.stderr]).toEqual([6, expect.stringMatching(step)]);
    expect([hosts.code, hosts.stderr]).toEqual([6, expect.stringMatching(step)]);
    expect(doctor.stdout).toMatch(/^failure +cluster: .*\n +see whether the store runs/m);
    expect(one.log()).toMatch(/store etcd:\S+ does not answer: see whether it runs/);
    const [networks] = await Promise.all([networksOf(one), pings(one, 'web', db)]);
    expect(networks).toContain('front');
    await lab.startEtcd();
    await eventually(() => done(one, 'network', 'create', '-d', 'overlay', 'late'));
    await eventually(async () => expect(await networksOf(two)).toContain('late'));
  });

  it('a network that is deleted at one is gone at the other, once nothing is in it', async () => {
    const early = await one.dnet('network', 'rm', 'front');
    expect([early.code, early.stderr]).toEqual([5, expect.stringMatching(/db \(on host h2\)|web/)]);
    await done(one, 'sandbox', 'rm', 'web');
    await done(two, 'sandbox', 'rm', 'db');
    await done(one, 'network', 'rm', 'front', 'late');
    await eventually(async () => expect(await networksOf(two)).not.toContain('front'));
  });

  it('settings that can’t be are refused by name, and secrets are not told', async () => {
    const secret = join(lab.directory, 'secret');
    await writeFile(secret, 'hunter2\n');
    const store = ['--cluster-store', 'etcd://127.0.0.1:1'];
    const start = (flags: readonly string[], env: NodeJS.ProcessEnv = {}) => {
      const at = ['--host', `unix://${lab.directory}/s`, '--data-dir', join(lab.directory, 'no')];
      return run(process.execPath, [program, 'daemon', ...at, ...flags], { env });
    };
    const cases: readonly (readonly [readonly string[], NodeJS.ProcessEnv, RegExp])[] = [
      [['--cluster-store', 'http://127.0.0.1:2379'], {}, /clusterStore: must be like etcd:/],
      [['--cluster-store', 'etcd://root:hunter2@127.0.0.1:1'], {}, /clusterStore: users and passwords/],
      [[...store, '--cluster-advertise', '192.0.2.77'], {}, /clusterAdvertise: must be an address of this/],
      [[...store, '--cluster-advertise', '127.0.0.1'], {}, /clusterAdvertise: must be an address of this/],
      [['--cluster-advertise', '192.0.2.1'], {}, /clusterAdvertise: needs clusterStore/],
      [store, { DNET_CLUSTER_STORE_PASSWORD: 'hunter2' }, /clusterStoreUser: needs/],
      [store, { DNET_CLUSTER_STORE_PASSWORD_FILE: secret }, /clusterStoreUser: needs/],
      [store, { DNET_CLUSTER_STORE_CA_CERT: secret }, /clusterStore: with certificates must be etcds/],
    ];
    const ran = await Promise.all(cases.map(([flags, env]) => start(flags, env)));
    for (const [i, { code, stdout, stderr }] of ran.entries()) {
      expect([code, stderr]).toEqual([2, expect.stringMatching(cases[i]?.[2] as RegExp)]);
      expect(stdout + stderr).not.toContain('hunter2');
    }
  });
});
