import { LibnetworkError } from '../../errors.ts';
import type { RulesetBackend } from './backend.ts';
import type { Firewall, FirewallOptions } from './firewall.ts';

/**
 * The firewall over a backend. With `engine: 'none'` hand in a `memoryBackend()`: everything is computed,
 * nothing reaches a kernel.
 * @throws NOT_IMPLEMENTED for the iptables engine
 */
export function createFirewall(_backend: RulesetBackend, options: FirewallOptions): Firewall {
  throw new LibnetworkError('NOT_IMPLEMENTED', `firewall engine ${options.engine}: not there yet`);
}
