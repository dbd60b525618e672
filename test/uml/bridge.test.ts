import { describe, expect, it } from 'vitest';
import type { BridgeSpec, Change, Namespace } from '../../src/osl/osl.ts';
import { withTestHost } from '../support/kernel.ts';
import { address, doesNotReach, linux, type Net, nets, reaches, up, whyNot, wire } from './support.ts';

const noFiltering = await whyNot('vlan filtering');

const bridge = (spec: Omit<BridgeSpec, 'kind'>): Change => ({
  op: 'createLink',
  name: 'br0',
  link: { kind: 'bridge', ...spec },
  up: true,
});

/** Namespaces on one bridge, each by a wire `p0`, `p1`, ... to its `eth0`, with the addresses 2, 3, ... */
async function onBridge(
  { host, create }: { host: Namespace; create: (name: string) => Promise<Namespace> },
  net: Net,
  count: number,
): Promise<Namespace[]> {
  const inside: Namespace[] = [];
  for (let i = 0; i < count; i++) {
    const namespace = await create(`n${i}`);
    await wire([host, `p${i}`], [namespace, 'eth0']);
    await host.apply([{ op: 'setLink', name: `p${i}`, master: 'br0' }]);
    await namespace.apply([address('eth0', net, 1, i + 2)]);
    inside.push(namespace);
  }
  return inside;
}

describe.skipIf(noFiltering)(`a bridge that filters VLANs ${noFiltering}`, () => {
  it('has the settings that it was made with', async () => {
    await withTestHost(async ({ host }) => {
      const spec = { vlanFiltering: true, stp: true, forwardDelay: 4.5, multicastSnooping: false };
      await host.apply([bridge(spec)]);
      expect(await linux(host).bridge('br0')).toEqual(spec);
      await host.apply([{ op: 'createLink', name: 'br1', link: { kind: 'bridge' } }]);
      const defaults = { vlanFiltering: false, stp: false, forwardDelay: 15, multicastSnooping: true };
      expect(await linux(host).bridge('br1')).toEqual(defaults);
      expect(await linux(host).bridge('lo')).toBeUndefined();
      expect(await linux(host).bridge('never')).toBeUndefined();
    });
  });

  it.each(nets)('joins the ports of one VLAN and parts those of two, $family', async (net) => {
    await withTestHost(async (test) => {
      const { host } = test;
      await host.apply([bridge({ vlanFiltering: true })]);
      const [a, b, c] = await onBridge(test, net, 3);
      if (!a || !b || !c) throw new Error('three are made');
      await reaches(a, net.at(1, 3));
      await reaches(a, net.at(1, 4));
      for (const port of ['p0', 'p1']) {
        await host.apply([
          { op: 'addBridgeVlan', link: port, id: 7, pvid: true, untagged: true },
          { op: 'deleteBridgeVlan', link: port, id: 1 },
        ]);
      }
      await reaches(a, net.at(1, 3));
      await doesNotReach(a, net.at(1, 4));
      await doesNotReach(c, net.at(1, 3));
      expect((await linux(host).bridgeVlans()).get('p0')).toEqual([{ id: 7, pvid: true, untagged: true }]);
    });
  });

  it.each(nets)('carries many VLANs over a port, with their tags, $family', async (net) => {
    await withTestHost(async (test) => {
      const { host } = test;
      await host.apply([bridge({ vlanFiltering: true })]);
      const [a, trunk] = await onBridge(test, net, 2);
      if (!a || !trunk) throw new Error('two are made');
      await host.apply([
        { op: 'addBridgeVlan', link: 'p0', id: 20, pvid: true, untagged: true },
        { op: 'addBridgeVlan', link: 'p1', id: 10, end: 20 },
      ]);
      await trunk.apply([
        { op: 'deleteAddress', link: 'eth0', address: `${net.at(1, 3)}/${net.length}` },
        { op: 'createLink', name: 'eth0.20', link: { kind: 'vlan', parent: 'eth0', id: 20 }, up: true },
        address('eth0.20', net, 1, 3),
      ]);
      await reaches(a, net.at(1, 3));
      const carried = (await linux(host).bridgeVlans()).get('p1')?.map(({ id }) => id);
      expect(carried).toEqual([1, ...Array.from({ length: 11 }, (_, i) => 10 + i)]);
      await host.apply([{ op: 'deleteBridgeVlan', link: 'p1', id: 15, end: 20 }]);
      expect((await linux(host).bridgeVlans()).get('p1')?.map(({ id }) => id)).toEqual([
        1, 10, 11, 12, 13, 14,
      ]);
      await doesNotReach(a, net.at(1, 3));
    });
  });

  it.each(nets)('has its own address in the VLANs that it is given itself, $family', async (net) => {
    await withTestHost(async (test) => {
      const { host } = test;
      await host.apply([bridge({ vlanFiltering: true }), address('br0', net, 1, 1)]);
      const [a] = await onBridge(test, net, 1);
      if (!a) throw new Error('one is made');
      await reaches(a, net.at(1, 1));
      await host.apply([{ op: 'addBridgeVlan', link: 'p0', id: 7, pvid: true, untagged: true }]);
      await doesNotReach(a, net.at(1, 1));
      await host.apply([{ op: 'addBridgeVlan', link: 'br0', id: 7, pvid: true, untagged: true }]);
      await reaches(a, net.at(1, 1));
    });
  });

  it('loses nothing when a VLAN is taken off that is not there', async () => {
    await withTestHost(async (test) => {
      await test.host.apply([bridge({ vlanFiltering: true })]);
      await onBridge(test, nets[0], 1);
      await test.host.apply([{ op: 'deleteBridgeVlan', link: 'p0', id: 99 }]);
      expect((await linux(test.host).bridgeVlans()).get('p0')).toEqual([
        { id: 1, pvid: true, untagged: true },
      ]);
    });
  });

  it('is what has VLANs: no other link takes any', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([
        { op: 'createLink', name: 'v', link: { kind: 'veth', peer: { name: 'w' } } },
        up('v'),
      ]);
      const refused = host.apply([{ op: 'addBridgeVlan', link: 'v', id: 7 }]);
      await expect(refused).rejects.toMatchObject({
        code: 'NOT_IMPLEMENTED',
        errno: 'EOPNOTSUPP',
        operation: 'changes[0] addBridgeVlan',
      });
    });
  });
});
