import { describe, expect, it } from 'vitest';
import { FAMILIES } from '../../../src/ip.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { buildWorld, type Container, plain } from './world.ts';

/** A first packet may be lost as a link comes up: the kernel does not keep it. */
async function reaches(from: Container, to: Container): Promise<boolean[]> {
  const answers = [];
  for (const family of FAMILIES) {
    let ms: number | undefined;
    for (let tries = 0; ms === undefined && tries < 20; tries++)
      ms = await from.namespace.ping(plain(to.peer[family]), { timeoutMs: 1_000 });
    answers.push(ms !== undefined);
  }
  return answers;
}

/** What has left by the wire. */
async function sent(host: Namespace): Promise<number> {
  return (await host.link('eth0'))?.statistics.txPackets ?? 0;
}

describe.skipIf(!canUseKernel)(`overlay networks on the real kernel ${whyNot}`, () => {
  it.each(FAMILIES)('carry both families between hosts that reach each other by %s', (underlay) =>
    withTestHost(async (test) => {
      const world = await buildWorld(test, underlay);
      const [one, two] = world.hosts;
      const [a, b] = [await one.run(2), await two.run(3)];
      await world.introduce([
        [one, a],
        [two, b],
      ]);
      expect(await reaches(a, b)).toEqual([true, true]);
      expect(await reaches(b, a)).toEqual([true, true]);
      const { mtu } = (await a.namespace.link('eth0')) ?? {};
      expect(mtu).toBe(underlay === 'ipv4' ? 1450 : 1430);
    }),
  );

  it('have several subnets, and route between them on every host', () =>
    withTestHost(async (test) => {
      const pool = (n: number) => ({
        subnet: `10.9.${n}.0/24`,
        gateway: `10.9.${n}.1/24`,
        auxAddresses: {},
      });
      const sixth = (n: number) => ({
        subnet: `fd00:9:${n}::/64`,
        gateway: `fd00:9:${n}::1/64`,
        auxAddresses: {},
      });
      const world = await buildWorld(test, 'ipv4', { ipv4: [pool(1), pool(2)], ipv6: [sixth(1), sixth(2)] });
      const [one, two] = world.hosts;
      const [a, b, c] = [await one.run(2, 0), await two.run(3, 1), await two.run(4, 0)];
      await world.introduce([
        [one, a],
        [two, b],
        [two, c],
      ]);
      for (const [from, to] of [
        [a, b],
        [b, a],
        [a, c],
        [c, b],
      ] as const)
        expect(await reaches(from, to)).toEqual([true, true]);
    }));

  it('send nothing for who is not known, and forget who has gone', () =>
    withTestHost(async (test) => {
      const world = await buildWorld(test, 'ipv4');
      const [one, two] = world.hosts;
      const [a, b] = [await one.run(2), await two.run(3)];
      const before = await sent(one.namespace);
      expect(await a.namespace.ping('10.9.1.77', { timeoutMs: 1_000 })).toBeUndefined();
      expect(await a.namespace.ping(plain(b.peer.ipv4), { timeoutMs: 1_000 })).toBeUndefined();
      // The wire's own talk (neighbour discovery) is a few packets; three floods of ARP a second would be more.
      expect((await sent(one.namespace)) - before).toBeLessThanOrEqual(4);
      await world.introduce([
        [one, a],
        [two, b],
      ]);
      expect(await reaches(a, b)).toEqual([true, true]);
      await one.driver.updatePeers?.(world.network, { set: [], removed: [b.peer.id] });
      expect(await a.namespace.ping(plain(b.peer.ipv4), { timeoutMs: 1_000 })).toBeUndefined();
    }));

  it('find a stale peer and a missing one when they reconcile, and put both right', () =>
    withTestHost(async (test) => {
      const world = await buildWorld(test, 'ipv4');
      const [one, two] = world.hosts;
      const [a, b] = [await one.run(2), await two.run(3)];
      await world.introduce([
        [one, a],
        [two, b],
      ]);
      const { id } = world.network;
      const room = await test.osl.openNamespace(`${test.path('run-h1')}/overlay/${id.slice(0, 12)}`);
      const stale = { link: 'vxlan0', macAddress: '02:42:00:00:00:99' };
      await room.apply([
        { op: 'setNeighbour', ...stale, address: '10.9.1.99' },
        { op: 'setNeighbour', ...stale, address: '192.0.2.99', fdb: true },
        { op: 'deleteNeighbour', link: 'vxlan0', macAddress: b.peer.macAddress, address: plain(b.peer.ipv4) },
      ]);
      const place = { network: world.network, endpoint: { ...a.peer, networkId: id, name: 'a' } };
      const endpoint = { ...place.endpoint, options: {}, ports: [], bindings: [] };
      const state = {
        networks: [world.network],
        endpoints: [{ network: world.network, endpoint, joined: true }],
        peers: new Map([[id, [b.peer]]]),
      };
      const found = {
        missing: [`peer vxlan0 ${plain(b.peer.ipv4)} of network net1`],
        orphaned: [
          'peer vxlan0 10.9.1.99 of network net1',
          `peer vxlan0 mac ${stale.macAddress} of network net1`,
        ],
      };
      expect(await one.driver.reconcile(state, { dryRun: true })).toEqual(found);
      expect(await one.driver.reconcile(state)).toEqual(found);
      expect(await one.driver.reconcile(state)).toEqual({ missing: [], orphaned: [] });
      expect(await reaches(a, b)).toEqual([true, true]);
      await room.close();
    }));
});
