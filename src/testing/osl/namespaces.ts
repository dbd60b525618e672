import { describe, expect } from 'vitest';
import type { Namespace } from '../../osl/osl.ts';
import { bridge, eventually, type OslSuite, promisesOf, refusal, veth } from './ground.ts';

const names = async (namespace: Namespace): Promise<string[]> =>
  (await namespace.links()).map((link) => link.name);

export function namespacePromises(suite: OslSuite): void {
  const it = promisesOf(suite);

  describe('namespaces', () => {
    it('are made where no directory was, with nothing but lo, which is up', async ({ osl, path }) => {
      const made = await osl.createNamespace(path('a/deep/one'));
      expect(made.path).toBe(path('a/deep/one'));
      expect(await made.links()).toMatchObject([{ name: 'lo', kind: 'loopback', up: true, running: true }]);
      await osl.deleteNamespace(path('a/deep/one'));
    });

    it('are taken as they are when they are there already', async ({ osl, create, path }) => {
      const first = await create('one');
      await first.apply([bridge('br0')]);
      const again = await osl.createNamespace(path('one'));
      expect(await names(again)).toContain('br0');
    });

    it('are made on the empty file that a crash left behind', async ({ osl, path }) => {
      await suite.leaveFile(path('half'));
      expect(await names(await osl.createNamespace(path('half')))).toEqual(['lo']);
    });

    it('are opened by their path, and by that of a process', async ({ osl, host, path }) => {
      await host.apply([bridge('marker')]);
      expect(await names(await osl.openNamespace(path('host')))).toContain('marker');
      const child = host.spawn('sleep', ['30']);
      try {
        const inside = await osl.openNamespace(`/proc/${child.pid}/ns/net`);
        expect(await names(inside)).toContain('marker');
        await inside.close();
      } finally {
        child.kill('SIGKILL');
      }
    });

    it('are not opened where there is none', async ({ osl, path }) => {
      await suite.leaveFile(path('file'));
      expect(await refusal(osl.openNamespace(path('none')))).toMatchObject({ code: 'NOT_FOUND' });
      expect(await refusal(osl.openNamespace(path('file')))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    });

    it('have absolute and normal paths', async ({ osl, path }) => {
      for (const bad of ['relative', `${path('x')}/../y`, `${path('x')}//y`, '', `${path('x')}\0`]) {
        expect(await refusal(osl.createNamespace(bad))).toMatchObject({ code: 'INVALID_ARGUMENT' });
        expect(await refusal(osl.openNamespace(bad))).toMatchObject({ code: 'INVALID_ARGUMENT' });
        expect(await refusal(osl.deleteNamespace(bad))).toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
    });

    it('are deleted from every half made state, also twice', async ({ osl, create, path, directory }) => {
      await create('whole');
      await suite.leaveFile(path('half'));
      for (const name of ['whole', 'half', 'none', 'whole']) await osl.deleteNamespace(path(name));
      expect(await osl.listNamespaces(directory)).toEqual([path('host')]);
      expect(await refusal(osl.openNamespace(path('whole')))).toMatchObject({ code: 'NOT_FOUND' });
    });

    it('are listed with the half made ones, and with none where there is no directory', async (ground) => {
      const { osl, create, path, directory } = ground;
      await create('a');
      await suite.leaveFile(path('b'));
      expect([...(await osl.listNamespaces(directory))].sort()).toEqual(['a', 'b', 'host'].map(path));
      expect(await osl.listNamespaces(path('nowhere'))).toEqual([]);
    });

    it('live while a handle holds them, and end with what is in them and its peers', async (ground) => {
      const { osl, host, create, path } = ground;
      const inside = await create('inside');
      await host.apply([veth('v1', 'eth0', inside)]);
      await osl.deleteNamespace(path('inside'));
      expect(await names(inside)).toContain('eth0');
      expect(await names(host)).toContain('v1');
      await inside.close();
      await eventually(async () => await host.link('v1'), undefined);
    });

    it('stay when the handle that made them is closed', async ({ open, path }) => {
      const first = await open();
      await (await first.createNamespace(path('kept'))).apply([bridge('br0')]);
      await first.close();
      const second = await open();
      expect(await names(await second.openNamespace(path('kept')))).toContain('br0');
    });

    it('say so when they are used after closing, and may be closed twice', async ({ create }) => {
      const closed = await create('closed');
      await closed.close();
      await closed.close();
      expect(await refusal(closed.links())).toMatchObject({ code: 'UNAVAILABLE' });
      expect(await refusal(closed.apply([bridge('br0')]))).toMatchObject({ code: 'UNAVAILABLE' });
    });

    it('are not made or opened by a closed osl', async ({ open, path }) => {
      const closed = await open();
      await closed.close();
      await closed.close();
      expect(await refusal(closed.createNamespace(path('late')))).toMatchObject({ code: 'UNAVAILABLE' });
      expect(await refusal(closed.openNamespace(path('host')))).toMatchObject({ code: 'UNAVAILABLE' });
    });
  });

  describe('settings under /proc/sys', () => {
    it('are of one namespace, and read back as they were written', async ({ host, create }) => {
      const other = await create('other');
      await other.setSysctl('net/ipv4/ip_forward', '0');
      await host.setSysctl('net/ipv4/ip_forward', '1');
      expect(await host.sysctl('net/ipv4/ip_forward')).toBe('1');
      expect(await host.sysctl('net/ipv4/conf/all/forwarding')).toBe('1');
      expect(await other.sysctl('net/ipv4/ip_forward')).toBe('0');
    });

    it('are there for every link, and gone with it', async ({ host }) => {
      const key = 'net/ipv6/conf/br0/disable_ipv6';
      expect(await host.sysctl(key)).toBeUndefined();
      await host.apply([bridge('br0')]);
      expect(await host.sysctl(key)).toBe('0');
      await host.setSysctl(key, '1');
      expect(await host.sysctl(key)).toBe('1');
      await host.deleteLink('br0');
      expect(await host.sysctl(key)).toBeUndefined();
    });

    it('take a link that all others take, with all of them', async ({ host }) => {
      await host.apply([bridge('br0')]);
      for (const family of ['ipv4', 'ipv6']) {
        await host.setSysctl(`net/${family}/conf/all/forwarding`, '1');
        expect(await host.sysctl(`net/${family}/conf/br0/forwarding`)).toBe('1');
      }
      await host.apply([bridge('br1')]);
      expect(await host.sysctl('net/ipv6/conf/br1/forwarding')).toBe('1');
    });

    it('refuse unknown keys, keys elsewhere, and values that are none', async ({ host }) => {
      expect(await host.sysctl('net/ipv4/no_such_key')).toBeUndefined();
      expect(await refusal(host.setSysctl('net/ipv4/no_such_key', '1'))).toMatchObject({ code: 'NOT_FOUND' });
      expect(await refusal(host.setSysctl('net/ipv4/ip_forward', 'maybe'))).toMatchObject({
        errno: 'EINVAL',
      });
      for (const bad of ['kernel/hostname', 'net/../kernel/hostname', '/net/ipv4/ip_forward', 'net']) {
        expect(await refusal(host.sysctl(bad))).toMatchObject({ code: 'INVALID_ARGUMENT' });
        expect(await refusal(host.setSysctl(bad, '1'))).toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
    });

    it('take the addresses of IPv6 away, and refuse new ones', async ({ host }) => {
      await host.apply([bridge('br0'), { op: 'addAddress', link: 'br0', address: 'fd00:9::1/64' }]);
      await host.setSysctl('net/ipv6/conf/br0/disable_ipv6', '1');
      expect(await host.addresses('br0')).toEqual([]);
      const adding = host.apply([{ op: 'addAddress', link: 'br0', address: 'fd00:9::1/64' }]);
      expect(await refusal(adding)).toMatchObject({ code: 'FORBIDDEN', errno: 'EACCES' });
    });
  });
}
