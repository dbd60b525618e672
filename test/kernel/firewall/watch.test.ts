import { describe, expect, it } from 'vitest';
import { createFirewall } from '../../../src/osl/firewall/engine.ts';
import type { FirewallReport } from '../../../src/osl/firewall/firewall.ts';
import type { Transaction } from '../../../src/osl/firewall/transaction.ts';
import { netlinkBackend } from '../../../src/osl/linux/nftables/backend.ts';
import { RulesetWatch } from '../../../src/osl/linux/nftables/watch.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { endpoint, family, network, port } from '../../unit/firewall/intents.ts';
import { hasNft, type Nowhere, nowhere, TABLE } from './support.ts';

const INTENTS = [network(), endpoint('web', port())];
/** A second on a machine that is not busy. */
const WITHIN_MS = 10_000;

/** A firewall with rules, and what it told of repairs. */
async function guarded(place: Nowhere) {
  const repairs: FirewallReport[] = [];
  const firewall = await place.firewall({ onRepaired: (report) => repairs.push(report) });
  await firewall.sync(INTENTS);
  return { firewall, repairs };
}

const skip = !canUseKernel ? whyNot : hasNft ? '' : 'there is no nft program to remove rules with';
describe.skipIf(skip !== '')(`rules that somebody else removes${skip && ` (skipped: ${skip})`}`, () => {
  it.each([
    ['flush ruleset'],
    [`delete table inet ${TABLE}`],
    [`flush table inet ${TABLE}`],
    [`flush chain inet ${TABLE} in-a`],
    [`delete element inet ${TABLE} to-bridge { "br-a" }`],
  ])('are back within a second: nft %s', async (command) => {
    await nowhere(async (place) => {
      const { repairs } = await guarded(place);
      const before = place.run('nft', ['-j', 'list', 'chains']).length;
      place.run('nft', [command]);
      await expect.poll(() => repairs.length, { timeout: WITHIN_MS, interval: 5 }).toBe(1);
      expect(repairs[0]?.missing).not.toEqual([]);
      const successor = await place.firewall();
      expect(await successor.sync(INTENTS, { dryRun: true })).toEqual({ missing: [], orphaned: [] });
      expect(place.run('nft', ['-j', 'list', 'chains']).length).toBeGreaterThanOrEqual(before - 50);
    });
  });

  it('are back each time, also when they are removed again at once', async () => {
    await nowhere(async (place) => {
      const { repairs } = await guarded(place);
      for (const times of [1, 2, 3]) {
        place.run('nft', ['flush ruleset']);
        await expect.poll(() => repairs.length, { timeout: WITHIN_MS, interval: 5 }).toBe(times);
      }
    });
  });

  it('are back without those of a network that was deleted before', async () => {
    await nowhere(async (place) => {
      const { firewall, repairs } = await guarded(place);
      const other = network({ id: 'b', bridge: 'br-b', ipv4: family('ipv4', { subnet: '10.8.0.0/24' }) });
      await firewall.apply([{ set: other }]);
      await firewall.apply([{ remove: { kind: 'network', id: 'b' } }]);
      place.run('nft', ['flush ruleset']);
      await expect.poll(() => repairs.length, { timeout: WITHIN_MS, interval: 5 }).toBe(1);
      expect(place.run('nft', ['list ruleset'])).toContain('br-a');
      expect(place.run('nft', ['list ruleset'])).not.toContain('br-b');
    });
  });

  it('are back with what was being changed at that moment', async () => {
    await nowhere(async (place) => {
      const { firewall } = await guarded(place);
      const more = endpoint('more', port({ hostPort: 81, address: '10.9.0.3' }));
      place.run('nft', ['flush ruleset']);
      await firewall.apply([{ set: more }]);
      const successor = await place.firewall();
      expect(await successor.sync([...INTENTS, more], { dryRun: true })).toEqual({
        missing: [],
        orphaned: [],
      });
    });
  });

  it('stay away once the handle is closed', async () => {
    await nowhere(async (place) => {
      const { firewall } = await guarded(place);
      const { repairs } = await guarded(place);
      await firewall.close();
      place.run('nft', ['flush ruleset']);
      await expect.poll(() => repairs.length, { timeout: WITHIN_MS, interval: 5 }).toBe(1);
      expect(repairs).toHaveLength(1);
    });
  });

  it('and those of other tables are left to others', async () => {
    await nowhere(async (place) => {
      const { firewall, repairs } = await guarded(place);
      place.run('nft', ['add table inet foreign; add chain inet foreign c; delete table inet foreign']);
      place.run('nft', [`add table ip ${TABLE}; delete table ip ${TABLE}`]);
      place.run('nft', [`delete table inet ${TABLE}`]);
      await expect.poll(() => repairs.length, { timeout: WITHIN_MS, interval: 5 }).toBe(1);
      expect(repairs[0]?.missing[0]).toBe(`table ${TABLE}`);
      expect(firewall.intents()).toHaveLength(2);
      expect(place.run('nft', ['list tables']).split('\n').sort()).toEqual([
        '',
        `table inet ${TABLE}`,
        `table inet ${TABLE}-latch`,
      ]);
    });
  });
});

describe.skipIf(!canUseKernel)(`a watch of the rules${whyNot && ` (skipped: ${whyNot})`}`, () => {
  const turns = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  };

  it('is not called for our own changes, however much they remove', async () => {
    await nowhere(async ({ fd }) => {
      const backend = netlinkBackend(fd);
      let reads = 0;
      const commits: Transaction[] = [];
      const firewall = createFirewall(
        {
          commit: (transaction) => {
            commits.push(transaction);
            return backend.commit(transaction);
          },
          read: (table) => {
            reads++;
            return backend.read(table);
          },
          watch: (table, onRemoval) => backend.watch?.(table, onRemoval),
          close: () => backend.close(),
        },
        { engine: 'nftables', table: TABLE },
      );
      await firewall.sync(INTENTS);
      await firewall.apply([{ set: network({ icc: false }) }]);
      await firewall.apply([{ remove: { kind: 'endpoint', id: 'web' } }]);
      await turns();
      expect([reads, commits.length]).toEqual([1, 3]);
      await firewall.close();
    });
  });

  it('is called when notifications were lost, as a removal may be among them', async () => {
    await nowhere(async ({ fd }) => {
      const watch = new RulesetWatch(fd, 1);
      const calls: number[] = [];
      watch.start(
        (_family, table) => table === 'ours',
        () => false,
        () => calls.push(1),
      );
      const others = netlinkBackend(fd);
      const ports = Array.from({ length: 800 }, (_, index) => ({
        key: ['10.9.0.2', 'tcp', `${index + 1}`],
      }));
      const set = { name: 's', key: ['ipv4', 'protocol', 'port'], value: 'none' } as const;
      await others.commit({
        table: 'theirs',
        operations: [{ op: 'addTable' }, { op: 'addSet', set }, { op: 'addElements', set, elements: ports }],
      });
      await expect.poll(() => calls.length, { timeout: WITHIN_MS, interval: 5 }).toBeGreaterThan(0);
      watch.close();
      watch.close();
      await others.close();
    });
  });
});
