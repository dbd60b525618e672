/** IPsec's tables. That packets are encrypted is tested where a kernel with ESP is. */
import { describe, expect, it } from 'vitest';
import type { XfrmChange, XfrmPolicy, XfrmState } from '../../osl/osl.ts';
import { type Ground, nets, type OslSuite, promisesOf, refusal } from './ground.ts';

const key = Uint8Array.from({ length: 20 }, (_, i) => i);

const stateOf = (source: string, destination: string, more: Partial<XfrmState> = {}): XfrmState => ({
  source,
  destination,
  spi: 0x1000,
  reqid: 13681891,
  mode: 'transport',
  key,
  icvBits: 64,
  replayWindow: 32,
  esn: false,
  ...more,
});

const policyOf = (source: string, destination: string, more: Partial<XfrmPolicy> = {}): XfrmPolicy => {
  const length = source.includes(':') ? 128 : 32;
  return {
    direction: 'out',
    selector: {
      source: `${source}/${length}`,
      destination: `${destination}/${length}`,
      protocol: 17,
      destinationPort: 4789,
    },
    mark: { value: 0xd0c4e3, mask: 0xffff_ffff },
    priority: 100,
    action: 'allow',
    template: { source, destination, mode: 'transport', reqid: 13681891, spi: 0x1000 },
    ...more,
  };
};

export function encryptionPromises(suite: OslSuite): void {
  const promise = promisesOf(suite);
  /** Associations need ESP in the kernel; policies do not. */
  const withEsp = (title: string, keep: (ground: Ground) => Promise<void>): void => {
    if (suite.lacks?.includes('esp')) it.skip(`${title} (this kernel has no ESP)`, () => undefined);
    else promise(title, keep);
  };

  describe('policies of IPsec', () => {
    for (const net of nets) {
      promise(`are read as they were set, replaced, and deleted, ${net.family}`, async ({ host }) => {
        const policy = policyOf(net.at(1), net.at(2));
        await host.applyXfrm([{ op: 'setPolicy', policy }]);
        const expected = {
          ...policy,
          selector: { ...policy.selector, sourcePort: undefined },
          template: { ...policy.template, optional: false },
        };
        expect(await host.xfrmPolicies()).toEqual([expected]);
        await host.applyXfrm([{ op: 'setPolicy', policy: { ...policy, priority: 7 } }]);
        expect(await host.xfrmPolicies()).toEqual([{ ...expected, priority: 7 }]);
        const incoming = { ...policy, direction: 'in' as const };
        await host.applyXfrm([
          { op: 'setPolicy', policy: incoming },
          { op: 'deletePolicy', policy },
        ]);
        expect(await host.xfrmPolicies()).toEqual([{ ...expected, direction: 'in' }]);
      });
    }

    promise('are there or not: ENOENT', async ({ host }) => {
      const policy = policyOf('192.0.2.1', '192.0.2.2');
      const first = { op: 'setPolicy', policy } as const;
      const refused = refusal(
        host.applyXfrm([first, { op: 'deletePolicy', policy: { ...policy, direction: 'in' } }]),
      );
      expect(await refused).toEqual({
        code: 'NOT_FOUND',
        errno: 'ENOENT',
        operation: 'xfrm[1] deletePolicy',
      });
      expect(await host.xfrmPolicies()).toHaveLength(1);
    });

    promise('are of one namespace', async ({ host, create }) => {
      const other = await create('other');
      await host.applyXfrm([{ op: 'setPolicy', policy: policyOf('192.0.2.1', '192.0.2.2') }]);
      expect(await other.xfrmPolicies()).toEqual([]);
    });
  });

  describe('associations of IPsec', () => {
    for (const net of nets) {
      withEsp(`are read as they were added, and deleted, ${net.family}`, async ({ host }) => {
        const states = [
          stateOf(net.at(1), net.at(2)),
          stateOf(net.at(2), net.at(1), { spi: 0x1001, esn: true, replayWindow: 64, icvBits: 128 }),
        ];
        await host.applyXfrm(states.map((state) => ({ op: 'addState', state })));
        const found = (await host.xfrmStates()).map((state) => ({ ...state, key: [...state.key] }));
        expect(found).toHaveLength(2);
        expect(found).toEqual(
          expect.arrayContaining(
            states.map((state) => ({
              ...state,
              key: [...key],
              mark: undefined,
              statistics: { bytes: 0, packets: 0, replayed: 0, forged: 0 },
            })),
          ),
        );
        await host.applyXfrm(states.map((state) => ({ op: 'deleteState', state })));
        expect(await host.xfrmStates()).toEqual([]);
      });
    }

    withEsp('are added once: EEXIST, and missed: ESRCH', async ({ host }) => {
      const state = stateOf('192.0.2.1', '192.0.2.2');
      await host.applyXfrm([{ op: 'addState', state }]);
      expect(await refusal(host.applyXfrm([{ op: 'addState', state }]))).toEqual({
        code: 'ALREADY_EXISTS',
        errno: 'EEXIST',
        operation: 'xfrm[0] addState',
      });
      const missing = { op: 'deleteState', state: { ...state, spi: 0x2000 } } as const;
      expect(await refusal(host.applyXfrm([missing]))).toEqual({
        code: 'NOT_FOUND',
        errno: 'ESRCH',
        operation: 'xfrm[0] deleteState',
      });
    });
  });

  const wrong: Readonly<Record<string, XfrmChange>> = {
    'state.key': { op: 'addState', state: stateOf('192.0.2.1', '192.0.2.2', { key: new Uint8Array(16) }) },
    'state.spi': { op: 'addState', state: stateOf('192.0.2.1', '192.0.2.2', { spi: 255 }) },
    'state.source': { op: 'addState', state: stateOf('::1', '192.0.2.2') },
    'state.icvBits': { op: 'addState', state: stateOf('192.0.2.1', '192.0.2.2', { icvBits: 65 }) },
    'state.replayWindow': { op: 'addState', state: stateOf('192.0.2.1', '192.0.2.2', { replayWindow: 33 }) },
    'policy.priority': {
      op: 'setPolicy',
      policy: policyOf('192.0.2.1', '192.0.2.2', { priority: -1 }),
    },
    'policy.selector.destination': {
      op: 'deletePolicy',
      policy: policyOf('192.0.2.1', 'nowhere'),
    },
  };
  for (const [field, change] of Object.entries(wrong)) {
    promise(`refuses a wrong ${field} before the kernel is asked`, async ({ host }) => {
      await expect(host.applyXfrm([change])).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: `xfrm[0].${field}`,
      });
    });
  }
}
