/** The latch of a table of rules (`firewall/latch.ts`), where the kernel can have one. */
import { closeSync, openSync } from 'node:fs';
import { type ErrorCode, LibnetworkError } from '../../../errors.ts';
import { kernelError } from '../../errno.ts';
import { has, SEEN } from '../../firewall/connectionlabels.ts';
import { createFirewall } from '../../firewall/engine.ts';
import type { FirewallOptions } from '../../firewall/firewall.ts';
import type { GuardedFirewall } from '../../firewall/guarded.ts';
import { LATCHES, latchOf } from '../../firewall/latch.ts';
import type { Operation } from '../../firewall/transaction.ts';
import { inNewNamespace } from '../window.ts';
import { ownedBackend } from './backend.ts';

/** What this kernel refused; nothing when it can have latches. */
let lacking: Promise<LibnetworkError | undefined> | undefined;

/** What a machine that has too much to do just now refuses, and not a kernel that lacks something. */
const PASSING: readonly ErrorCode[] = ['INTERNAL', 'UNAVAILABLE', 'TIMEOUT', 'CONFLICT'];

/**
 * Why this kernel can't have latches: tables with an owner came with Linux 5.12, and labels of connections are an
 * option (CONFIG_NF_CONNTRACK_LABELS). `undefined`: it can. A property of the kernel, asked until it is known.
 */
export async function whyNoLatch(): Promise<LibnetworkError | undefined> {
  const asked = lacking ?? tryOne();
  lacking = asked;
  const why = await asked;
  if (why && PASSING.includes(why.code) && lacking === asked) lacking = undefined;
  return why;
}

/**
 * An empty latch; its table comes with the first network. Its end is that of the handle, or of the process.
 * @param engine that of the rules
 */
export function openLatch(
  namespaceFd: number | undefined,
  { table }: FirewallOptions,
  engine: keyof typeof LATCHES = 'nftables',
): GuardedFirewall {
  const options = { engine: 'nftables', table: latchOf(table) } as const;
  return createFirewall(ownedBackend(namespaceFd), options, LATCHES[engine]);
}

const TRY: readonly Operation[] = [
  { op: 'addTable' },
  { op: 'addChain', chain: 'labels' },
  {
    op: 'addRules',
    chain: 'labels',
    rules: [
      {
        match: [has('ct label', SEEN.from)],
        action: { kind: 'label', bit: SEEN.from },
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
    if (LibnetworkError.is(error)) return error;
    if (!(error instanceof Error) || !('code' in error)) throw error;
    return kernelError('try a latch', String(error.code));
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
