import { expect, it } from 'vitest';
import type { FirewallEngine } from '../../../src/osl/firewall/firewall.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { type ResolverOptions, startResolver } from '../../../src/resolver/resolver.ts';
import type { TestHost } from '../../support/kernel.ts';
import { type Ask, connect, namesOf, serve } from './setting.ts';

export const engines: readonly FirewallEngine[] = ['nftables', 'none'];

/** Options of a resolver in a sandbox of a test. */
export function optionsFor(
  test: TestHost,
  namespace: Namespace,
  firewallEngine: FirewallEngine,
): ResolverOptions {
  return {
    namespace,
    firewallEngine,
    sandboxId: 's1',
    names: namesOf('s1'),
    upstreams: () => [],
    firewallTable: `libnetwork-test-${process.pid}`,
    dial: test.host,
  };
}

/** What a name server does in a namespace: the same steps on the real kernel and on the one in memory. */
export function resolverSteps(
  engine: FirewallEngine,
  withTestHost: (work: (test: TestHost) => Promise<void>) => Promise<void>,
  ask: Ask,
): void {
  it('answers names at port 53, in a namespace without any address but lo', async () => {
    await withTestHost(async (test) => {
      const sandbox = await test.create('sandbox');
      const resolver = await startResolver(optionsFor(test, sandbox, engine));
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
        ...optionsFor(test, sandbox, engine),
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
      const resolver = await startResolver({ ...optionsFor(test, sandbox, engine), upstreams });
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
      const names = namesOf('s1');
      names.setNetwork({ id: 'n1', name: 'front', internal: true });
      const resolver = await startResolver({
        ...optionsFor(test, sandbox, engine),
        names,
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
      const former = await startResolver(optionsFor(test, sandbox, engine));
      expect(await ask(sandbox, 'web')).toMatchObject({ rcode: 'NOERROR' });
      await former.close();
      const reopened = await test.osl.openNamespace(test.path('sandbox'));
      const resolver = await startResolver(optionsFor(test, reopened, engine));
      for (const transport of ['udp', 'tcp'] as const)
        expect(await ask(sandbox, 'web', 'A', transport)).toMatchObject({
          answers: [{ data: '10.9.0.5' }],
        });
      await resolver.close();
    });
  });

  if (engine === 'none') {
    it('reports that port 53 is taken, by its error name', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        const held = await sandbox.holdPort({ protocol: 'tcp', address: '127.0.0.11', port: 53 });
        await expect(startResolver(optionsFor(test, sandbox, engine))).rejects.toMatchObject({
          code: 'CONFLICT',
          errno: 'EADDRINUSE',
        });
        held.release();
        await (await startResolver(optionsFor(test, sandbox, engine))).close();
      });
    });
  } else {
    it('leaves port 53 to a server of the container', async () => {
      await withTestHost(async (test) => {
        const sandbox = await test.create('sandbox');
        const resolver = await startResolver(optionsFor(test, sandbox, engine));
        const own = await serve(sandbox, '0.0.0.0', '192.0.2.9');
        expect(await ask(sandbox, 'web')).toMatchObject({ answers: [{ data: '10.9.0.5' }] });
        expect(own.asked).toEqual([]);
        own.close();
        await resolver.close();
      });
    });
  }
}
