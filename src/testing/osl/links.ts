import { describe, expect } from 'vitest';
import type { Change, CreateLink, Link, LinkSpec } from '../../osl/osl.ts';
import { bridge, eventually, type OslSuite, promisesOf, refusal, up, veth } from './ground.ts';

export function linkPromises(suite: OslSuite): void {
  const it = promisesOf(suite);

  describe('links', () => {
    it('are born as they are wanted: name, MAC, MTU, group, bridge, state, and stamp', async ({ host }) => {
      const wanted: CreateLink = veth('v1', 'v2', undefined, {
        macAddress: '02:42:0A:09:00:05',
        mtu: 1400,
        group: 7,
        master: 'br0',
        up: true,
        alias: 'libnetwork:test:5',
      });
      await host.apply([bridge('br0'), wanted]);
      expect(await host.link('v1')).toMatchObject({
        name: 'v1',
        kind: 'veth',
        macAddress: '02:42:0a:09:00:05',
        mtu: 1400,
        group: 7,
        master: 'br0',
        up: true,
        running: false,
        alias: 'libnetwork:test:5',
      });
    });

    it('of a veth have their peer born in place in another namespace', async ({ host, create }) => {
      const inside = await create('inside');
      const peer = { name: 'eth0', macAddress: '02:42:0a:09:00:06', mtu: 1300, namespace: inside };
      await host.apply([{ op: 'createLink', name: 'v1', link: { kind: 'veth', peer } }]);
      const [outer, inner] = [await host.link('v1'), await inside.link('eth0')];
      expect(inner).toMatchObject({ name: 'eth0', mtu: 1300, macAddress: '02:42:0a:09:00:06', up: false });
      expect(outer).toMatchObject({ peerIndex: inner?.index, mtu: 1500 });
      expect(inner).toMatchObject({ peerIndex: outer?.index });
      expect(await host.link('eth0')).toBeUndefined();
    });

    it('of a veth have a group each, and the peer its own MTU', async ({ host }) => {
      await host.apply([veth('v1', 'v2', undefined, { group: 7, mtu: 1400 })]);
      expect(await host.link('v2')).toMatchObject({ group: 0, mtu: 1500 });
    });

    it('are born in the namespace that is told, and stamped there', async ({ host, create }) => {
      const inside = await create('inside');
      await inside.apply([bridge('br0')]);
      await host.apply([
        veth('v1', 'v2', undefined, { namespace: inside, master: 'br0', alias: 'libnetwork:test:1' }),
      ]);
      expect(await inside.link('v1')).toMatchObject({ master: 'br0', alias: 'libnetwork:test:1' });
      expect((await host.links()).map((link) => link.name)).toEqual(['lo', 'v2']);
    });

    it('run when both ends of a veth are up', async ({ host }) => {
      await host.apply([veth('v1', 'v2'), up('v1')]);
      expect(await host.link('v1')).toMatchObject({ up: true, running: false });
      await host.apply([up('v2')]);
      await eventually(async () => (await host.links()).map((link) => link.running), [true, true, true]);
      await host.apply([{ op: 'setLink', name: 'v2', up: false }]);
      await eventually(async () => (await host.link('v1'))?.running, false);
    });

    it('change what is named, and nothing else', async ({ host }) => {
      await host.apply([bridge('br0'), veth('v1', 'v2', undefined, { alias: 'one' })]);
      const before = await host.link('v1');
      await host.apply([{ op: 'setLink', name: 'v1', mtu: 1280, group: 3 }]);
      expect(await host.link('v1')).toEqual({ ...before, mtu: 1280, group: 3 });
      await host.apply([
        { op: 'setLink', name: 'v1', macAddress: '02:00:00:00:00:01', alias: 'two', master: 'br0', up: true },
      ]);
      expect(await host.link('v1')).toMatchObject({
        macAddress: '02:00:00:00:00:01',
        alias: 'two',
        master: 'br0',
        up: true,
        mtu: 1280,
      });
      await host.apply([{ op: 'setLink', name: 'v1', master: null, up: false }]);
      expect(await host.link('v1')).toMatchObject({ master: undefined, up: false, alias: 'two' });
    });

    it('are renamed while they are down', async ({ host }) => {
      await host.apply([bridge('br0'), { op: 'setLink', name: 'br0', rename: 'front' }]);
      expect(await host.link('br0')).toBeUndefined();
      expect(await host.link('front')).toMatchObject({ kind: 'bridge' });
      expect(await host.sysctl('net/ipv4/conf/front/forwarding')).toBeDefined();
      const taken = host.apply([bridge('br1'), { op: 'setLink', name: 'br1', rename: 'front' }]);
      expect(await refusal(taken)).toMatchObject({ errno: 'EEXIST', operation: 'changes[1] setLink' });
    });

    it('move to another namespace, and arrive down and alone', async ({ host, create }) => {
      const inside = await create('inside');
      await host.apply([
        bridge('br0'),
        veth('v1', 'v2', undefined, { master: 'br0', up: true, alias: 'one' }),
      ]);
      await host.apply([{ op: 'addAddress', link: 'v1', address: '10.9.0.1/24' }]);
      await host.apply([{ op: 'setLink', name: 'v1', namespace: inside }]);
      expect(await host.link('v1')).toBeUndefined();
      expect(await inside.link('v1')).toMatchObject({ up: false, master: undefined, alias: 'one' });
      expect(await inside.addresses('v1')).toEqual([]);
      const clash = host.apply([veth('v1', 'v3'), { op: 'setLink', name: 'v1', namespace: inside }]);
      expect(await refusal(clash)).toMatchObject({ errno: 'EEXIST' });
      const rooted = host.apply([{ op: 'setLink', name: 'br0', namespace: inside }]);
      expect(await refusal(rooted)).toMatchObject({ code: 'INVALID_ARGUMENT' });
    });

    it('are deleted with their peer, and only once', async ({ host, create }) => {
      const inside = await create('inside');
      await host.apply([veth('v1', 'eth0', inside)]);
      expect(await host.deleteLink('v1')).toBe(true);
      expect(await inside.link('eth0')).toBeUndefined();
      expect(await host.deleteLink('v1')).toBe(false);
      expect(await refusal(host.deleteLink('lo'))).toMatchObject({
        code: 'NOT_IMPLEMENTED',
        errno: 'EOPNOTSUPP',
      });
    });

    it('are deleted all at once, each answered for itself', async ({ host }) => {
      const many = Array.from({ length: 20 }, (_, i) => i);
      await host.apply(many.map((i) => veth(`a${i}`, `b${i}`)));
      const answers = await Promise.all([
        ...many.map((i) => host.deleteLink(`a${i}`)),
        host.deleteLink('none'),
      ]);
      expect(answers).toEqual([...many.map(() => true), false]);
      expect((await host.links()).map((link) => link.name)).toEqual(['lo']);
    });

    it('are listed by their indexes, each the same as when asked for alone', async ({ host }) => {
      await host.apply([bridge('br0'), veth('v1', 'v2')]);
      const links = await host.links();
      expect(links.map((link) => link.index)).toEqual(links.map((link) => link.index).sort((a, b) => a - b));
      for (const link of links) expect(await host.link(link.name)).toEqual(link);
      expect(await host.link('none')).toBeUndefined();
    });

    for (const [kind, spec] of Object.entries(stacked)) {
      if (suite.lacks?.some((lacking) => lacking === kind)) continue;
      it(`of kind ${kind} go with the link below`, async ({ host, create }) => {
        const inside = await create('inside');
        await host.apply([
          veth('v1', 'v2'),
          { op: 'createLink', name: 'top', link: spec, namespace: inside },
        ]);
        expect(await inside.link('top')).toMatchObject({ kind, peerIndex: (await host.link('v1'))?.index });
        await host.deleteLink('v1');
        await eventually(async () => await inside.link('top'), undefined);
      });
    }

    it('of kind macvlan have no larger MTU than the link below, and in passthru mode its MAC', async ({
      host,
    }) => {
      const below = veth('v1', 'v2', undefined, { mtu: 1400, macAddress: '02:00:00:00:00:01' });
      const top = (name: string, parent: string, mode: 'bridge' | 'passthru', mtu?: number): CreateLink => ({
        op: 'createLink',
        name,
        link: { kind: 'macvlan', parent, mode },
        mtu,
      });
      await host.apply([below, top('m1', 'v1', 'bridge'), top('p1', 'v2', 'passthru')]);
      expect(await refusal(host.apply([top('m2', 'v1', 'bridge', 1401)]))).toMatchObject({ errno: 'EINVAL' });
      expect(await host.link('m1')).toMatchObject({ mtu: 1400 });
      await host.apply([{ op: 'setLink', name: 'v1', mtu: 1300 }]);
      expect(await host.link('m1')).toMatchObject({ mtu: 1300 });
      await host.apply([{ op: 'setLink', name: 'v2', macAddress: '02:00:00:00:00:02' }]);
      expect(await host.link('p1')).toMatchObject({ macAddress: '02:00:00:00:00:02' });
    });

    for (const spec of alone) {
      if (suite.lacks?.includes(spec.kind)) continue;
      it(`of kind ${spec.kind} are made and deleted`, async ({ host }) => {
        await host.apply([{ op: 'createLink', name: 'one', link: spec, up: true }]);
        expect(await host.link('one')).toMatchObject({ kind: spec.kind, up: true });
        expect(await host.deleteLink('one')).toBe(true);
      });
    }
  });

  describe('bridges', () => {
    it('take the least MTU and the lowest MAC of their ports', async ({ host }) => {
      const at = (i: number): string => `02:00:00:00:00:0${i}`;
      await host.apply([bridge('br0')]);
      await host.apply([veth('a', 'a1', undefined, { macAddress: at(5), mtu: 1400, master: 'br0' })]);
      expect(await host.link('br0')).toMatchObject({ macAddress: at(5), mtu: 1400 });
      await host.apply([veth('b', 'b1', undefined, { macAddress: at(3), master: 'br0' })]);
      expect(await host.link('br0')).toMatchObject({ macAddress: at(3), mtu: 1400 });
      await host.deleteLink('a');
      expect(await host.link('br0')).toMatchObject({ macAddress: at(3), mtu: 1500 });
    });

    it('keep the MAC and the MTU that were chosen for them', async ({ host }) => {
      await host.apply([
        bridge('br0', { macAddress: '02:00:00:00:00:99' }),
        { op: 'setLink', name: 'br0', mtu: 1450 },
      ]);
      await host.apply([
        veth('a', 'a1', undefined, { macAddress: '02:00:00:00:00:01', mtu: 1400, master: 'br0' }),
      ]);
      expect(await host.link('br0')).toMatchObject({ macAddress: '02:00:00:00:00:99', mtu: 1450 });
    });

    it('let their ports go when they are deleted', async ({ host }) => {
      await host.apply([bridge('br0'), veth('v1', 'v2', undefined, { master: 'br0' })]);
      await host.deleteLink('br0');
      expect(await host.link('v1')).toMatchObject({ master: undefined });
    });
  });

  describe('changes that the kernel refuses', () => {
    it('are named, and the others are done', async ({ host }) => {
      const changes: Change[] = [bridge('br0'), bridge('br0'), bridge('br1'), up('none')];
      expect(await refusal(host.apply(changes))).toEqual({
        code: 'ALREADY_EXISTS',
        errno: 'EEXIST',
        operation: 'changes[1] createLink',
      });
      expect(await host.link('br1')).toBeDefined();
    });

    it('are not even sent when one of them makes no sense', async ({ host }) => {
      for (const name of ['', 'sixteen-bytes-xx', 'a/b', 'a b', 'a:b', '.', '..']) {
        const failed = await refusal(host.apply([bridge('br0'), bridge(name)]));
        expect(failed).toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
      const senseless: Change[] = [
        { op: 'addAddress', link: 'lo', address: '10.0.0.1' },
        { op: 'addRoute', family: 'ipv4', destination: '10.0.0.1/8', link: 'lo' },
        { op: 'addRoute', family: 'ipv4', destination: 'default', gateway: 'fd00::1' },
        { op: 'setLink', name: 'lo', macAddress: '02:00' },
        { op: 'setNeighbour', link: 'lo', macAddress: '02:00:00:00:00:01' },
        veth('v1', 'v2', undefined, { mtu: 0 }),
      ];
      for (const change of senseless)
        expect(await refusal(host.apply([bridge('br0'), change]))).toMatchObject({
          code: 'INVALID_ARGUMENT',
        });
      expect((await host.links()).map((link) => link.name)).toEqual(['lo']);
    });

    for (const { title, before, change, errno } of refusals) {
      it(`answer ${errno} to ${title}`, async ({ host }) => {
        await host.apply(before);
        const links = snapshot(await host.links());
        expect(await refusal(host.apply([change]))).toMatchObject({
          errno,
          operation: `changes[0] ${change.op}`,
        });
        expect(snapshot(await host.links())).toEqual(links);
      });
    }
  });

  describe('a caller who gives up', () => {
    it('gets ABORTED, and nothing is done when it was before', async ({ host }) => {
      const signal = AbortSignal.abort(new Error('enough'));
      expect(await refusal(host.apply([bridge('br0')], { signal }))).toMatchObject({ code: 'ABORTED' });
      expect(await refusal(host.deleteLink('lo', { signal }))).toMatchObject({ code: 'ABORTED' });
      expect(await refusal(host.ping('127.0.0.1', { signal }))).toMatchObject({ code: 'ABORTED' });
      expect(await refusal(host.connectTcp('127.0.0.1', 1, { signal }))).toMatchObject({ code: 'ABORTED' });
      expect(await host.link('br0')).toBeUndefined();
    });
  });
}

const stacked: Readonly<Record<string, LinkSpec>> = {
  macvlan: { kind: 'macvlan', parent: 'v1', mode: 'bridge' },
  ipvlan: { kind: 'ipvlan', parent: 'v1', mode: 'l2' },
  vlan: { kind: 'vlan', parent: 'v1', id: 7 },
};

const alone: readonly LinkSpec[] = [
  { kind: 'dummy' },
  { kind: 'ifb' },
  {
    kind: 'vxlan',
    id: 4097,
    port: 4789,
    local: '127.0.0.1',
    learning: false,
    proxy: true,
    l2miss: true,
    l3miss: true,
  },
];

/** What may differ between two looks at links that nobody changed. */
const snapshot = (links: readonly Link[]): unknown =>
  links.map(({ running: _running, statistics: _statistics, ...facts }) => facts);

const port = (name: string, master: string): CreateLink => veth(name, `${name}-far`, undefined, { master });

const refusals: readonly {
  readonly title: string;
  readonly before: readonly Change[];
  readonly change: Change;
  readonly errno: string;
}[] = [
  { title: 'a name that is taken', before: [bridge('br0')], change: veth('br0', 'x'), errno: 'EEXIST' },
  { title: 'a taken name of a peer', before: [bridge('br0')], change: veth('x', 'br0'), errno: 'EEXIST' },
  { title: 'a veth with one name for both ends', before: [], change: veth('x', 'x'), errno: 'EEXIST' },
  { title: 'a bridge that is not there', before: [], change: port('x', 'br0'), errno: 'ENODEV' },
  { title: 'a link that is not there', before: [], change: up('none'), errno: 'ENODEV' },
  {
    title: 'a bridge as the port of a bridge',
    before: [bridge('br0'), bridge('br1')],
    change: { op: 'setLink', name: 'br1', master: 'br0' },
    errno: 'ELOOP',
  },
  {
    title: 'lo as the port of a bridge',
    before: [bridge('br0')],
    change: { op: 'setLink', name: 'lo', master: 'br0' },
    errno: 'EINVAL',
  },
  {
    title: 'a port of what is no bridge',
    before: [veth('a', 'b'), veth('c', 'd')],
    change: { op: 'setLink', name: 'a', master: 'c' },
    errno: 'EOPNOTSUPP',
  },
  {
    title: 'an MTU that is too small',
    before: [veth('a', 'b')],
    change: { op: 'setLink', name: 'a', mtu: 67 },
    errno: 'EINVAL',
  },
  {
    title: 'an MTU that is too large',
    before: [veth('a', 'b')],
    change: { op: 'setLink', name: 'a', mtu: 65536 },
    errno: 'EINVAL',
  },
  {
    title: 'a link born with a large MTU',
    before: [],
    change: veth('a', 'b', undefined, { mtu: 65536 }),
    errno: 'EINVAL',
  },
  {
    title: 'a multicast MAC',
    before: [veth('a', 'b')],
    change: { op: 'setLink', name: 'a', macAddress: '01:00:5e:00:00:01' },
    errno: 'EADDRNOTAVAIL',
  },
  {
    title: 'a macvlan on the port of a bridge',
    before: [bridge('br0'), port('a', 'br0')],
    change: { op: 'createLink', name: 'm', link: { kind: 'macvlan', parent: 'a', mode: 'bridge' } },
    errno: 'EBUSY',
  },
  {
    title: 'a second vxlan of the same number',
    before: [{ op: 'createLink', name: 'x1', link: { kind: 'vxlan', id: 5, port: 4789 } }],
    change: { op: 'createLink', name: 'x2', link: { kind: 'vxlan', id: 5, port: 4789 } },
    errno: 'EEXIST',
  },
];
