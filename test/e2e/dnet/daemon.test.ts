/** The daemon as a service manager and an administrator see it: sockets, settings, start, stop, TLS, metrics. */
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, connectTo } from '../../../src/client/index.ts';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';
import { eventually, freePorts, hasProgram } from '../../support/daemon.ts';
import { dockerClients, isBuilt, program, run, withDaemon } from '../../support/dnet.ts';
import { NotifySocket } from '../../support/unixsockets.ts';

/** Runs `dnet daemon` where it is not to start. */
const refused = async (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
  const { code, stderr } = await run(process.execPath, [program, 'daemon', '--fake', ...args], { env });
  return { code, stderr };
};

describe.skipIf(!isBuilt)('the daemon’s socket (after npm run build)', () => {
  it('is for root and its group, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await withDaemon({}, async ({ socket }) => {
        expect((statSync(socket).mode & 0o777).toString(8)).toBe('660');
      });
    } finally {
      process.umask(before);
    }
    await withDaemon({ flags: ['--socket-mode', '0600'] }, async ({ socket }) => {
      expect((statSync(socket).mode & 0o777).toString(8)).toBe('600');
    });
  });

  it('is taken from a daemon that was killed, and not from one that lives', async () => {
    await withDaemon({}, async (daemon) => {
      const other = ['--host', daemon.host, '--data-dir', join(daemon.directory, 'other')];
      const { code, stderr } = await refused(other);
      expect([code, stderr]).toEqual([4, expect.stringContaining('a daemon listens at')]);
      await daemon.kill();
      expect(existsSync(daemon.socket)).toBe(true);
      await daemon.restart();
      expect((await daemon.ask('GET', '/health')).status).toBe(200);
    });
  });

  it('is no file of somebody else’s', async () => {
    await withDaemon({}, async ({ directory }) => {
      const file = join(directory, 'precious');
      await writeFile(file, 'precious');
      const { code, stderr } = await refused([
        '--host',
        `unix://${file}`,
        '--data-dir',
        join(directory, 'x'),
      ]);
      expect([code, stderr]).toEqual([4, expect.stringContaining('is no socket')]);
      expect(await readFile(file, 'utf8')).toBe('precious');
      const below = ['--host', `unix://${file}/dnet.sock`, '--data-dir', join(directory, 'y')];
      expect(await refused(below)).toEqual({
        code: 2,
        stderr: expect.stringMatching(/dnet: the directory of the socket .* can't be made: [^\n]*\n$/),
      });
    });
  });
});

