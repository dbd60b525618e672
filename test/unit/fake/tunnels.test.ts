import { describe, expect, it } from 'vitest';
import { type FakeOsl, fakeOsl } from '../../../src/osl/fake/index.ts';
import type { Change, LinkSpec, Namespace } from '../../../src/osl/osl.ts';

const up = (name: string): Change => ({ op: 'setLink', name, up: true });
const address = (link: string, text: string): Change => ({ op: 'addAddress', link, address: text });

/** Two machines on one wire, each with a bridge that a vxlan joins to the other's, and a container on it. */
async function overlay(osl: FakeOsl): Promise<void> {
  const machines = [await osl.createNamespace('/run/ns/one'), await osl.createNamespace('/run/ns/two')];
  const [one, two] = machines as [Namespace, Namespace];
  await one.apply([
    { op: 'createLink', name: 'eth0', link: { kind: 'veth', peer: { name: 'eth0', namespace: two } } },
    address('eth0', '192.0.2.1/24'),
    up('eth0'),
  ]);
  await two.apply([address('eth0', '192.0.2.2/24'), up('eth0')]);
  for (const [i, machine] of machines.entries()) {
    const inside = await osl.createNamespace(`/run/ns/c${i + 1}`);
    await machine.apply([
      { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true },
      {
        op: 'createLink',
        name: 'vx',
        link: { kind: 'vxlan', id: 4097, port: 4789 },
        master: 'br0',
        up: true,
      },
      {
        op: 'createLink',
        name: 'v1',
        link: {
          kind: 'veth',
          peer: { name: 'eth0', macAddress: `02:00:00:00:00:0${i + 1}`, namespace: inside },
        },
        master: 'br0',
        up: true,
      },
    ]);
    await inside.apply([address('eth0', `10.9.0.${i + 1}/24`), up('eth0')]);
  }
}

const entry = (mac: string, remote: string): Change => ({
  op: 'setNeighbour',
  link: 'vx',
  macAddress: mac,
  address: remote,
  fdb: true,
});

describe('tunnels of the fake kernel', () => {
  it('carry frames to the remote of a MAC address, or to all that get what nobody knows', async () => {
    const osl = fakeOsl();
    await overlay(osl);
    const [one, two] = [await osl.openNamespace('/run/ns/one'), await osl.openNamespace('/run/ns/two')];
    const ask = (): unknown => osl.kernel.reaches('/run/ns/c1', '10.9.0.2', { protocol: 'icmp' });
    expect(ask()).toMatchObject({ reaches: false });
    await one.apply([entry('00:00:00:00:00:00', '192.0.2.2')]);
    expect(ask()).toMatchObject({ why: expect.stringContaining('the answer does not come back') });
    await two.apply([entry('00:00:00:00:00:00', '192.0.2.1')]);
    expect(ask()).toMatchObject({ reaches: true, namespacePath: '/run/ns/c2' });
    await one.apply([
      { op: 'setNeighbour', link: 'vx', address: '10.9.0.2', macAddress: '02:00:00:00:00:02' },
      entry('02:00:00:00:00:02', '192.0.2.9'),
    ]);
    expect(ask()).toMatchObject({ reaches: false });
    await one.apply([entry('02:00:00:00:00:02', '192.0.2.2')]);
    expect(ask()).toMatchObject({ reaches: true });
    await one.apply([{ op: 'setLink', name: 'eth0', up: false }]);
    expect(ask()).toMatchObject({ reaches: false });
  });

  it('belong to the namespace that they were made from, wherever they are', async () => {
    const osl = fakeOsl();
    await overlay(osl);
    const [one, two] = [await osl.openNamespace('/run/ns/one'), await osl.openNamespace('/run/ns/two')];
    for (const [machine, remote] of [
      [one, '192.0.2.2'],
      [two, '192.0.2.1'],
    ] as const) {
      const room = await osl.createNamespace(`${machine.path}-room`);
      await machine.deleteLink('vx');
      await machine.apply([
        {
          op: 'createLink',
          name: 'vx',
          link: { kind: 'vxlan', id: 9, port: 4789 },
          namespace: room,
          up: true,
        },
      ]);
      await room.apply([
        entry('00:00:00:00:00:00', remote),
        address('vx', machine === one ? '10.1.0.1/24' : '10.1.0.2/24'),
      ]);
    }
    const answer = osl.kernel.reaches('/run/ns/one-room', '10.1.0.2', { protocol: 'icmp' });
    expect(answer).toMatchObject({ reaches: true, namespacePath: '/run/ns/two-room' });
  });
});

