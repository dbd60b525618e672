import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL } from '../../../src/osl/linux/netlink/message.ts';
import * as tc from '../../../src/osl/linux/netlink/qdisc.ts';
import { NetlinkSocket, throwRefusal } from '../../../src/osl/linux/netlink/socket.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { steady } from '../../support/transfer.ts';

const RATE = 40_000_000;

async function pair(host: Namespace, inside: Namespace): Promise<void> {
  await host.apply([
    {
      op: 'createLink',
      name: 'v0',
      link: { kind: 'veth', peer: { name: 'eth0', namespace: inside } },
      up: true,
    },
    { op: 'addAddress', link: 'v0', address: '10.9.0.1/24' },
    { op: 'createLink', name: 'i0', link: { kind: 'ifb' }, up: true },
  ]);
  await inside.apply([
    { op: 'addAddress', link: 'eth0', address: '10.9.0.2/24' },
    { op: 'setLink', name: 'eth0', up: true },
  ]);
}

describe.skipIf(!canUseKernel)(`the bandwidth of a link ${whyNot}`, () => {
  it('is what it was limited to, in both directions, each by itself', async () => {
    await withTestHost(async ({ host, create }) => {
      const inside = await create('inside');
      await pair(host, inside);
      await host.setBandwidth('i0', { send: { bitsPerSecond: RATE / 2 } });
      await host.setBandwidth('v0', { send: { bitsPerSecond: RATE }, receiveBy: 'i0' });
      expect(await host.bandwidth('v0')).toEqual({ send: { bitsPerSecond: RATE }, receiveBy: 'i0' });
      const down = await steady(RATE, host, inside, '10.9.0.2', 5001);
      const up = await steady(RATE / 2, inside, host, '10.9.0.1', 5011);
      for (const ratio of [down, up]) {
        expect(ratio).toBeGreaterThan(0.85);
        expect(ratio).toBeLessThan(1.15);
      }
    });
  });

  it('can be changed and freed again, and that again', async () => {
    await withTestHost(async ({ host, create }) => {
      await pair(host, await create('inside'));
      await host.setBandwidth('v0', { send: { bitsPerSecond: 1_000_000, burst: 80_000 } });
      await host.setBandwidth('v0', { send: { bitsPerSecond: 80_000_000_000 }, receiveBy: 'i0' });
      await host.setBandwidth('v0', { send: { bitsPerSecond: 80_000_000_000 }, receiveBy: 'i0' });
      expect(await host.bandwidth('v0')).toEqual({
        send: { bitsPerSecond: 80_000_000_000 },
        receiveBy: 'i0',
      });
      await host.setBandwidth('v0', {});
      await host.setBandwidth('v0', {});
      expect(await host.bandwidth('v0')).toEqual({ send: undefined, receiveBy: undefined });
    });
  });

  it('can be shared among classes, which the kernel gives back as they were asked for', async () => {
    await withTestHost(async ({ host, create }) => {
      await pair(host, await create('inside'));
      const index = (await host.link('v0'))?.index ?? 0;
      const fd = openSync(host.path, 'r');
      const socket = NetlinkSocket.open(NETLINK_ROUTE, fd);
      const make = NLM_F_CREATE | NLM_F_EXCL;
      const shares = [
        { id: 10, rate: 1_000_000, ceiling: 2_000_000 },
        { id: 20, rate: 3_000_000, ceiling: 6_000_000_000 },
      ];
      throwRefusal(
        await socket.request([
          { type: tc.RTM_NEWQDISC, flags: make, payload: tc.encodeShares(index, 10), operation: 'share' },
          ...shares.map((share) => ({
            type: tc.RTM_NEWTCLASS,
            flags: make,
            payload: tc.encodeShare(index, { ...share, burst: 65_536 }),
            operation: `share ${share.id}`,
          })),
        ]),
      );
      const all = { type: tc.RTM_GETTCLASS, flags: 0, payload: tc.encodeGetShares(index), operation: 'list' };
      const found = (await socket.dump(all)).map(tc.decodeShare);
      expect(found.sort((a, b) => (a?.id ?? 0) - (b?.id ?? 0))).toEqual(shares);
      // What is shared still passes.
      expect(await host.ping('10.9.0.2')).toBeGreaterThan(0);
      socket.close();
      closeSync(fd);
    });
  });

  it('is refused for a link that is not there, and for rates that can not be', async () => {
    await withTestHost(async ({ host, create }) => {
      await pair(host, await create('inside'));
      await expect(host.setBandwidth('v9', {})).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(host.setBandwidth('v0', { receiveBy: 'i9' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
      for (const bitsPerSecond of [0, -8, 7, Number.NaN, 1.5])
        await expect(host.setBandwidth('v0', { send: { bitsPerSecond } })).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          field: 'bitsPerSecond',
        });
    });
  });
});
