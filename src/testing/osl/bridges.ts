import { describe, expect } from 'vitest';
import type { BridgeSpec, Change, Namespace } from '../../osl/osl.ts';
import {
  address,
  bridge,
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

/** The settings of bridges, and the VLANs of their ports. */
export function bridgePromises(suite: OslSuite): void {
  const it = promisesOf(suite);

  describe("bridges' settings", () => {
    it('are taken, or refused before anything is sent', async ({ host }) => {
      const spec = { stp: true, forwardDelay: 2, multicastSnooping: false } as const;
      await host.apply([bridge('br0', { link: { kind: 'bridge', ...spec } })]);
      expect(await host.link('br0')).toMatchObject({ kind: 'bridge' });
      const senseless: Omit<BridgeSpec, 'kind'>[] = [
        { stp: true, forwardDelay: 1 },
        { forwardDelay: 31 },
        { forwardDelay: -1 },
      ];
      for (const each of senseless) {
        const change = bridge('br1', { link: { kind: 'bridge', ...each } });
        expect(await refusal(host.apply([change]))).toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
      expect(await host.link('br1')).toBeUndefined();
    });

    it('name VLANs from 1 to 4094, and one only for what has no tag', async ({ host }) => {
      const senseless: Change[] = [
        { op: 'addBridgeVlan', link: 'lo', id: 0 },
        { op: 'addBridgeVlan', link: 'lo', id: 7, end: 6 },
        { op: 'addBridgeVlan', link: 'lo', id: 7, end: 8, pvid: true },
        { op: 'deleteBridgeVlan', link: 'lo', id: 4095 },
      ];
      for (const change of senseless)
        expect(await refusal(host.apply([change]))).toMatchObject({ code: 'INVALID_ARGUMENT' });
      const refused = await refusal(host.apply([{ op: 'addBridgeVlan', link: 'none', id: 7 }]));
      expect(refused).toMatchObject({ errno: 'ENODEV', operation: 'changes[0] addBridgeVlan' });
      const onNoBridge = await refusal(host.apply([{ op: 'addBridgeVlan', link: 'lo', id: 7 }]));
      expect(onNoBridge).toMatchObject({ errno: 'EOPNOTSUPP' });
    });
  });

  describe('bridges that filter VLANs', () => {
    const filtering = bridge('br0', { link: { kind: 'bridge', vlanFiltering: true }, up: true });
    if (suite.lacks?.includes('vlan filtering')) {
      it('are refused where the kernel has none, and not left behind', async ({ host }) => {
        const refused = await refusal(host.apply([filtering]));
        expect(refused).toMatchObject({ code: 'NOT_IMPLEMENTED', operation: 'changes[0] createLink' });
        expect(await host.link('br0')).toBeUndefined();
      });
      return;
    }

    for (const net of nets) {
      it(`carry ${net.family} between the ports of one VLAN only`, async (ground) => {
        const { host } = ground;
        await host.apply([filtering, address(net, 'br0', 1)]);
        const [a, , c] = [
          await onPort(ground, net, 2),
          await onPort(ground, net, 3),
          await onPort(ground, net, 4),
        ];
        expect(await a.ping(net.at(4))).toBeTypeOf('number');
        expect(await a.ping(net.at(1))).toBeTypeOf('number');
        for (const port of ['p2', 'p3'])
          await host.apply([{ op: 'addBridgeVlan', link: port, id: 7, pvid: true, untagged: true }]);
        await eventually(async () => (await a.ping(net.at(3))) !== undefined, true);
        expect(await lost(a, net.at(4))).toBe(true);
        expect(await lost(c, net.at(3))).toBe(true);
        expect(await lost(a, net.at(1))).toBe(true);
        await host.apply([{ op: 'deleteBridgeVlan', link: 'p2', id: 2, end: 4094 }]);
        // A frame without a tag belongs to no VLAN now.
        expect(await lost(a, net.at(4))).toBe(true);
        await host.apply([{ op: 'addBridgeVlan', link: 'p2', id: 1, pvid: true, untagged: true }]);
        await eventually(async () => (await a.ping(net.at(4))) !== undefined, true);
      });
    }

    it('begin anew with a port that left and came back', async (ground) => {
      const [net] = nets;
      const { host } = ground;
      await host.apply([filtering, address(net, 'br0', 1)]);
      const inside = await onPort(ground, net, 2);
      await host.apply([{ op: 'deleteBridgeVlan', link: 'p2', id: 1 }]);
      expect(await lost(inside, net.at(1))).toBe(true);
      await host.apply([{ op: 'setLink', name: 'p2', master: null }]);
      await host.apply([{ op: 'setLink', name: 'p2', master: 'br0' }]);
      await eventually(async () => (await inside.ping(net.at(1))) !== undefined, true);
    });
  });
}

/** A namespace at a port `p<n>` of `br0`, with the number n. */
async function onPort({ host, create }: Ground, net: Net, n: number): Promise<Namespace> {
  const inside = await create(`n${n}`);
  await host.apply([veth(`p${n}`, 'eth0', inside, { master: 'br0', up: true })]);
  await inside.apply([address(net, 'eth0', n), up('eth0')]);
  await ready(net, inside, 'eth0');
  return inside;
}

/** True when nothing answers: neither with an echo nor by being found on the link. */
async function lost(from: Namespace, to: string): Promise<boolean> {
  const [answer] = await Promise.allSettled([from.ping(to, { timeoutMs: 300 })]);
  return answer.status === 'rejected' || answer.value === undefined;
}
