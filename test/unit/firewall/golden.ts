/** The texts that the golden files hold, and that the page about the firewall shows. */
import type { Intent } from '../../../src/osl/firewall/firewall.ts';
import { compileIptables } from '../../../src/osl/firewall/iptables/compile.ts';
import { plan } from '../../../src/osl/firewall/iptables/plan.ts';
import { renderBoth } from '../../../src/osl/firewall/iptables/text.ts';
import { renderTable } from '../../../src/osl/firewall/render.ts';
import { Ruleset } from '../../../src/osl/firewall/ruleset.ts';

export const TABLE = 'libnetwork-test';

/** By the extension of their file: `nft`, for `nft -f`, and `iptables`, for `iptables-restore --noflush`. */
export function goldenTexts(intents: readonly Intent[]): [extension: string, text: string][] {
  const table = Ruleset.of(TABLE, intents).table();
  return [
    ['nft', table === undefined ? '' : renderTable(table)],
    ['iptables', iptablesText(intents)],
  ];
}

/** What makes empty tables hold the rules of these intents. @param labels whether there is a latch, default: no */
export function iptablesText(intents: readonly Intent[], labels = false): string {
  const wanted = compileIptables(intents, { stamp: TABLE, labels });
  return renderBoth(
    new Map([...wanted].map(([family, each]) => [family, plan(new Map(), each, () => true)])),
  );
}
