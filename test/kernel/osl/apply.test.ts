import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { linuxOsl } from '../../../src/osl/linux/index.ts';
import type { Change } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

const bridge = (name: string): Change => ({ op: 'createLink', name, link: { kind: 'bridge' }, up: true });

describe.skipIf(!canUseKernel)(`a batch of changes ${whyNot}`, () => {
  it('names the first that failed, with the kernel’s words, and has tried the others', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([bridge('br0')]);
      const failing = host.apply([
        { op: 'addAddress', link: 'br0', address: '10.9.0.1/24' },
        { op: 'addAddress', link: 'br0', address: '10.9.0.1/24' },
        { op: 'addAddress', link: 'never', address: '10.9.0.2/24' },
        { op: 'addRoute', family: 'ipv4', destination: '10.8.0.0/16', gateway: '10.7.0.1' },
        { op: 'addAddress', link: 'br0', address: 'fd00:9::1/64' },
      ]);
      await expect(failing).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        errno: 'EEXIST',
        operation: 'changes[1] addAddress',
        message: expect.stringContaining('10.9.0.1/24 on br0'),
      });
      const addresses = (await host.addresses('br0')).map(({ address }) => address);
      expect(addresses).toEqual(expect.arrayContaining(['10.9.0.1/24', 'fd00:9::1/64']));
    });
  });

  it('tells why the kernel refused', async () => {
    await withTestHost(async ({ host }) => {
      const route = host.apply([
        { op: 'addRoute', family: 'ipv4', destination: '10.8.0.0/16', gateway: '10.7.0.1' },
      ]);
      await expect(route).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        errno: 'ENETUNREACH',
        kernelMessage: 'Nexthop has invalid gateway',
        operation: 'changes[0] addRoute',
      });
      const link = host.apply([{ op: 'setLink', name: 'never', up: true }]);
      await expect(link).rejects.toMatchObject({ code: 'NOT_FOUND', errno: 'ENODEV' });
    });
  });

  it('sends nothing when any of them makes no sense', async () => {
    await withTestHost(async ({ host }) => {
      const changes: readonly [Change, string][] = [
        [{ op: 'addAddress', link: 'br0', address: '10.9.0.1' }, 'changes[1].address'],
        [{ op: 'addAddress', link: 'a name that is too long', address: '10.9.0.1/8' }, 'changes[1].link'],
        [{ op: 'setLink', name: 'br0', rename: 'a/b' }, 'changes[1].rename'],
        [{ op: 'setLink', name: 'br0', macAddress: '02:42' }, 'changes[1].macAddress'],
        [{ op: 'addRoute', family: 'ipv6', destination: '10.0.0.0/8' }, 'changes[1].destination'],
        [
          { op: 'createLink', name: 'x', link: { kind: 'vlan', parent: 'br0', id: 5000 } },
          'changes[1].link.id',
        ],
      ];
      for (const [change, field] of changes)
        await expect(host.apply([bridge('br0'), change])).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          field,
        });
      expect(await host.link('br0')).toBeUndefined();
    });
  });

  it('follows links that it creates and renames on the way', async () => {
    await withTestHost(async ({ host, create }) => {
      const other = await create('other');
      await host.apply([
        bridge('br0'),
        { op: 'createLink', name: 'tmp', link: { kind: 'veth', peer: { name: 'eth0', namespace: other } } },
        { op: 'setLink', name: 'tmp', master: 'br0', hairpin: true },
        { op: 'setLink', name: 'tmp', rename: 'v1' },
        { op: 'addAddress', link: 'v1', address: '10.9.0.9/32' },
        { op: 'createLink', name: 'tmp', link: { kind: 'ifb' } },
        { op: 'setLink', name: 'tmp', mtu: 1234 },
      ]);
      expect(await host.link('v1')).toMatchObject({ kind: 'veth', master: 'br0' });
      expect(await host.link('tmp')).toMatchObject({ kind: 'ifb', mtu: 1234 });
      expect((await host.addresses('v1'))[0]?.address).toBe('10.9.0.9/32');
    });
  });

  it('puts no alias on a link that was there before', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([bridge('br0')]);
      const failing = host.apply([
        { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, alias: 'libnetwork:default:1' },
      ]);
      await expect(failing).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        operation: 'changes[0] createLink',
      });
      expect((await host.link('br0'))?.alias).toBeUndefined();
    });
  });

  it('makes links elsewhere, with a bridge and an alias there', async () => {
    await withTestHost(async ({ host, create }) => {
      const other = await create('other');
      await other.apply([bridge('br9')]);
      await host.apply([
        {
          op: 'createLink',
          name: 'far',
          link: { kind: 'veth', peer: { name: 'near' } },
          namespace: other,
          master: 'br9',
          alias: 'far away',
        },
      ]);
      expect(await other.link('far')).toMatchObject({ master: 'br9', alias: 'far away' });
      expect(await host.link('near')).toMatchObject({ kind: 'veth' });
      expect(await host.link('far')).toBeUndefined();
    });
  });

  it('moves a link into a bridge of another namespace', async () => {
    await withTestHost(async ({ host, create }) => {
      const other = await create('other');
      await other.apply([bridge('filler'), bridge('br9')]);
      await host.apply([
        { op: 'createLink', name: 'a', link: { kind: 'veth', peer: { name: 'b' } } },
        { op: 'setLink', name: 'a', namespace: other, master: 'br9', rename: 'eth0', up: true },
      ]);
      expect(await other.link('eth0')).toMatchObject({ master: 'br9', up: true });
      expect((await host.links()).map(({ name }) => name)).toEqual(['lo', 'b']);
    });
  });

  it('takes a link out of its bridge, and down', async () => {
    await withTestHost(async ({ host }) => {
      const link = { kind: 'veth', peer: { name: 'b' } } as const;
      await host.apply([bridge('br0'), { op: 'createLink', name: 'a', link, master: 'br0', up: true }]);
      await host.apply([{ op: 'setLink', name: 'a', master: null, up: false }]);
      expect(await host.link('a')).toMatchObject({ master: undefined, up: false });
    });
  });

  it('refuses a namespace that another osl opened', async () => {
    await withTestHost(async ({ host, path, create }) => {
      await create('other');
      const foreign = linuxOsl();
      const namespace = await foreign.openNamespace(path('other'));
      await expect(host.apply([{ op: 'setLink', name: 'lo', namespace }])).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: 'changes[0].namespace',
      });
      await foreign.close();
    });
  });

  it('lets the caller give up before it begins', async () => {
    await withTestHost(async ({ host }) => {
      const signal = AbortSignal.abort(new Error('enough'));
      await expect(host.apply([bridge('br0')], { signal })).rejects.toMatchObject({
        code: 'ABORTED',
        cause: new Error('enough'),
      });
      expect(await host.link('br0')).toBeUndefined();
    });
  });

  it('takes a thousand at once', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([bridge('br0')]);
      const addresses = Array.from({ length: 1000 }, (_, i) => `10.9.${i >> 8}.${i & 255}/32`);
      await host.apply(addresses.map((address) => ({ op: 'addAddress', link: 'br0', address })));
      const found = (await host.addresses('br0')).filter(({ family }) => family === 'ipv4');
      expect(found.map(({ address }) => address)).toEqual(addresses);
      await host.apply(addresses.map((address) => ({ op: 'deleteAddress', link: 'br0', address })));
      expect((await host.addresses('br0')).filter(({ family }) => family === 'ipv4')).toEqual([]);
    });
  });
});

