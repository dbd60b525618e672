/** nf_tables by netlink: no `nft` binary is needed. */
import { createFirewall } from '../../firewall/engine.ts';
import type { FirewallOptions } from '../../firewall/firewall.ts';
import type { GuardedFirewall } from '../../firewall/guarded.ts';
import { memoryBackend } from '../../firewall/memory.ts';
import { netlinkBackend } from './backend.ts';

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
  const backend = options.engine === 'nftables' ? netlinkBackend(namespaceFd) : memoryBackend();
  return createFirewall(backend, options);
}
