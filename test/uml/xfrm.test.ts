import { describe, expect, it } from 'vitest';
import type { Namespace, XfrmChange, XfrmState } from '../../src/osl/osl.ts';
import { withTestHost } from '../support/kernel.ts';
import {
  address,
  association,
  doesNotReach,
  linux,
  type Net,
  nets,
  reaches,
  whyNoEsp,
  wire,
} from './support.ts';

const noEsp = await whyNoEsp();

/** Makes a host encrypt what it sends to another, and take only what is encrypted from there. */
function encrypted(own: string, other: string, more: Partial<XfrmState> = {}): XfrmChange[] {
  const { mode } = association(own, other, more);
  const whole = (text: string) => `${text}/${text.includes(':') ? 128 : 32}`;
  const ways = [
    { direction: 'out', source: own, destination: other },
    { direction: 'in', source: other, destination: own },
  ] as const;
  return ways.flatMap(({ direction, source, destination }): XfrmChange[] => [
    { op: 'addState', state: association(source, destination, more) },
    {
      op: 'setPolicy',
      policy: {
        direction,
        // Echoes only: neighbours must be found in the clear.
        selector: {
          source: whole(source),
          destination: whole(destination),
          protocol: source.includes(':') ? undefined : 1,
        },
        priority: 10,
        action: 'allow',
        template: { source, destination, mode, reqid: 7 },
      },
    },
  ]);
}

async function pair(
  { host, create }: { host: Namespace; create: (name: string) => Promise<Namespace> },
  net: Net,
) {
  const far = await create('far');
  await wire([host, 'p'], [far, 'q']);
  await host.apply([address('p', net, 1, 1)]);
  await far.apply([address('q', net, 1, 2)]);
  await reaches(host, net.at(1, 2));
  return { near: linux(host), far: linux(far), own: net.at(1, 1), other: net.at(1, 2) };
}

/** The states that packets pass, by where to. */
async function packets(namespace: Namespace): Promise<Record<string, number>> {
  const states = await linux(namespace).xfrmStates();
  return Object.fromEntries(
    states.map(({ source, statistics }) => [`from ${source.slice(-1)}`, statistics.packets]),
  );
}

describe.skipIf(noEsp)(`ESP with AES-GCM ${noEsp}`, () => {
  it.each(
    nets.flatMap((net) =>
      [
        { how: 'in transport mode', more: {} },
        { how: 'in tunnel mode', more: { mode: 'tunnel' } },
        { how: 'with long sequence numbers', more: { esn: true, replayWindow: 1024 } },
        { how: 'with a key of 256 bits', more: { key: new Uint8Array(36).fill(7), icvBits: 64 } },
      ].map(({ how, more }) => ({ net, family: net.family, how, more: more as Partial<XfrmState> })),
    ),
  )('encrypts what two hosts send each other $how, $family', async ({ net, more }) => {
    await withTestHost(async (test) => {
      const { near, far, own, other } = await pair(test, net);
      await near.applyXfrm(encrypted(own, other, more));
      // The far end has no key yet.
      await doesNotReach(near, other);
      await far.applyXfrm(encrypted(other, own, more));
      await reaches(near, other);
      const before = await packets(far);
      await reaches(near, other);
      const after = await packets(far);
      // One echo came in by the far end's state, and its answer went out by the other.
      expect(after['from 1']).toBeGreaterThan(before['from 1'] ?? 0);
      expect(after['from 2']).toBeGreaterThan(before['from 2'] ?? 0);
      for (const { statistics } of await far.xfrmStates()) {
        expect(statistics.bytes).toBeGreaterThan(0);
        expect(statistics).toMatchObject({ replayed: 0, forged: 0 });
      }
    });
  });

  it('takes nothing in the clear, and nothing with another key', async () => {
    await withTestHost(async (test) => {
      const { near, far, own, other } = await pair(test, nets[0]);
      await far.applyXfrm(encrypted(other, own));
      await doesNotReach(near, other);
      await near.applyXfrm(encrypted(own, other, { key: new Uint8Array(20).fill(9) }));
      await doesNotReach(near, other);
      const coming = (await far.xfrmStates()).find(({ destination }) => destination === other);
      expect(coming?.statistics.forged).toBeGreaterThan(0);
    });
  });

  it('is read as it was set, and ends', async () => {
    await withTestHost(async (test) => {
      const { near, own, other } = await pair(test, nets[0]);
      const mark = { value: 0xd0c4e3, mask: 0xffff_ffff };
      const changes = encrypted(own, other, { mark });
      await near.applyXfrm(changes);
      const states = changes.flatMap((change) => (change.op === 'addState' ? [change.state] : []));
      const read = await near.xfrmStates();
      expect(read).toEqual(
        expect.arrayContaining(
          states.map((state) => expect.objectContaining({ ...state, key: Buffer.from(state.key) })),
        ),
      );
      const policies = changes.flatMap((change) => (change.op === 'setPolicy' ? [change.policy] : []));
      expect(await near.xfrmPolicies()).toEqual(
        expect.arrayContaining(
          policies.map(({ direction, priority }) => expect.objectContaining({ direction, priority })),
        ),
      );
      await near.applyXfrm([
        ...states.map((state) => ({ op: 'deleteState' as const, state })),
        ...policies.map((policy) => ({ op: 'deletePolicy' as const, policy })),
      ]);
      expect(await near.xfrmStates()).toEqual([]);
      expect(await near.xfrmPolicies()).toEqual([]);
      await reaches(near, other);
    });
  });

  it('refuses a second state of the same name, and to delete one that is not there', async () => {
    await withTestHost(async (test) => {
      const { near, own, other } = await pair(test, nets[0]);
      const state = association(own, other);
      await near.applyXfrm([{ op: 'addState', state }]);
      await expect(near.applyXfrm([{ op: 'addState', state }])).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        operation: 'xfrm[0] addState',
      });
      const missing = near.applyXfrm([{ op: 'deleteState', state: { ...state, spi: 0x2000 } }]);
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND', errno: 'ESRCH' });
    });
  });
});
