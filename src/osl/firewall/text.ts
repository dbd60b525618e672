/** All rules of some intents as one text, as if nothing were there yet: for people to read. Touches no kernel. */
import { FAMILIES } from '../../ip.ts';
import type { FirewallEngine, Intent } from './firewall.ts';
import { createIptablesFirewall } from './iptables/engine.ts';
import { renderTransaction } from './render.ts';
import { Ruleset } from './ruleset.ts';

/**
 * What `nft -f` accepts; with the engine iptables, what both `iptables-restore --noflush` and that of IPv6 do, without
 * the rules that only label connections for a latch.
 * @throws INVALID_ARGUMENT, CONFLICT for intents that can't be
 */
export async function rulesText(
  engine: FirewallEngine,
  table: string,
  intents: readonly Intent[],
): Promise<string> {
  const changes = intents.map((set) => ({ set }));
  if (engine !== 'iptables') return renderTransaction(new Ruleset(table).stage(changes).transaction);
  const emptyHost = {
    families: FAMILIES,
    save: async () => '',
    restore: async () => undefined,
    close: async () => undefined,
  };
  const firewall = createIptablesFirewall(emptyHost, { engine, table });
  try {
    return await firewall.preview(changes);
  } finally {
    await firewall.close();
  }
}