describe.skipIf(!canUseKernel)(`links of other kinds ${whyNot}`, () => {
  it('are made with what belongs to them', async () => {
    await withTestHost(async ({ host }) => {
      const vxlan = { kind: 'vxlan', id: 256, port: 4789, proxy: true, l2miss: true, l3miss: true } as const;
      await host.apply([
        { op: 'createLink', name: 'a', link: { kind: 'veth', peer: { name: 'b' } } },
        { op: 'createLink', name: 'vx0', link: { ...vxlan, local: '192.0.2.1', learning: false }, up: true },
        { op: 'createLink', name: 'mv0', link: { kind: 'macvlan', parent: 'a', mode: 'bridge' } },
        { op: 'createLink', name: 'ifb7', link: { kind: 'ifb' } },
      ]);
      const a = await host.link('a');
      expect(await host.link('vx0')).toMatchObject({ kind: 'vxlan', up: true });
      expect(await host.link('mv0')).toMatchObject({ kind: 'macvlan', peerIndex: a?.index });
      expect(await host.link('ifb7')).toMatchObject({ kind: 'ifb' });
    });
  });

  it('are NOT_IMPLEMENTED where the kernel has no such kind', async () => {
    await withTestHost(async ({ host }) => {
      const attempts = [
        { kind: 'dummy' },
        { kind: 'vlan', parent: 'br0', id: 100 },
        { kind: 'ipvlan', parent: 'br0', mode: 'l2' },
      ] as const;
      await host.apply([bridge('br0')]);
      for (const link of attempts) {
        const made = await host.apply([{ op: 'createLink', name: 'x', link }]).then(
          () => true,
          (error: unknown) => error,
        );
        if (made === true) await host.deleteLink('x');
        else expect(made).toMatchObject({ code: 'NOT_IMPLEMENTED', errno: 'EOPNOTSUPP' });
      }
    });
  });
});

