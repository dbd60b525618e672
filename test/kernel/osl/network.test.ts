import { describe, expect, it, vi } from 'vitest';
import type { Change, Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';

/** A bridge with 10.9.0.1 and fd00:9::1, and two containers on it: .2 and .3. */
async function bridged(test: TestHost): Promise<{ a: Namespace; b: Namespace }> {
  const [a, b] = await Promise.all([test.create('a'), test.create('b')]);
  await test.host.apply([
    { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, macAddress: '02:42:0a:09:00:01', up: true },
    { op: 'addAddress', link: 'br0', address: '10.9.0.1/24' },
    { op: 'addAddress', link: 'br0', address: 'fd00:9::1/64', noDad: true },
  ]);
  await attach(test.host, a, 2);
  await attach(test.host, b, 3);
  return { a, b };
}

async function attach(host: Namespace, namespace: Namespace, number: number): Promise<void> {
  const macAddress = `02:42:0a:09:00:0${number}`;
  await host.apply([
    {
      op: 'createLink',
      name: `v${number}`,
      link: { kind: 'veth', peer: { name: 'eth0', macAddress, mtu: 1400, namespace } },
      mtu: 1400,
      master: 'br0',
      up: true,
      alias: `libnetwork:test:${number}`,
      group: 7,
    },
  ]);
  await namespace.apply(inside(number));
}

function inside(number: number): readonly Change[] {
  return [
    { op: 'addAddress', link: 'eth0', address: `10.9.0.${number}/24` },
    { op: 'addAddress', link: 'eth0', address: `fd00:9::${number}/64`, noDad: true },
    { op: 'setLink', name: 'eth0', up: true },
    { op: 'addRoute', family: 'ipv4', destination: 'default', gateway: '10.9.0.1' },
    { op: 'addRoute', family: 'ipv6', destination: 'default', gateway: 'fd00:9::1' },
  ];
}

describe.skipIf(!canUseKernel)(`two namespaces on a bridge ${whyNot}`, () => {
  it('reach each other and the bridge over both families', async () => {
    await withTestHost(async (test) => {
      const { a, b } = await bridged(test);
      for (const target of ['10.9.0.1', '10.9.0.3', 'fd00:9::1', 'fd00:9::3'])
        expect(await a.ping(target), target).toBeGreaterThan(0);
      expect(await b.ping('10.9.0.2')).toBeGreaterThan(0);
      expect(await test.host.ping('fd00:9::2')).toBeGreaterThan(0);
    });
  });

  it('tell their links, addresses, routes and neighbours by name', async () => {
    await withTestHost(async (test) => {
      const { a } = await bridged(test);
      await a.ping('10.9.0.1');
      const inner = await a.link('eth0');
      const outer = await test.host.link('v2');
      expect(inner).toMatchObject({ kind: 'veth', up: true, running: true, mtu: 1400 });
      expect(inner?.macAddress).toBe('02:42:0a:09:00:02');
      expect(inner?.statistics.rxPackets).toBeGreaterThan(0);
      expect(outer).toMatchObject({ master: 'br0', alias: 'libnetwork:test:2', group: 7, mtu: 1400 });
      expect([outer?.peerIndex, inner?.peerIndex]).toEqual([inner?.index, outer?.index]);
      expect((await test.host.links()).map(({ name }) => name)).toEqual(['lo', 'br0', 'v2', 'v3']);
      expect((await test.host.links()).find(({ name }) => name === 'v2')?.master).toBe('br0');
      expect(await a.addresses('eth0')).toEqual(
        expect.arrayContaining([
          { link: 'eth0', family: 'ipv4', address: '10.9.0.2/24', scope: 'global' },
          { link: 'eth0', family: 'ipv6', address: 'fd00:9::2/64', scope: 'global' },
        ]),
      );
      expect((await a.addresses()).filter(({ link }) => link === 'lo').map(({ address }) => address)).toEqual(
        expect.arrayContaining(['127.0.0.1/8', '::1/128']),
      );
      expect(await a.routes('ipv4')).toEqual([
        {
          family: 'ipv4',
          destination: 'default',
          gateway: '10.9.0.1',
          link: 'eth0',
          scope: 'global',
          metric: 0,
        },
        {
          family: 'ipv4',
          destination: '10.9.0.0/24',
          gateway: undefined,
          link: 'eth0',
          scope: 'link',
          metric: 0,
        },
      ]);
      expect((await a.routes()).map(({ destination, gateway }) => [destination, gateway])).toContainEqual([
        'default',
        'fd00:9::1',
      ]);
      expect(await a.neighbours('eth0')).toContainEqual({
        link: 'eth0',
        family: 'ipv4',
        address: '10.9.0.1',
        macAddress: '02:42:0a:09:00:01',
        permanent: false,
      });
    });
  });

  it('reads no routes in a namespace so young that it has no table of them', async () => {
    await withTestHost(async ({ osl, host }) => {
      const child = host.spawn('unshare', ['--net', 'sleep', '60'], { stdio: 'ignore' });
      try {
        await vi.waitFor(async () => {
          const young = await osl.openNamespace(`/proc/${child.pid}/ns/net`);
          const [lo] = await young.links();
          expect([lo?.up, await young.routes()]).toEqual([false, []]);
          await young.close();
        });
      } finally {
        child.kill('SIGKILL');
      }
    });
  });
});
