import type { FirewallChange, Intent } from './firewall.ts';

/** The intents that hold after changes, one after the other. */
export function intentsAfter(intents: readonly Intent[], changes: readonly FirewallChange[]): Intent[] {
  const owners = new Map(intents.map((intent) => [`${intent.kind} ${intent.id}`, intent]));
  for (const change of changes) {
    if ('set' in change) owners.set(`${change.set.kind} ${change.set.id}`, change.set);
    else owners.delete(`${change.remove.kind} ${change.remove.id}`);
  }
  return [...owners.values()];
}