describe.skipIf(!canUseKernel)(`neighbours and forwarding entries ${whyNot}`, () => {
  it('are set, replaced, told and deleted', async () => {
    await withTestHost(async ({ host }) => {
      const macAddress = '02:42:0a:09:00:07';
      const neighbour = { link: 'br0', family: 'ipv4', address: '10.9.0.7', permanent: true };
      await host.apply([
        bridge('br0'),
        { op: 'addAddress', link: 'br0', address: '10.9.0.1/24' },
        { op: 'setNeighbour', link: 'br0', address: '10.9.0.7', macAddress: '02:42:00:00:00:01' },
        { op: 'setNeighbour', link: 'br0', address: '10.9.0.7', macAddress },
        { op: 'setNeighbour', link: 'br0', address: 'fd00:9::7', macAddress },
      ]);
      expect(await host.neighbours('br0')).toEqual(
        expect.arrayContaining([
          { ...neighbour, macAddress },
          { ...neighbour, macAddress, family: 'ipv6', address: 'fd00:9::7' },
        ]),
      );
      expect((await host.neighbours()).filter(({ address }) => address === '10.9.0.7')).toHaveLength(1);
      await host.apply([{ op: 'deleteNeighbour', link: 'br0', address: '10.9.0.7', macAddress }]);
      const again = host.apply([{ op: 'deleteNeighbour', link: 'br0', address: '10.9.0.7', macAddress }]);
      await expect(again).rejects.toMatchObject({ code: 'NOT_FOUND', errno: 'ENOENT' });
    });
  });

  it('of a vxlan have remotes, several for frames to all', async () => {
    await withTestHost(async ({ host }) => {
      const macAddress = '02:42:0a:09:00:07';
      const everyone = '00:00:00:00:00:00';
      const entry = (mac: string, address: string): Change => ({
        op: 'setNeighbour',
        link: 'vx0',
        fdb: true,
        macAddress: mac,
        address,
      });
      await host.apply([
        { op: 'createLink', name: 'vx0', link: { kind: 'vxlan', id: 256, port: 4789 }, up: true },
        entry(macAddress, '192.0.2.9'),
        entry(macAddress, '192.0.2.7'),
        entry(everyone, '192.0.2.7'),
        entry(everyone, '192.0.2.8'),
        entry(everyone, '192.0.2.8'),
      ]);
      const found = (await host.neighbours('vx0')).filter(({ address }) => address !== undefined);
      expect(found.map((each) => `${each.macAddress} ${each.address}`).sort()).toEqual([
        `${everyone} 192.0.2.7`,
        `${everyone} 192.0.2.8`,
        `${macAddress} 192.0.2.7`,
      ]);
      expect(found.every(({ family, permanent }) => family === 'bridge' && permanent)).toBe(true);
    });
  });

  it('of a bridge’s port are the bridge’s', async () => {
    await withTestHost(async ({ host }) => {
      const macAddress = '02:42:0a:09:00:07';
      const link = { kind: 'veth', peer: { name: 'b' } } as const;
      const spec = { link: 'a', fdb: true, macAddress };
      await host.apply([bridge('br0'), { op: 'createLink', name: 'a', link, master: 'br0' }]);
      await host.apply([{ op: 'setNeighbour', ...spec }]);
      const told = { link: 'a', family: 'bridge', address: undefined, macAddress, permanent: true };
      expect(await host.neighbours('a')).toContainEqual(told);
      await host.apply([{ op: 'deleteNeighbour', ...spec }]);
      expect(await host.neighbours('a')).not.toContainEqual(told);
    });
  });
});

describe.skipIf(!canUseKernel)(`settings of the kernel ${whyNot}`, () => {
  it('are read and written in their namespace', async () => {
    await withTestHost(async ({ host }) => {
      const mine = readFileSync('/proc/sys/net/ipv4/conf/lo/tag', 'utf8').trim();
      await host.setSysctl('net/ipv4/conf/lo/tag', '4711');
      expect(await host.sysctl('net/ipv4/conf/lo/tag')).toBe('4711');
      expect(readFileSync('/proc/sys/net/ipv4/conf/lo/tag', 'utf8').trim()).toBe(mine);
      expect(await host.sysctl('net/ipv4/conf/never/forwarding')).toBeUndefined();
    });
  });

  it('say what is wrong with a key or a value', async () => {
    await withTestHost(async ({ host }) => {
      for (const key of [
        'kernel/hostname',
        'net',
        'net/',
        'net/../kernel/hostname',
        'net/ipv4//x',
        '/net/ipv4/x',
      ])
        for (const call of [() => host.sysctl(key), () => host.setSysctl(key, '1')])
          await expect(call(), key).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field: 'key' });
      await expect(host.setSysctl('net/ipv4/conf/never/tag', '1')).rejects.toMatchObject({
        code: 'NOT_FOUND',
        errno: 'ENOENT',
      });
      await expect(host.setSysctl('net/ipv4/conf/lo/tag', 'x')).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        errno: 'EINVAL',
      });
    });
  });
});