describe.skipIf(!isBuilt)('the daemon’s settings (after npm run build)', () => {
  it('come from the file, the environment and flags, the later ones winning', async () => {
    const settings = { instance: 'file', logLevel: 'debug', predefined: false };
    const instanceOf = async (env: NodeJS.ProcessEnv, flags: readonly string[]): Promise<unknown> => {
      let instance: unknown;
      await withDaemon({ settings, env, flags }, async (daemon) => {
        instance = ((await daemon.ask('GET', '/health')).json as { instance: string }).instance;
        // Also the setting that is in the file alone holds.
        expect((await daemon.ask('GET', '/v1.41/networks')).json).toEqual([]);
      });
      return instance;
    };
    expect(await instanceOf({}, [])).toBe('file');
    expect(await instanceOf({ DNET_INSTANCE: 'environment' }, [])).toBe('environment');
    expect(await instanceOf({ DNET_INSTANCE: 'environment' }, ['--instance', 'flag'])).toBe('flag');
  });

  it('are refused by name before anything is begun', async () => {
    const directory = await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-settings-`));
    try {
      const at = ['--host', `unix://${directory}/s`, '--data-dir', join(directory, 'data')];
      const cases: readonly (readonly [readonly string[], NodeJS.ProcessEnv, RegExp])[] = [
        [['--log-level', 'loud'], {}, /logLevel/],
        [
          ['--web', '0.0.0.0:8080'],
          {},
          /web: others reach 0\.0\.0\.0:8080, .*name an address of the loopback/,
        ],
        [[], { DNET_FIREWALL: 'pf' }, /firewall/],
        [[], { DNET_CONFIG: '/nonexistent/dnet.json' }, /\/nonexistent\/dnet\.json can't be read/],
        [['--host', 'tcp://127.0.0.1:0'], {}, /tcp needs --tlscacert, --tlscert and --tlskey/],
      ];
      for (const [flags, env, words] of cases) {
        const { code, stderr } = await refused([...at, ...flags], env);
        expect([flags, env, code === 2 || code === 3, stderr]).toEqual([
          flags,
          env,
          true,
          expect.stringMatching(words),
        ]);
      }
      expect(existsSync(join(directory, 'data'))).toBe(false);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe.skipIf(!isBuilt)('the daemon under a service manager (after npm run build)', () => {
  it('takes over the socket that is open already, and leaves it there at the end', async () => {
    await withDaemon({ activated: true }, async (daemon) => {
      expect((await daemon.ask('GET', '/health')).json).toMatchObject({ status: 'ok' });
      expect((await daemon.dnet('network', 'ls')).code).toBe(0);
      expect(await daemon.stop()).toBe(0);
      // It is the service manager's, who may start the daemon again at the next connection.
      expect(existsSync(daemon.socket)).toBe(true);
      await rm(daemon.socket);
      await daemon.restart();
      expect((await daemon.ask('GET', '/health')).status).toBe(200);
    });
  });

  it('tells when it is ready, that it lives, and that it stops', async () => {
    const directory = await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-notify-`));
    const manager = new NotifySocket(join(directory, 'notify'));
    try {
      const env = { NOTIFY_SOCKET: manager.path, WATCHDOG_USEC: '200000' };
      await withDaemon({ env }, async (daemon) => {
        expect(manager.told()).toContain('READY=1');
        await eventually(() => expect(manager.told()).toContain('WATCHDOG=1'));
        expect(manager.told()).not.toContain('STOPPING=1');
        expect(await daemon.stop()).toBe(0);
        expect(manager.told().at(-1)).toBe('STOPPING=1');
      });
    } finally {
      manager.close();
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('stops when its terminal is closed, and lets nobody debug it', async () => {
    await withDaemon({}, async (daemon) => {
      daemon.process.kill('SIGUSR1');
      await sleep(200);
      expect((await daemon.ask('GET', '/_ping')).status).toBe(200);
      expect(daemon.log()).not.toContain('Debugger');
      daemon.process.kill('SIGHUP');
      await once(daemon.process, 'exit');
      expect([daemon.process.exitCode, existsSync(daemon.socket)]).toEqual([0, false]);
      expect(daemon.log()).toContain('"stopped"');
    });
  });

  it('stops after the requests under way, ends streams, takes its socket away, and logs lines of JSON', async () => {
    await withDaemon({}, async (daemon) => {
      const stream = createConnection(daemon.socket);
      stream.write('GET /dnet/v1/events HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(stream, 'readable');
      // A request whose body comes after the signal.
      const late = createConnection(daemon.socket);
      const body = '{"name":"late"}';
      late.write(
        `POST /dnet/v1/networks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      await sleep(100);
      const [ended, answered, stopped] = [text(stream), text(late), daemon.stop()];
      await eventually(() => expect(daemon.log()).toContain('"stopping"'));
      late.write(body);
      expect(await answered).toMatch(/^HTTP\/1\.1 201 /);
      expect(await ended).toMatch(/^HTTP\/1\.1 200 /);
      expect(await stopped).toBe(0);
      expect(existsSync(daemon.socket)).toBe(false);
      const lines = daemon
        .log()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { msg: string });
      expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['ready', 'stopping', 'stopped']));
      await daemon.restart();
      expect((await daemon.ask('GET', '/dnet/v1/networks/late')).status).toBe(200);
    });
  });
});

describe.skipIf(!isBuilt || !hasProgram('openssl'))(
  'the daemon by TCP (after npm run build, with openssl)',
  () => {
    let ours: Certificates;
    let others: Certificates;
    beforeAll(async () => {
      [ours, others] = await Promise.all([makeCertificates(), makeCertificates()]);
    });
    afterAll(async () => {
      await Promise.all([ours.remove(), others.remove()]);
    });
    const flags = ({ ca, cert, key }: Certificates) => [
      '--tlscacert',
      ca,
      '--tlscert',
      cert,
      '--tlskey',
      key,
    ];

    it('lets in who shows a certificate of its authority, and nobody else', async () => {
      const [port = 0] = await freePorts(1);
      const host = `tcp://127.0.0.1:${port}`;
      await withDaemon({ flags: ['--host', host, ...flags(ours)] }, async () => {
        const dnet = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
          run(process.execPath, [program, '--host', host, ...args], { env });
        expect(await dnet([...flags(ours), 'network', 'ls'])).toMatchObject({
          code: 0,
          stdout: expect.stringContaining('bridge'),
        });
        const env = { DNET_TLS_CA_CERT: ours.ca, DNET_TLS_CERT: ours.cert, DNET_TLS_KEY: ours.key };
        expect((await dnet(['network', 'create', 'front'], env)).code).toBe(0);
        expect((await dnet(['network', 'ls'])).code).toBe(2);
        // One of another authority, though it trusts the daemon's; and one that does not trust the daemon.
        expect((await dnet([...flags({ ...others, ca: ours.ca }), 'network', 'ls'])).code).toBe(6);
        expect((await dnet([...flags(others), 'network', 'ls'])).code).toBe(6);
        const plain = createConnection(port, '127.0.0.1');
        plain.on('error', () => undefined);
        plain.write('GET /networks HTTP/1.1\r\nHost: x\r\n\r\n');
        expect(await text(plain).catch(() => '')).not.toContain('bridge');
        const [docker] = dockerClients;
        if (docker !== undefined) {
          const tls = ['--tlsverify', '--tlscacert', ours.ca, '--tlscert', ours.cert, '--tlskey', ours.key];
          const { code, stdout } = await run(docker, ['-H', host, ...tls, 'network', 'ls', '-q']);
          expect([code, stdout.trim().split('\n').length]).toEqual([0, 4]);
        }
        const [ca, cert, key] = await Promise.all(
          [ours.ca, ours.cert, ours.key].map((file) => readFile(file, 'utf8')),
        );
        const client = new Client(connectTo(host, { ca: ca ?? '', cert: cert ?? '', key: key ?? '' }));
        expect((await client.network('front')).driver).toBe('bridge');
        await client.close();
      });
    });
  },
);

