/** nf_tables by netlink: no `nft` binary is needed. */
import { RULES_WITHOUT_LABELS } from '../../firewall/compile.ts';
import { createFirewall } from '../../firewall/engine.ts';
import type { FirewallOptions } from '../../firewall/firewall.ts';
import type { GuardedFirewall } from '../../firewall/guarded.ts';
import { createLatchedFirewall } from '../../firewall/latched.ts';
import { memoryBackend } from '../../firewall/memory.ts';
import { netlinkBackend } from './backend.ts';
import { openLatch, whyNoLatch } from './latch.ts';

/**
 * The firewall of the network namespace that a descriptor stands for, by default of this thread's; the descriptor may
 * be closed afterwards.
 * With `engine: 'none'` nothing reaches the kernel.
 * @throws NOT_IMPLEMENTED for the engine iptables, which `openIptables` opens; FORBIDDEN without the capabilities; kernel errors
 */
export async function openNftables(
  namespaceFd: number | undefined,
  options: FirewallOptions,
): Promise<GuardedFirewall> {
  if (options.engine !== 'nftables') return createFirewall(memoryBackend(), options);
  // Opened before the first wait: the caller's descriptor may be closed meanwhile.
  const backend = netlinkBackend(namespaceFd);
  if (options.latch === false) return createFirewall(backend, options, RULES_WITHOUT_LABELS);
  const latch = openLatch(namespaceFd, options);
  const lacking = await whyNoLatch();
  if (lacking === undefined) return createLatchedFirewall(createFirewall(backend, options), latch, options);
  await latch.close();
  options.onUnlatched?.(lacking);
  return createFirewall(backend, options, RULES_WITHOUT_LABELS);
}
