/** vxlans: made for networks that reach over several hosts. */
import { describe, expect } from 'vitest';
import type { Change, LinkSpec, Namespace, NeighbourSpec, VxlanSpec } from '../../osl/osl.ts';
import {
  bridge,
  cable,
  eventually,
  type Ground,
  type Net,
  nets,
  type OslSuite,
  promisesOf,
  ready,
  refusal,
  up,
  veth,
} from './ground.ts';

const PEERS = 300;

const vxlan = (
  name: string,
  link: Omit<VxlanSpec, 'kind'>,
  more: { namespace?: Namespace } = {},
): Change => ({
  op: 'createLink',
  name,
  link: { kind: 'vxlan', ...link },
  up: true,
  ...more,
});

const mac = (n: number) =>
  `02:42:0a:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;

export function tunnelPromises(suite: OslSuite): void {
  const it = promisesOf(suite);

  describe('a vxlan', () => {
    for (const net of nets) {
      it(`carries frames between two hosts that have each other's entries, over ${net.family}`, async (ground) => {
        const { hosts, inside } = await overlay(ground, net);
        for (const [here, there] of [
          [0, 1],
          [1, 0],
        ] as const) {
          const remote = net.at(there + 1);
          await hosts[here].bridges.apply([
            { op: 'setNeighbour', link: 'vx', macAddress: mac(there), address: remote, fdb: true },
            { op: 'setNeighbour', link: 'vx', macAddress: mac(there), address: `10.99.0.${there + 1}` },
          ]);
        }
        await eventually(async () => (await inside[0].ping('10.99.0.2')) !== undefined, true);
        const forget: readonly NeighbourSpec[] = [
          { link: 'vx', macAddress: mac(1), address: net.at(2), fdb: true },
          { link: 'vx', macAddress: mac(1), address: '10.99.0.2' },
        ];
        await hosts[0].bridges.apply(forget.map((each) => ({ op: 'deleteNeighbour', ...each })));
        // What the bridge itself has learned of its port has no remote, and stays a while.
        const left = (await hosts[0].bridges.neighbours('vx')).filter((n) => n.macAddress === mac(1));
        expect(left.filter((n) => n.address !== undefined)).toEqual([]);
      });
    }

    it(`takes ${PEERS} entries and as many neighbours in one send, and gives them back`, async ({ host }) => {
      await host.apply([vxlan('vx', { id: 5, port: 4789, learning: false, proxy: true })]);
      const specs = Array.from({ length: PEERS }, (_, n): readonly NeighbourSpec[] => [
        { link: 'vx', macAddress: mac(n), address: `192.0.2.${n % 250}`, fdb: true },
        { link: 'vx', macAddress: mac(n), address: `10.9.${n >> 8}.${n & 255}` },
      ]).flat();
      const own = async () =>
        (await host.neighbours('vx')).filter((entry) => entry.macAddress?.startsWith('02:42')).length;
      await host.apply(specs.map((each) => ({ op: 'setNeighbour', ...each })));
      expect(await own()).toBe(2 * PEERS);
      await host.apply(specs.map((each) => ({ op: 'deleteNeighbour', ...each })));
      expect(await own()).toBe(0);
    });

    it('is told with its number, wherever it was born', async ({ host, create }) => {
      const other = await create('other');
      await host.apply([vxlan('vx', { id: 4097, port: 4789, local: '127.0.0.1' }, { namespace: other })]);
      expect(await host.link('vx')).toBeUndefined();
      expect(await other.link('vx')).toMatchObject({ kind: 'vxlan', id: 4097, up: true });
      expect((await host.link('lo'))?.id).toBeUndefined();
      // Its outer packets are those of the first: there, the number is taken.
      const again = refusal(host.apply([vxlan('vx2', { id: 4097, port: 4789 })]));
      expect(await again).toMatchObject({ code: 'ALREADY_EXISTS', errno: 'EEXIST' });
      expect(await refusal(other.apply([vxlan('vx2', { id: 4097, port: 4789 })]))).toBeUndefined();
    });

    it('shares its number with one of another port and one of the other family', async ({ host }) => {
      await host.apply([
        vxlan('vx1', { id: 9, port: 4789 }),
        vxlan('vx2', { id: 9, port: 4790 }),
        vxlan('vx3', { id: 9, port: 4789, group: '::' }),
      ]);
      const third = refusal(host.apply([vxlan('vx4', { id: 9, port: 4789, local: '::1' })]));
      expect(await third).toMatchObject({ errno: 'EEXIST' });
    });

    it('without a link below has the MTU that it is given, however large', async ({ host }) => {
      const link = { kind: 'vxlan', id: 9, port: 4789 } as const;
      await host.apply([{ op: 'createLink', name: 'vx', link, mtu: 65_535 }]);
      expect(await host.link('vx')).toMatchObject({ mtu: 65_535 });
    });

    it('fits the link that its packets leave by, and goes with it', async ({ host }) => {
      await host.apply([
        veth('eth0', 'far', undefined, { mtu: 1400 }),
        up('eth0'),
        vxlan('vx', {
          id: 9,
          port: 4789,
          group: '239.1.1.1',
          parent: 'eth0',
          ttl: 4,
          limit: 1000,
          ageing: 60,
        }),
      ]);
      expect(await host.link('vx')).toMatchObject({ kind: 'vxlan', mtu: 1350 });
      await host.deleteLink('eth0');
      expect(await host.link('vx')).toBeUndefined();
    });

    const wrong: Readonly<Record<string, Partial<VxlanSpec>>> = {
      id: { id: 2 ** 24 },
      port: { port: 0 },
      local: { local: 'here' },
      group: { local: '192.0.2.1', group: 'ff02::1' },
      parent: { group: '239.1.1.1' },
      ttl: { ttl: 256 },
      ageing: { ageing: -1 },
      'sourcePorts.last': { sourcePorts: { first: 9, last: 8 } },
    };
    for (const [field, part] of Object.entries(wrong)) {
      it(`is refused with a wrong ${field} before the kernel is asked`, async ({ host }) => {
        const link: LinkSpec = { kind: 'vxlan', id: 1, port: 4789, ...part };
        await expect(host.apply([{ op: 'createLink', name: 'vx', link }])).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          field: `changes[0].link.${field}`,
        });
        expect(await host.link('vx')).toBeUndefined();
      });
    }
  });
}

