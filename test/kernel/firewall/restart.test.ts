import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createFirewall } from '../../../src/osl/firewall/engine.ts';
import type { Intent } from '../../../src/osl/firewall/firewall.ts';
import type { Transaction } from '../../../src/osl/firewall/transaction.ts';
import { netlinkBackend } from '../../../src/osl/linux/nftables/backend.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { endpoint, port } from '../../unit/firewall/intents.ts';
import { TABLE } from './support.ts';
import {
  addressOf,
  HOST,
  NOT_THERE_MS,
  networkIntents,
  nextLine,
  OUTSIDE,
  type World,
  withWorld,
} from './world.ts';

const INTENTS: readonly Intent[] = [
  ...networkIntents(),
  endpoint('nat-2', port({ address: addressOf('ipv4', 'nat', 2) })),
];

/** An open connection: what is sent comes back. */
async function flow(
  world: World,
  from: string,
  address: string,
  number: number,
): Promise<() => Promise<void>> {
  const stream: Duplex = await world.at(from).connectTcp(address, number);
  await nextLine(stream);
  return async () => {
    const answer = nextLine(stream);
    stream.write('still there?\n');
    expect(await answer).toBe('still there?');
  };
}

describe.skipIf(!canUseKernel)(`established flows${whyNot && ` (skipped: ${whyNot})`}`, () => {
  it('survive a restart, as a sync with the same intents commits nothing', async () => {
    await withWorld(INTENTS, async (world) => {
      const flows = [
        await flow(world, 'outside', HOST.ipv4, 8080),
        await flow(world, 'nat-3', addressOf('ipv4', 'nat', 2), 80),
        await flow(world, 'nat-2', OUTSIDE.ipv4, 80),
        await flow(world, 'nat-2', OUTSIDE.ipv6, 80),
      ];
      await world.firewall.close();

      const commits: Transaction[] = [];
      const backend = netlinkBackend(world.hostFd);
      const commit = async (transaction: Transaction) => {
        commits.push(transaction);
        await backend.commit(transaction);
      };
      const successor = createFirewall({ ...backend, commit }, { engine: 'nftables', table: TABLE });
      const report = await successor.sync(structuredClone(INTENTS));

      expect(report).toEqual({ missing: [], orphaned: [] });
      expect(commits).toEqual([]);
      for (const stillThere of flows) await stillThere();
      await successor.close();
    });
  });

  it('survive a sync that repairs what somebody flushed away', async () => {
    await withWorld(INTENTS, async (world) => {
      const flows = [
        await flow(world, 'outside', HOST.ipv4, 8080),
        await flow(world, 'nat-2', OUTSIDE.ipv4, 80),
      ];
      await world.firewall.close();
      await (await world.reopen()).destroy();
      const report = await (await world.reopen()).sync(INTENTS);
      expect(report.missing[0]).toBe(`table ${TABLE}`);
      for (const stillThere of flows) await stillThere();
      expect(await world.ask(world.at('outside'), HOST.ipv4, 8080, true)).toBe(`nat-2 sees ${OUTSIDE.ipv4}`);
      expect(await world.ask(world.at('outside'), addressOf('ipv4', 'nat', 2), 80, false)).toBeUndefined();
    });
  });

  it('survive changes to other endpoints and networks', async () => {
    await withWorld(INTENTS, async (world) => {
      const stillThere = await flow(world, 'outside', HOST.ipv4, 8080);
      const other = endpoint('other-2', port({ hostPort: 8085, address: addressOf('ipv4', 'other', 2) }));
      await world.firewall.apply([{ set: other }, { remove: { kind: 'network', id: 'quiet' } }]);
      expect(await world.ask(world.at('outside'), HOST.ipv4, 8085, true)).toBe(
        `other-2 sees ${OUTSIDE.ipv4}`,
      );
      await world.firewall.apply([{ remove: other }]);
      expect(await world.ask(world.at('outside'), HOST.ipv4, 8085, false)).toBeUndefined();
      await stillThere();
    });
  });

  it('that came about while the rules were away end with the repair, and those of before go on', async () => {
    const stillThere = async (check: () => Promise<void>) =>
      Promise.race([
        check().then(() => true),
        new Promise((resolve) => setTimeout(resolve, NOT_THERE_MS, false)),
      ]);
    await withWorld(INTENTS, async (world) => {
      const before = [
        await flow(world, 'outside', HOST.ipv4, 8080),
        await flow(world, 'nat-2', OUTSIDE.ipv4, 80),
        await flow(world, 'outside', addressOf('ipv4', 'open', 2), 80),
      ];
      await world.firewall.close();
      const table = netlinkBackend(world.hostFd);
      await table.commit({ table: TABLE, operations: [{ op: 'deleteTable' }, { op: 'addTable' }] });
      const during = [
        await flow(world, 'outside', addressOf('ipv4', 'nat', 2), 81),
        await flow(world, 'other-2', addressOf('ipv4', 'nat', 2), 81),
        await flow(world, 'internal-2', addressOf('ipv6', 'nat', 2), 80),
      ];
      await table.close();
      await (await world.reopen()).sync(INTENTS);
      expect(await Promise.all(before.map(stillThere))).toEqual([true, true, true]);
      expect(await Promise.all(during.map(stillThere))).toEqual([false, false, false]);
    });
  });
});
