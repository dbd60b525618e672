import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { addEntries, buildHosts } from '../../../src/hostfiles/etchosts.ts';
import { editInPlace, writeInPlace, writeResolvConf } from '../../../src/hostfiles/files.ts';
import { generate } from '../../../src/hostfiles/resolvconf.ts';
import { startResolver } from '../../../src/resolver/resolver.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, connect, run, serve } from './setting.ts';
import { engines, optionsFor as options, resolverSteps } from './steps.ts';

describe.skipIf(!canUseKernel)(`the name server of a sandbox${whyNot && `: ${whyNot}`}`, () => {
  describe.each(engines)('with the firewall engine %s', (engine) => {
    resolverSteps(engine, withTestHost, ask);

    it('is what libc finds by the files of the sandbox', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        // libc asks for a family only where an interface has an address of it.
        await connect(test.host, sandbox);
        await sandbox.apply([{ op: 'addAddress', link: 'eth0', address: 'fd00::7/64', noDad: true }]);
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

  it('asks the next server at once where there is no way to the first', async () => {
    await withTestHost(async (test) => {
      const sandbox = await test.create('sandbox');
      const server = await serve(sandbox, '127.0.0.20', '192.0.2.1');
      const upstreams = () =>
        ['198.51.100.1', '2001:db8::53', '127.0.0.20'].map(
          (address) => ({ address, from: 'sandbox' }) as const,
        );
      // Longer than the test may take: who waits for a silent server fails it.
      const limits = { retryMs: 60_000, timeoutMs: 60_000 };
      const resolver = await startResolver({ ...options(test, sandbox, 'nftables'), upstreams, limits });
      for (const transport of ['udp', 'tcp'] as const)
        expect(await ask(sandbox, 'a.example', 'A', transport)).toMatchObject({
          answers: [{ data: '192.0.2.1' }],
        });
      expect(resolver.counters.missed).toBe(4);
      await resolver.close();
      server.close();
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