describe.skipIf(!isBuilt)('what the daemon tells of itself (after npm run build)', () => {
  it('metrics count objects, addresses, names, kernel work and times, in Prometheus’ words', async () => {
    await withDaemon({ flags: ['--no-predefined'] }, async (daemon) => {
      const metric = async (name: string): Promise<number> => {
        const { text: all } = await daemon.ask('GET', '/metrics');
        const line = all.split('\n').find((each) => each.startsWith(`${name} `));
        return Number(line?.slice(name.length + 1));
      };
      expect(await metric('libnetwork_sandboxes')).toBe(0);
      const transactions = await metric('libnetwork_firewall_transactions_total');
      const pools = [{ subnet: '10.83.0.0/24' }];
      await daemon.send('POST', '/dnet/v1/networks', { name: 'front', ipam: { pools } });
      await daemon.send('POST', '/dnet/v1/sandboxes', { containerId: 'c1' });
      const endpoint = { name: 'web', ports: [{ container: 80, host: 8080 }] };
      await daemon.send('POST', '/dnet/v1/networks/front/endpoints', endpoint);
      await daemon.send('POST', '/dnet/v1/networks/front/endpoints/web/join', { sandbox: 'c1' });
      await daemon.ask('GET', '/dnet/v1/networks/nosuch');
      const expected: Record<string, number> = {
        'libnetwork_networks{driver="bridge"}': 1,
        'libnetwork_endpoints{driver="bridge",joined="true"}': 1,
        libnetwork_sandboxes: 1,
        'libnetwork_published_ports{protocol="tcp"}': 1,
        'libnetwork_pool_addresses{network="front",subnet="10.83.0.0/24",kind="capacity"}': 254,
        'libnetwork_pool_addresses{network="front",subnet="10.83.0.0/24",kind="used"}': 1,
        'libnetwork_operations_total{operation="join",outcome="succeeded"}': 1,
        'libnetwork_operation_duration_seconds_count{operation="join",outcome="succeeded"}': 1,
        'dnet_http_request_duration_seconds_count{api="dnet",status="404"}': 1,
        libnetwork_firewall_failures_total: 0,
      };
      for (const [name, value] of Object.entries(expected))
        expect([name, await metric(name)]).toEqual([name, value]);
      expect(await metric('libnetwork_firewall_transactions_total')).toBeGreaterThanOrEqual(transactions);
      const { text: all, headers } = await daemon.ask('GET', '/metrics');
      expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
      // Each line is a comment, or a name with labels and a number.
      const line = /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? -?[\d.e+-]+|)$/;
      for (const each of all.split('\n')) expect(each).toMatch(line);
    });
  });

  it('the OpenAPI document names every route, with the forms of their bodies', async () => {
    await withDaemon({}, async (daemon) => {
      const document = (await daemon.ask('GET', '/openapi.json')).json as {
        readonly openapi: string;
        readonly paths: Readonly<Record<string, Readonly<Record<string, { requestBody?: object }>>>>;
      };
      expect(document.openapi).toMatch(/^3\.1/);
      const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method} ${path}`),
      );
      expect(routes).toEqual(
        expect.arrayContaining([
          ...['get /_ping', 'get /version', 'get /info', 'get /events', 'get /networks', 'get /metrics'],
          ...['post /networks/create', 'post /networks/{id}/connect', 'post /networks/prune'],
          ...['post /services', 'get /services/{id}/backend', 'post /libnetwork/networks'],
          ...['post /dnet/v1/networks/{id}/endpoints/{eid}/join', 'post /dnet/v1/firewall/explain'],
        ]),
      );
      // What can be read without further words is there; `explain` asks for the place that a packet goes to.
      for (const route of routes) {
        const [method, path = ''] = route.split(' ');
        if (method !== 'get' || /\{|events|explain/.test(path)) continue;
        expect([path, (await daemon.ask('GET', path)).status]).toEqual([path, 200]);
      }
      expect(document.paths['/networks/create']?.post?.requestBody).toBeDefined();
    });
  });
});