describe('links on top of links', () => {
  /** Containers on one lower device whose other end is a machine outside. */
  async function upon(spec: (name: string) => LinkSpec): Promise<FakeOsl> {
    const osl = fakeOsl();
    const outside = await osl.createNamespace('/run/ns/outside');
    await osl.host.apply([
      {
        op: 'createLink',
        name: 'eth0',
        link: { kind: 'veth', peer: { name: 'eth0', namespace: outside } },
        up: true,
      },
      address('eth0', '10.9.0.1/24'),
    ]);
    await outside.apply([up('eth0'), address('eth0', '10.9.0.9/24')]);
    for (const i of [2, 3]) {
      const inside = await osl.createNamespace(`/run/ns/c${i}`);
      await osl.host.apply([
        { op: 'createLink', name: `top${i}`, link: spec(`c${i}`), namespace: inside, up: true },
      ]);
      await inside.apply([address(`top${i}`, `10.9.0.${i}/24`)]);
    }
    return osl;
  }

  const reaches = (osl: FakeOsl, from: string, to: number): boolean =>
    osl.kernel.reaches(from, `10.9.0.${to}`, { protocol: 'icmp' }).reaches;

  it.each([
    {
      title: 'macvlan in bridge mode',
      spec: { kind: 'macvlan', parent: 'eth0', mode: 'bridge' },
      siblings: true,
    },
    { title: 'private macvlan', spec: { kind: 'macvlan', parent: 'eth0', mode: 'private' }, siblings: false },
    { title: 'ipvlan', spec: { kind: 'ipvlan', parent: 'eth0', mode: 'l2' }, siblings: true },
    {
      title: 'private ipvlan',
      spec: { kind: 'ipvlan', parent: 'eth0', mode: 'l2', flag: 'private' },
      siblings: false,
    },
  ] as const)(
    'of $title reach the wire, not their host, and siblings: $siblings',
    async ({ spec, siblings }) => {
      const osl = await upon(() => spec);
      expect(reaches(osl, '/run/ns/c2', 9)).toBe(true);
      expect(reaches(osl, '/run/ns/outside', 2)).toBe(true);
      expect(reaches(osl, '/run/ns/c2', 3)).toBe(siblings);
      expect(reaches(osl, '/run/ns/c2', 1)).toBe(false);
      expect(reaches(osl, 'host', 2)).toBe(false);
    },
  );

  it('of kind vlan reach only the same vlan on the other side', async () => {
    const osl = await upon((name) => ({ kind: 'vlan', parent: 'eth0', id: name === 'c2' ? 20 : 30 }));
    const outside = await osl.openNamespace('/run/ns/outside');
    expect(reaches(osl, '/run/ns/c2', 9)).toBe(false);
    await outside.apply([
      { op: 'createLink', name: 'v20', link: { kind: 'vlan', parent: 'eth0', id: 20 }, up: true },
      { op: 'deleteAddress', link: 'eth0', address: '10.9.0.9/24' },
      address('v20', '10.9.0.9/24'),
    ]);
    expect(reaches(osl, '/run/ns/c2', 9)).toBe(true);
    expect(reaches(osl, '/run/ns/c3', 9)).toBe(false);
  });
});
