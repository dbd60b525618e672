import { describe, expect, it } from 'vitest';
import { kernelError } from '../../../src/osl/errno.ts';
import { createFirewall } from '../../../src/osl/firewall/engine.ts';
import type { FirewallReport } from '../../../src/osl/firewall/firewall.ts';
import { memoryBackend } from '../../../src/osl/firewall/memory.ts';
import { endpoint, network, port } from './intents.ts';
import { normal } from './tables.ts';

const table = 'libnetwork-test';

/** A backend whose table somebody else can remove. */
function harness() {
  const backend = memoryBackend();
  const repairs: FirewallReport[] = [];
  const state = { failures: 0, forgotten: 0, tell: (): void => undefined };
  const firewall = createFirewall(
    {
      ...backend,
      commit: async (transaction) => {
        if (state.failures-- > 0) throw kernelError('commit', 'ENOMEM');
        await backend.commit(transaction);
      },
      watch: (_, onRemoval) => {
        state.tell = onRemoval;
      },
      forget: async () => {
        state.forgotten++;
      },
    },
    { engine: 'nftables', table, onRepaired: (report) => repairs.push(report) },
  );
  const removeAll = async () => {
    await backend.commit({ table, operations: [{ op: 'deleteTable' }] });
    state.tell();
  };
  return { backend, firewall, repairs, state, removeAll };
}

describe('a table that somebody else removes', () => {
  it('comes back whole, and what came about meanwhile is forgotten', async () => {
    const { backend, firewall, repairs, state, removeAll } = harness();
    await firewall.apply([{ set: network() }, { set: endpoint('web', port()) }]);
    const before = normal(backend.table(table));
    await removeAll();
    await expect.poll(() => repairs).toHaveLength(1);
    expect(normal(backend.table(table))).toEqual(before);
    expect(repairs[0]?.missing[0]).toBe(`table ${table}`);
    expect(state.forgotten).toBe(1);
    await firewall.close();
  });

  it('comes back when the kernel refused at first', async () => {
    const { backend, firewall, repairs, state, removeAll } = harness();
    await firewall.apply([{ set: network() }]);
    state.failures = 2;
    await removeAll();
    await expect.poll(() => repairs, { timeout: 5000 }).toHaveLength(1);
    expect(backend.table(table)).toBeDefined();
    await firewall.close();
  });

  it('stays away when nothing should hold any more', async () => {
    const { backend, firewall, repairs, state } = harness();
    await firewall.apply([{ set: network() }]);
    await firewall.apply([{ remove: { kind: 'network', id: 'a' } }]);
    state.tell();
    await firewall.preview([]);
    expect(backend.table(table)).toBeUndefined();
    expect(repairs).toEqual([]);
    await firewall.close();
  });

  it('stays away after the handle is closed', async () => {
    const { backend, firewall, removeAll } = harness();
    await firewall.apply([{ set: network() }]);
    const closing = firewall.close();
    await removeAll();
    await closing;
    await new Promise(setImmediate);
    expect(backend.table(table)).toBeUndefined();
  });
});
