import { keyText } from '../../../src/osl/firewall/mark.ts';
import type { Chain, ElementSet, Table } from '../../../src/osl/firewall/model.ts';

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);

/** A table without the order of its chains, sets and elements, which means nothing. Of rules, the order stays. */
export function normal(table: Table | undefined): { chains: Chain[]; sets: ElementSet[] } | undefined {
  if (table === undefined) return undefined;
  const sets = table.sets.map((set) => ({
    ...set,
    elements: [...set.elements].sort((a, b) => (keyText(a.key) < keyText(b.key) ? -1 : 1)),
  }));
  return { chains: [...table.chains].sort(byName), sets: sets.sort(byName) };
}
