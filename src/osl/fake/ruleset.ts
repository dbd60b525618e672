import type { Faults } from '../../testing/faults.ts';
import type { RulesetBackend } from '../firewall/backend.ts';
import type { NetnsState } from './state.ts';

/** The packet filter of a namespace as one process sees it: each transaction is a step, its tables outlive it. */
export function faultyBackend(faults: Faults, netns: NetnsState): RulesetBackend {
  const { ruleset } = netns;
  return {
    commit: async (transaction) =>
      await faults.aroundAsync(`firewall commit ${transaction.table}`, async () => {
        netns.tableNames.add(transaction.table);
        await ruleset.commit(transaction);
      }),
    read: async (table) =>
      await faults.aroundAsync(`firewall read ${table}`, async () => await ruleset.read(table)),
    // The tables stay, as in a kernel; nothing else is held.
    close: async () => undefined,
  };
}
