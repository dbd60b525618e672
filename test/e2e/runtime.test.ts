/** The runtime of `examples/runtime` with real containers of `runc`, on a host that is a namespace of this test. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpGet } from '../../examples/demo/web.ts';
import { House, type Seen } from '../../examples/runtime/house.ts';
import { instanceOf, WAYS } from '../../examples/runtime/runtime.ts';
import type { Namespace } from '../../src/osl/osl.ts';
import { bound } from '../support/bound.ts';
import { eventually } from '../support/daemon.ts';
import { withTestHost } from '../support/kernel.ts';
import { obstacleToContainers } from '../support/runc.ts';
import { traces } from '../support/traces.ts';

const main = fileURLToPath(new URL('../../build/examples/runtime/main.js', import.meta.url));
const obstacle = obstacleToContainers(['busybox'], main);

const serving = (name: string) => [
  ...['sh', '-c'],
  `mkdir /tmp/www && echo hello from ${name} > /tmp/www/index.html && httpd -f -p 80 -h /tmp/www; echo ended`,
];
const plain = (cidr: string | undefined): string => cidr?.split('/')[0] ?? '';

const tracesOf = (at: string) => traces(at, `libnetwork-${instanceOf(at)}`);

describe.skipIf(obstacle !== '')(`a container runtime on runc ${obstacle}`, () => {
  let host: Namespace;
  let house: House;
  let directory: string;
  let release: () => void;
  let ended: Promise<void>;

  beforeAll(async () => {
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    host = await new Promise((resolve, reject) => {
      ended = withTestHost(async (test) => {
        resolve(test.host);
        await released;
      });
      ended.catch(reject);
    });
    await host.apply([{ op: 'setLink', name: 'lo', up: true }]);
    directory = await realpath(await mkdtemp(join(tmpdir(), `libnetwork-runtime-${process.pid}-`)));
    house = houseIn(directory);
    await house.start();
    await house.ask('network', 'create', '--ipv6', 'front');
    await house.ask('network', 'create', '--ipv6', '--internal', 'back');
  });
  afterAll(async () => {
    try {
      await house?.ask('clear');
    } finally {
      await house?.kill();
      release?.();
      await ended;
      if (directory) await rm(directory, { recursive: true, force: true });
    }
  });

  const houseIn = (at: string) => new House(at, main, (...call) => host.spawn(...call));
  const run = (name: string, ...options: string[]) =>
    house.ask('run', '--name', name, ...options, '--', ...serving(name));
  const stop = (...names: string[]) =>
    Promise.all(names.map((name) => house.ask('stop', '--seconds', '0', name)));
  const get = (from: string, url: string, seconds = 5) =>
    house.exec(from, 'timeout', `${seconds}`, 'wget', '-q', '-O', '-', url);
  const fails = (from: string, url: string) => expect(get(from, url, 1)).rejects.toThrow();
  const program = (...args: string[]) => bound(process.execPath, [main, ...args]);

  it.each(WAYS)(
    'gives a container names, files, addresses and a published port: namespace by %s',
    async (way) => {
      await run('web', '--network', 'front', '--publish', '80', '--way', way);
      await run('client', '--network', 'front', '--way', way);
      const [network] = (await house.seen('web')).networks;
      await eventually(async () => expect(await get('client', 'http://web/')).toBe('hello from web\n'));
      for (const address of [plain(network?.ipv4), `[${plain(network?.ipv6)}]`])
        expect(await get('client', `http://${address}/`)).toBe('hello from web\n');
      expect(await house.exec('web', 'cat', '/etc/hosts')).toMatch(
        new RegExp(`^${plain(network?.ipv4)}\\s+web$`, 'm'),
      );
      expect(await house.exec('web', 'cat', '/etc/resolv.conf')).toContain('nameserver 127.0.0.11');
      expect(await house.exec('web', 'hostname')).toBe('web\n');
      for (const address of ['127.0.0.1', '::1'])
        expect(await httpGet(host, address, network?.ports[0]?.host ?? 0)).toBe('hello from web\n');
      await stop('web', 'client');
      expect(await house.all()).toEqual([]);
      expect((await host.links()).filter(({ kind }) => kind === 'veth')).toEqual([]);
    },
  );

  it('runs programs in a container, with their output and exit code', async () => {
    await run('web', '--network', 'front');
    const exec = promisify(execFile)(
      ...(program('--directory', directory, 'exec', 'web', 'sh', '-c', 'echo $0; exit 7') as [
        string,
        string[],
      ]),
    );
    await expect(exec).rejects.toMatchObject({ code: 7, stdout: 'sh\n' });
    await stop('web');
  });

  it('plugs a running container into a further network by a name there, and unplugs it', async () => {
    await run('db', '--network', 'back');
    await run('client', '--network', 'front');
    const { ipv4, ipv6 } = (await house.seen('db')).networks[0] ?? {};
    await fails('client', `http://${plain(ipv4)}/`);
    await fails('client', `http://[${plain(ipv6)}]/`);
    await house.ask('connect', '--alias', 'guest', 'back', 'client');
    await eventually(async () => expect(await get('client', 'http://db/')).toBe('hello from db\n'));
    expect(await get('db', 'http://guest/')).toBe('hello from client\n');
    expect(await house.exec('client', 'ip', '-o', 'link')).toContain('eth1');
    expect(await house.exec('client', 'cat', '/etc/hosts')).toContain(
      plain((await house.seen('client')).networks[1]?.ipv4),
    );
    await house.ask('disconnect', 'back', 'client');
    await fails('client', 'http://db/');
    await fails('client', `http://${plain(ipv4)}/`);
    await stop('db', 'client');
  });

  it('may be killed: containers, names, addresses and ports are the next one’s', async () => {
    for (const way of WAYS) await run(way, '--network', 'front', '--publish', '80', '--way', way);
    const before = await house.all();
    const port = (seen: Seen) => seen.networks[0]?.ports[0]?.host ?? 0;
    await house.kill();
    for (const seen of before)
      await eventually(async () =>
        expect(await httpGet(host, '127.0.0.1', port(seen))).toBe(`hello from ${seen.name}\n`),
      );
    await house.start();
    expect(await house.all()).toEqual(before);
    await run('late', '--network', 'front');
    for (const name of [...WAYS, 'late'])
      expect(await get('late', `http://${name}/`)).toBe(`hello from ${name}\n`);
    expect(await get('pid', 'http://late/')).toBe('hello from late\n');
    await stop(...WAYS, 'late');
  });

  it('knows after a restart which containers have ended meanwhile', async () => {
    await run('short', '--network', 'front', '--publish', '80');
    const { networks } = await house.seen('short');
    await house.kill();
    await house.exec('short', 'killall', 'httpd');
    await house.start();
    await eventually(async () => expect(await house.all()).toEqual([]));
    await expect(httpGet(host, '127.0.0.1', networks[0]?.ports[0]?.host ?? 0)).rejects.toThrow();
  });

  it.each(WAYS)(
    'leaves nothing of a container that can’t be started, and says why: namespace by %s',
    async (way) => {
      await run('web', '--network', 'front', '--publish', '8080:80');
      await expect(run('rival', '--network', 'front', '--publish', '8080:80', '--way', way)).rejects.toThrow(
        '8080',
      );
      await expect(run('lost', '--network', 'front', '--network', 'nowhere', '--way', way)).rejects.toThrow(
        'there is no network nowhere',
      );
      await expect(
        house.ask('run', '--name', 'none', '--network', 'front', '--way', way, '--', '/no/such/program'),
      ).rejects.toThrow('/no/such/program');
      await expect(run('web', '--network', 'front', '--way', way)).rejects.toThrow(
        'there is a container web already',
      );
      expect((await house.all()).map(({ name }) => name)).toEqual(['web']);
      expect(await readdir(join(directory, 'containers'))).toEqual(['web']);
      await stop('web');
      expect((await host.links()).filter(({ kind }) => kind === 'veth')).toEqual([]);
    },
  );

  it.each(WAYS)('takes back what it was making when it was killed: namespace by %s', async (way) => {
    for (const ms of [5, 40, 80]) {
      const making = run('half', '--network', 'front', '--publish', '80', '--way', way).catch(
        () => undefined,
      );
      await new Promise((resolve) => setTimeout(resolve, ms));
      await house.kill();
      await making;
      await house.start();
      const all = await house.all();
      // It was made, or nothing of it is there.
      if (all.length > 0) await stop('half');
      expect(await readdir(join(directory, 'containers'))).toEqual([]);
      expect((await host.links()).filter(({ kind }) => kind === 'veth')).toEqual([]);
      expect((await tracesOf(directory)).filter((trace) => !trace.includes('daemon'))).toEqual([]);
    }
  });

  it('lives beside another runtime with containers of the same names', async () => {
    const other = houseIn(
      await realpath(await mkdtemp(join(tmpdir(), `libnetwork-runtime-${process.pid}-`))),
    );
    try {
      await other.start();
      await other.ask('network', 'create', '--subnet', '10.77.0.0/24', 'front');
      await other.ask('run', '--name', 'web', '--network', 'front', '--', ...serving('the other'));
      await run('web', '--network', 'front');
      await run('client', '--network', 'front');
      await eventually(async () => expect(await get('client', 'http://web/')).toBe('hello from web\n'));
      await fails('client', 'http://10.77.0.2/');
      await other.ask('clear');
      expect(await get('client', 'http://web/')).toBe('hello from web\n');
      await stop('web', 'client');
    } finally {
      await other.kill();
      await rm(other.directory, { recursive: true, force: true });
    }
  });

  it('leaves nothing when all is cleared', async () => {
    await run('web', '--network', 'front');
    await house.ask('clear');
    await house.stop();
    expect((await host.links()).map(({ name }) => name)).toEqual(['lo']);
    expect(await tracesOf(directory)).toEqual([]);
    await house.start();
  });

  it('is shown by a demo that holds, and takes back what a killed one left', async () => {
    const demo = () => host.spawn(...program('--json', 'demo'), { stdio: ['ignore', 'pipe', 'inherit'] });
    const killed = demo();
    const left = await eventually(async () => {
      const found = (await readdir(tmpdir())).find((name) =>
        name.startsWith(`libnetwork-runtime-${killed.pid}-`),
      );
      const containers = found && (await readdir(join(tmpdir(), found, 'runc')));
      if (!containers || containers.length < 2) throw new Error('it has no two containers yet');
      return join(await realpath(tmpdir()), found);
    });
    const exit = once(killed, 'exit');
    killed.kill('SIGKILL');
    await exit;
    expect(await tracesOf(left)).not.toEqual([]);
    const held = demo();
    if (!held.stdout) throw new Error('no pipe');
    const [out, [code]] = await Promise.all([text(held.stdout), once(held, 'exit')]);
    expect(JSON.parse(out)).toMatchObject({ ok: true, leaked: [] });
    expect(code).toBe(0);
    expect(existsSync(left)).toBe(false);
    expect(await tracesOf(left)).toEqual([]);
  }, 60_000);
});
