/** The latch of a table of rules (`firewall/latch.ts`), where the kernel can have one. */
import { closeSync, openSync } from 'node:fs';
import { LibnetworkError } from '../../../errors.ts';
import { createFirewall } from '../../firewall/engine.ts';
import type { FirewallOptions } from '../../firewall/firewall.ts';
import type { GuardedFirewall } from '../../firewall/guarded.ts';
import { LATCH, latchOf } from '../../firewall/latch.ts';
import { JUDGED } from '../../firewall/layout.ts';
import type { Operation } from '../../firewall/transaction.ts';
import { inNewNamespace } from '../window.ts';
import { ownedBackend } from './backend.ts';

/** What this kernel refused; nothing when it can have latches. A property of the kernel: asked once. */
let lacking: Promise<LibnetworkError | undefined> | undefined;

/**
 * Why this kernel can't have latches: tables with an owner came with Linux 5.12, and labels of connections are an
 * option (CONFIG_NF_CONNTRACK_LABELS). `undefined`: it can.
 */
export function whyNoLatch(): Promise<LibnetworkError | undefined> {
  lacking ??= tryOne();
  return lacking;
}

/** An empty latch; its table comes with the first network. Its end is that of the handle, or of the process. */
export function openLatch(namespaceFd: number | undefined, { table }: FirewallOptions): GuardedFirewall {
  return createFirewall(ownedBackend(namespaceFd), { engine: 'nftables', table: latchOf(table) }, LATCH);
}

const TRY: readonly Operation[] = [
  { op: 'addTable' },
  { op: 'addChain', chain: 'labels' },
  {
    op: 'addRules',
    chain: 'labels',
    rules: [
      {
        match: [{ field: 'ct label', op: '==', values: [JUDGED] }],
        action: { kind: 'label', bit: JUDGED },
        comment: 'can this be?',
      },
    ],
  },
];

/** Makes one in a namespace of its own, with what the rules need as well. */
async function tryOne(): Promise<LibnetworkError | undefined> {
  let fd: number | undefined;
  try {
    fd = inNewNamespace(() => openSync('/proc/thread-self/ns/net', 'r'));
    const backend = ownedBackend(fd);
    await backend.commit({ table: 'libnetwork-try', operations: TRY }).finally(() => backend.close());
    return undefined;
  } catch (error) {
    if (!LibnetworkError.is(error)) throw error;
    return error;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
