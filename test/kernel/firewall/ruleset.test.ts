import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { found } from '../../../src/osl/firewall/backend.ts';
import { diff } from '../../../src/osl/firewall/diff.ts';
import type { Table } from '../../../src/osl/firewall/model.ts';
import { renderTable, renderTransaction } from '../../../src/osl/firewall/render.ts';
import { Ruleset } from '../../../src/osl/firewall/ruleset.ts';
import { netlinkBackend } from '../../../src/osl/linux/nftables/backend.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { after, change } from '../../unit/firewall/arbitraries.ts';
import { endpoint, network, port, SCENES } from '../../unit/firewall/intents.ts';
import { hasNft, nowhere, TABLE } from './support.ts';

const scenes = Object.entries(SCENES);

function tableOf(name: string): Table {
  const table = Ruleset.of(TABLE, SCENES[name] ?? []).table();
  if (table === undefined) throw new Error(`scene ${name} has no table`);
  return table;
}

describe.skipIf(!canUseKernel)(`rules in the kernel${whyNot && ` (skipped: ${whyNot})`}`, () => {
  it.each(scenes)('are read back as they were written: %s', async (name) => {
    await nowhere(async ({ fd }) => {
      const backend = netlinkBackend(fd);
      const table = tableOf(name);
      await backend.commit(diff(TABLE, undefined, table));
      const held = await backend.read(TABLE);
      await backend.close();
      expect(diff(TABLE, held, table).operations).toEqual([]);
      expect(held?.chains).toEqual(found(table).chains);
    });
  });

  it('are none where there is no table of that name', async () => {
    await nowhere(async ({ fd }) => {
      const backend = netlinkBackend(fd);
      expect(await backend.read(TABLE)).toBeUndefined();
      await backend.close();
    });
  });

  it('after any changes are those of the intents that are left', async () => {
    const steps = fc.array(fc.array(change, { maxLength: 5 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(steps, (list) =>
        nowhere(async (place) => {
          const firewall = await place.firewall();
          for (const step of list) await firewall.apply(step);
          const report = await (await place.firewall()).sync(after(list.flat()), { dryRun: true });
          expect(report).toEqual({ missing: [], orphaned: [] });
        }),
      ),
      { numRuns: 25 },
    );
  });

  it('take ten thousand ports in one transaction', async () => {
    const ports = Array.from({ length: 10_000 }, (_, index) =>
      port({ hostPort: index + 1, port: index + 1 }),
    );
    await nowhere(async (place) => {
      const firewall = await place.firewall();
      await firewall.apply([{ set: network() }, { set: endpoint('web', ...ports) }]);
      await firewall.close();
      const successor = await place.firewall();
      const intents = [network(), endpoint('web', ...ports)];
      expect(await successor.sync(intents)).toEqual({ missing: [], orphaned: [] });
      await successor.apply([{ remove: { kind: 'endpoint', id: 'web' } }]);
      expect(await (await place.firewall()).sync([network()], { dryRun: true })).toEqual({
        missing: [],
        orphaned: [],
      });
    });
  });

  it('stay untouched when one operation of a transaction is refused, and the refusal names it', async () => {
    await nowhere(async ({ fd }) => {
      const backend = netlinkBackend(fd);
      const table = tableOf('published-ports');
      await backend.commit(diff(TABLE, undefined, table));
      const open4 = table.sets.find((set) => set.name === 'open4') as Table['sets'][number];
      const refused = backend.commit({
        table: TABLE,
        operations: [
          { op: 'addChain', chain: 'new' },
          { op: 'addElements', set: open4, elements: [{ key: ['10.9.0.2', 'tcp', '80'] }] },
        ],
      });
      await expect(refused).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        errno: 'EEXIST',
        operation: `addElements open4 10.9.0.2 . tcp . 80 in table ${TABLE}`,
      });
      expect(diff(TABLE, await backend.read(TABLE), table).operations).toEqual([]);
      await backend.close();
    });
  });

  it.each([
    ['deleteChain', { op: 'deleteChain', chain: 'publish' }, 'EBUSY'],
    ['deleteChain of none', { op: 'deleteChain', chain: 'nowhere' }, 'ENOENT'],
    ['addTable', { op: 'addTable' }, 'EEXIST'],
    ['addChain', { op: 'addChain', chain: 'publish' }, 'EEXIST'],
    ['flushChain of none', { op: 'flushChain', chain: 'nowhere' }, 'ENOENT'],
  ] as const)('are refused as the memory refuses them: %s', async (_, operation, errno) => {
    const table = tableOf('nat');
    const { memoryBackend } = await import('../../../src/osl/firewall/memory.ts');
    await nowhere(async ({ fd }) => {
      for (const backend of [netlinkBackend(fd), memoryBackend()]) {
        await backend.commit(diff(TABLE, undefined, table));
        await expect(backend.commit({ table: TABLE, operations: [operation] })).rejects.toMatchObject({
          errno,
        });
        await backend.close();
      }
    });
  });

  it('leave those of others alone, also when ours are destroyed', async () => {
    await nowhere(async (place) => {
      const other = netlinkBackend(place.fd);
      const table = { ...tableOf('nat'), name: 'foreign' };
      await other.commit(diff('foreign', undefined, table));
      const firewall = await place.firewall();
      await firewall.apply([{ set: network() }]);
      await firewall.sync([]);
      await firewall.apply([{ set: network() }]);
      await firewall.destroy();
      await firewall.destroy();
      expect(await other.read(TABLE)).toBeUndefined();
      expect(diff('foreign', await other.read('foreign'), table).operations).toEqual([]);
      await other.close();
    });
  });
});

const skip = !canUseKernel ? whyNot : hasNft ? '' : 'there is no nft program to compare with';
describe.skipIf(skip !== '')(`rules by netlink and by nft${skip && ` (skipped: ${skip})`}`, () => {
  /** What nft shows, less what differs from load to load: handles, and the order of elements in a hash. */
  function listing(run: (file: string, args: readonly string[]) => string): unknown {
    const shown = JSON.parse(run('nft', ['-j', 'list', 'ruleset'])) as {
      nftables: Record<string, unknown>[];
    };
    return shown.nftables.map((object) => JSON.parse(JSON.stringify(object, tidy)) as unknown);
  }

  function tidy(key: string, value: unknown): unknown {
    if (key === 'handle') return undefined;
    if (key === 'elem' && Array.isArray(value)) return value.map((element) => JSON.stringify(element)).sort();
    return value;
  }

  it.each(scenes)('are the same to nft: %s', async (name) => {
    const table = tableOf(name);
    const ours = await nowhere(async ({ fd, run }) => {
      const backend = netlinkBackend(fd);
      await backend.commit(diff(TABLE, undefined, table));
      await backend.close();
      return listing(run);
    });
    const theirs = await nowhere(async ({ run }) => {
      run('nft', ['-f', '-'], renderTable(table));
      return listing(run);
    });
    expect(ours).toEqual(theirs);
  });

  it.each(scenes)('change by the commands of a preview as by the transaction: nat to %s', async (name) => {
    const from = tableOf('nat');
    const transaction = diff(TABLE, found(from), tableOf(name));
    const [ours, theirs] = await Promise.all(
      [true, false].map((byNetlink) =>
        nowhere(async ({ fd, run }) => {
          const backend = netlinkBackend(fd);
          await backend.commit(diff(TABLE, undefined, from));
          if (byNetlink) await backend.commit(transaction);
          else run('nft', ['-f', '-'], renderTransaction(transaction));
          await backend.close();
          return listing(run);
        }),
      ),
    );
    expect(ours).toEqual(theirs);
  });
});
