import { lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { linuxOsl } from '../../../src/osl/linux/index.ts';
import { libc } from '../../../src/osl/linux/libc.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

const MS_RDONLY = 1;

describe.skipIf(!canUseKernel)(`namespaces ${whyNot}`, () => {
  it('are made in a directory that is not there yet, with lo up', async () => {
    await withTestHost(async ({ osl, path }) => {
      const made = await osl.createNamespace(path('deep/er/a'));
      expect(await made.link('lo')).toMatchObject({ up: true, kind: 'loopback' });
      expect(await osl.listNamespaces(path('deep/er'))).toEqual([path('deep/er/a')]);
      await osl.deleteNamespace(path('deep/er/a'));
      expect(await osl.listNamespaces(path('deep/er'))).toEqual([]);
    });
  });

  it('are taken as they are when they are there already', async () => {
    await withTestHost(async ({ osl, path, create }) => {
      const first = await create('a');
      await first.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' } }]);
      const second = await osl.createNamespace(path('a'));
      expect(await second.link('br0')).toMatchObject({ kind: 'bridge' });
    });
  });

  it('are made on the empty file that a crash left behind', async () => {
    await withTestHost(async ({ osl, path, directory }) => {
      writeFileSync(path('a'), '');
      expect(await osl.listNamespaces(directory)).toContain(path('a'));
      const made = await osl.createNamespace(path('a'));
      expect((await made.links()).map(({ name }) => name)).toEqual(['lo']);
    });
  });

  it('are deleted from every half made state, also twice', async () => {
    await withTestHost(async ({ osl, path, create }) => {
      await osl.deleteNamespace(path('never'));
      writeFileSync(path('file'), '');
      await osl.deleteNamespace(path('file'));
      await create('mounted');
      await osl.deleteNamespace(path('mounted'));
      await osl.deleteNamespace(path('mounted'));
      for (const name of ['file', 'mounted'])
        expect(lstatSync(path(name), { throwIfNoEntry: false })).toBeUndefined();
    });
  });

  it('show no other namespace below when two were mounted on the same file', async () => {
    await withTestHost(async ({ osl, path, create }) => {
      await create('a');
      await create('b');
      expect(libc().mount(path('b'), path('a'), 'none', 4096, null)).toBe(0);
      await osl.deleteNamespace(path('a'));
      expect(lstatSync(path('a'), { throwIfNoEntry: false })).toBeUndefined();
    });
  });

  it('never take a file or directory of somebody else', async () => {
    await withTestHost(async ({ osl, path, directory }) => {
      writeFileSync(path('file'), 'precious');
      mkdirSync(path('directory'));
      for (const name of ['file', 'directory']) {
        await expect(osl.createNamespace(path(name))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        await expect(osl.openNamespace(path(name))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        await expect(osl.deleteNamespace(path(name))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
      expect(readFileSync(path('file'), 'utf8')).toBe('precious');
      expect(await osl.listNamespaces(directory)).toEqual([path('host')]);
    });
  });

  it('are opened by what a process lives in, and only network namespaces are', async () => {
    await withTestHost(async ({ osl, host }) => {
      const child = host.spawn('sleep', ['60']);
      try {
        const opened = await osl.openNamespace(`/proc/${child.pid}/ns/net`);
        await host.apply([{ op: 'createLink', name: 'br7', link: { kind: 'bridge' } }]);
        expect(await opened.link('br7')).toBeDefined();
        await expect(osl.openNamespace(`/proc/${child.pid}/ns/mnt`)).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        });
      } finally {
        child.kill();
      }
      await expect(osl.openNamespace('/proc/1/ns/no-such')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });
  });

  it.each(['relative/a', '/a/../b', '/a//b', '/a/', ''])('refuse the path %j', async (path) => {
    await withTestHost(async ({ osl }) => {
      for (const call of [osl.createNamespace, osl.openNamespace, osl.deleteNamespace])
        await expect(call(path)).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          field: 'path',
          value: path,
        });
    });
  });

  it('name the path on a read-only file system', async () => {
    await withTestHost(async ({ osl, path }) => {
      mkdirSync(path('ro'));
      expect(libc().mount('none', path('ro'), 'tmpfs', MS_RDONLY, null)).toBe(0);
      try {
        for (const wanted of [path('ro/a'), path('ro/a/b/c')])
          await expect(osl.createNamespace(wanted)).rejects.toMatchObject({
            code: 'FORBIDDEN',
            errno: 'EROFS',
            message: expect.stringMatching(new RegExp(`${wanted}.*read-only: choose another directory`)),
          });
      } finally {
        libc().umount2(path('ro'), 2);
      }
    });
  });

  it('tell an ordinary user which capabilities are missing', async () => {
    await withTestHost(async ({ directory, path }) => {
      const osl = linuxOsl();
      process.seteuid?.(65534);
      try {
        const explained = {
          code: 'FORBIDDEN',
          message: expect.stringMatching(/CAP_NET_ADMIN and CAP_SYS_ADMIN.*root/),
        };
        await expect(osl.createNamespace(path('a'))).rejects.toMatchObject(explained);
        await expect(osl.deleteNamespace(path('host'))).rejects.toMatchObject(explained);
        await expect(
          osl.host.apply([{ op: 'createLink', name: 'never', link: { kind: 'bridge' } }]),
        ).rejects.toMatchObject({ code: 'FORBIDDEN', errno: 'EPERM' });
        await expect(osl.host.firewall({ engine: 'nftables', table: 'never' })).rejects.toMatchObject(
          explained,
        );
      } finally {
        process.seteuid?.(0);
      }
      expect(statSync(join(directory, 'host')).isFile()).toBe(true);
    });
  });

  it('say so when they are used after closing', async () => {
    await withTestHost(async ({ create }) => {
      const made = await create('a');
      await made.close();
      await made.close();
      const calls = [
        () => made.links(),
        () => made.apply([]),
        () => made.ping('127.0.0.1'),
        () => made.deleteLink('lo'),
        () => made.sysctl('net/ipv4/ip_forward'),
      ];
      for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(() => made.spawn('true', [])).toThrow(/closed/);
    });
  });
});
