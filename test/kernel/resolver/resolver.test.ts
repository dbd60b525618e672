import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { addEntries, buildHosts } from '../../../src/hostfiles/etchosts.ts';
import { editInPlace, writeInPlace, writeResolvConf } from '../../../src/hostfiles/files.ts';
import { generate } from '../../../src/hostfiles/resolvconf.ts';
import type { FirewallEngine } from '../../../src/osl/firewall/firewall.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { type ResolverOptions, startResolver } from '../../../src/resolver/resolver.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, connect, namesOf, run, serve } from './setting.ts';

const engines: readonly FirewallEngine[] = ['nftables', 'none'];

function options(test: TestHost, namespace: Namespace, firewallEngine: FirewallEngine): ResolverOptions {
  return {
    namespace,
    firewallEngine,
    sandboxId: 's1',
    names: namesOf('s1'),
    upstreams: () => [],
    forwarding: () => true,
    firewallTable: `libnetwork-test-${process.pid}`,
    dial: test.host,
  };
}

describe.skipIf(!canUseKernel)(`the name server of a sandbox${whyNot && `: ${whyNot}`}`, () => {
  describe.each(engines)('with the firewall engine %s', (engine) => {
    it('answers names at port 53, in a namespace without any address but lo', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        const resolver = await startResolver(options(test, sandbox, engine));
        const reply = await ask(sandbox, 'WWW.front');
        expect(reply).toMatchObject({
          rcode: 'NOERROR',
          from: '127.0.0.11 53',
          answers: [{ data: '10.9.0.5' }],
        });
        expect(await ask(sandbox, 'db', 'AAAA')).toMatchObject({ answers: [{ data: 'fd00::5' }] });
        expect(await ask(sandbox, '5.0.9.10.in-addr.arpa', 'PTR')).toMatchObject({
          answers: [{ data: 'web.front' }],
        });
        expect(await ask(sandbox, 'web', 'A', 'tcp')).toMatchObject({ answers: [{ data: '10.9.0.5' }] });
        expect(await ask(sandbox, 'elsewhere')).toMatchObject({ rcode: 'SERVFAIL' });
        await resolver.close();
      });
    });

    it('asks servers of the host from the host, and those of the user from the sandbox', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        await connect(test.host, sandbox);
        const loopback = await serve(test.host, '127.0.0.53', '192.0.2.1');
        const network = await serve(test.host, '10.9.0.1', '192.0.2.2');
        let upstreams: ResolverOptions['upstreams'] = () => [{ address: '127.0.0.53', from: 'host' }];
        const resolver = await startResolver({
          ...options(test, sandbox, engine),
          upstreams: () => upstreams(),
        });
        for (const transport of ['udp', 'tcp'] as const)
          expect(await ask(sandbox, 'a.example', 'A', transport)).toMatchObject({
            answers: [{ data: '192.0.2.1' }],
          });
        upstreams = () => [{ address: '10.9.0.1', from: 'sandbox' }];
        for (const transport of ['udp', 'tcp'] as const)
          expect(await ask(sandbox, 'a.example', 'A', transport)).toMatchObject({
            answers: [{ data: '192.0.2.2' }],
          });
        expect(loopback.asked).toEqual(['udp A a.example', 'tcp A a.example']);
        expect(network.asked).toEqual(['udp A a.example', 'tcp A a.example']);
        await resolver.close();
        for (const server of [loopback, network]) server.close();
      });
    });

    it('fetches a truncated answer by TCP and gives the client what it can take', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        const server = await serve(test.host, '127.0.0.53', '192.0.2.1');
        const upstreams = () => [{ address: '127.0.0.53', from: 'host' } as const];
        const resolver = await startResolver({ ...options(test, sandbox, engine), upstreams });
        const whole = await ask(sandbox, 'many.example', 'A', 'udp', 4096);
        expect([whole.flag_tc, whole.answers?.length]).toEqual([false, 60]);
        const cut = await ask(sandbox, 'many.example');
        expect(cut.flag_tc).toBe(true);
        expect(cut.answers?.length).toBeGreaterThan(0);
        expect((await ask(sandbox, 'many.example', 'A', 'tcp')).answers).toHaveLength(60);
        await resolver.close();
        server.close();
      });
    });

    it('sends no packet out of an internal network, and still asks a server on it', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        await connect(test.host, sandbox);
        const outside = await serve(test.host, '127.0.0.53', '192.0.2.1');
        const inside = await serve(test.host, '10.9.0.1', '192.0.2.2');
        let upstreams: ResolverOptions['upstreams'] = () => [{ address: '127.0.0.53', from: 'host' }];
        const forwarding = () => false;
        const resolver = await startResolver({
          ...options(test, sandbox, engine),
          forwarding,
          upstreams: () => upstreams(),
        });
        for (const name of ['a.example', 'alone', '1.2.0.192.in-addr.arpa'])
          expect(await ask(sandbox, name)).toMatchObject({ rcode: 'SERVFAIL' });
        expect([outside.asked, inside.asked]).toEqual([[], []]);
        upstreams = () => [
          { address: '127.0.0.53', from: 'host' },
          { address: '10.9.0.1', from: 'sandbox' },
        ];
        expect(await ask(sandbox, 'a.example')).toMatchObject({ answers: [{ data: '192.0.2.2' }] });
        expect(outside.asked).toEqual([]);
        await resolver.close();
        for (const server of [outside, inside]) server.close();
      });
    });

    it('serves again after a restart, with the rules of the former controller still there', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        const former = await startResolver(options(test, sandbox, engine));
        expect(await ask(sandbox, 'web')).toMatchObject({ rcode: 'NOERROR' });
        await former.close();
        const reopened = await test.osl.openNamespace(test.path('sandbox'));
        const resolver = await startResolver(options(test, reopened, engine));
        for (const transport of ['udp', 'tcp'] as const)
          expect(await ask(sandbox, 'web', 'A', transport)).toMatchObject({
            answers: [{ data: '10.9.0.5' }],
          });
        await resolver.close();
      });
    });

    it('is what libc finds by the files of the sandbox', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        const hostFile = { path: '/etc/resolv.conf', content: 'search front\n' };
        const { content } = generate({ hostFile, embedded: '127.0.0.11' });
        const files = {
          hosts: join(test.directory, 'f/hosts'),
          resolvConf: join(test.directory, 'f/resolv.conf'),
        };
        await writeResolvConf(files.resolvConf, content);
        await writeInPlace(files.hosts, buildHosts({ hostname: 'me', addresses: ['10.9.0.7'] }));
        await editInPlace(files.hosts, (hosts) =>
          addEntries(hosts, [{ address: '10.1.1.1', names: ['extra'] }]),
        );
        const resolver = await startResolver(options(test, sandbox, engine));
        const script = [
          `mount --bind ${files.resolvConf} /etc/resolv.conf`,
          `mount --bind ${files.hosts} /etc/hosts`,
          'for name in web web.front me extra; do getent ahostsv4 $name; done',
          'getent ahostsv6 web; getent hosts 10.9.0.5',
        ].join('; ');
        const output = await run(sandbox, 'unshare', ['--mount', 'sh', '-c', script]);
        const found = output.split('\n').filter((line) => !/DGRAM|RAW/.test(line));
        expect(found.map((line) => line.split(/\s+/).join(' ').trim())).toEqual([
          '10.9.0.5 STREAM web',
          '10.9.0.5 STREAM web.front',
          '10.9.0.7 STREAM me',
          '10.1.1.1 STREAM extra',
          'fd00::5 STREAM web',
          '10.9.0.5 web.front',
          '',
        ]);
        await resolver.close();
      });
    });

    it('answers one sandbox while another floods its own server', async () => {
      await withTestHost(async (test) => {
        const [loud, quiet] = [await test.create('loud'), await test.create('quiet')];
        const [first, second] = [
          await startResolver({ ...options(test, loud, engine), limits: { inFlight: 10 } }),
          await startResolver(options(test, quiet, engine)),
        ];
        const flood = loud.spawn(process.execPath, ['-e', FLOOD], { stdio: 'ignore' });
        try {
          await eventually(() => first.counters.queries > 1000);
          for (let i = 0; i < 5; i++) expect(await ask(quiet, 'web')).toMatchObject({ rcode: 'NOERROR' });
        } finally {
          flood.kill('SIGKILL');
        }
        for (const resolver of [first, second]) await resolver.close();
      });
    });
  });

  it('leaves port 53 to a server of the container', async () => {
    await withTestHost(async (test) => {
      const sandbox = await test.create('sandbox');
      const resolver = await startResolver(options(test, sandbox, 'nftables'));
      const own = await serve(sandbox, '0.0.0.0', '192.0.2.9');
      expect(await ask(sandbox, 'web')).toMatchObject({ answers: [{ data: '10.9.0.5' }] });
      expect(own.asked).toEqual([]);
      own.close();
      await resolver.close();
    });
  });

  it('removes its rules when told', async () => {
    await withTestHost(async (test) => {
      const sandbox = await test.create('sandbox');
      const resolver = await startResolver(options(test, sandbox, 'nftables'));
      await resolver.close({ removeRules: true });
      expect(await run(sandbox, 'nft', ['list', 'tables'])).toBe('');
    });
  });

  it('reports that port 53 is taken, by its error name', async () => {
    await withTestHost(async (test) => {
      const sandbox = await test.create('sandbox');
      const held = await sandbox.holdPort({ protocol: 'tcp', address: '127.0.0.11', port: 53 });
      await expect(startResolver(options(test, sandbox, 'none'))).rejects.toMatchObject({
        code: 'CONFLICT',
        errno: 'EADDRINUSE',
      });
      held.release();
      await (await startResolver(options(test, sandbox, 'none'))).close();
    });
  });
});

/** Sends questions as fast as it can, without waiting for answers. */
const FLOOD = `
  const socket = require('dgram').createSocket('udp4');
  const question = Buffer.from('000101000001000000000000037765620000010001', 'hex');
  const flood = () => { for (let i = 0; i < 100; i++) socket.send(question, 53, '127.0.0.11'); setImmediate(flood); };
  flood();
`;

async function eventually(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(isSo()).toBe(true);
}