interface Host {
  /** Where the outer packets are. */
  readonly outside: Namespace;
  /** Where the bridge is, and the vxlan. */
  readonly bridges: Namespace;
}

/** Two hosts on a cable; each has a namespace with a bridge that joins a vxlan and a container. */
async function overlay(
  { create }: Ground,
  net: Net,
): Promise<{ hosts: readonly [Host, Host]; inside: readonly [Namespace, Namespace] }> {
  const make = async (n: number): Promise<{ host: Host; inside: Namespace }> => ({
    host: { outside: await create(`host${n}`), bridges: await create(`bridges${n}`) },
    inside: await create(`inside${n}`),
  });
  const both = [await make(0), await make(1)] as const;
  await cable(net, both[0].host.outside, both[1].host.outside);
  for (const [n, { host, inside }] of both.entries()) {
    const { outside, bridges } = host;
    await bridges.apply([bridge('br0', { up: true })]);
    const link = { id: 4097, port: 4789, local: net.at(n + 1), learning: false, proxy: true } as const;
    await outside.apply([vxlan('vx', link, { namespace: bridges })]);
    await bridges.apply([
      { op: 'setLink', name: 'vx', master: 'br0' },
      veth('v0', 'eth0', inside, { master: 'br0', up: true }),
    ]);
    await inside.apply([
      { op: 'setLink', name: 'eth0', macAddress: mac(n) },
      { op: 'addAddress', link: 'eth0', address: `10.99.0.${n + 1}/24` },
      up('eth0'),
    ]);
    await ready(nets[0], inside, 'eth0');
  }
  return { hosts: [both[0].host, both[1].host], inside: [both[0].inside, both[1].inside] };
}
