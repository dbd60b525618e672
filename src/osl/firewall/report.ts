/** What a comparison found, in the words of `FirewallReport`. */
import { type FoundTable, foundChain } from './backend.ts';
import type { FirewallReport } from './firewall.ts';
import { keyText } from './mark.ts';
import type { Table } from './model.ts';
import { USER_CHAIN } from './part.ts';
import type { Operation, Transaction } from './transaction.ts';

/** @param transaction the difference from what was found to what is wanted */
export function report(
  found: FoundTable | undefined,
  wanted: Table | undefined,
  transaction: Transaction,
): FirewallReport {
  const missing = transaction.operations.flatMap((operation) => added(transaction.table, operation));
  const orphaned = transaction.operations.flatMap((operation) => deleted(transaction.table, operation));
  const rules = transaction.operations.some(({ op }) => op === 'deleteTable')
    ? { missing: [], orphaned: [] }
    : compareRules(found, wanted);
  return { missing: [...missing, ...rules.missing], orphaned: [...orphaned, ...rules.orphaned] };
}

function added(table: string, operation: Operation): string[] {
  switch (operation.op) {
    case 'addTable':
      return [`table ${table}`];
    case 'addChain':
      return [`chain ${operation.chain}`];
    case 'addSet':
      return [`set ${operation.set.name}`];
    case 'addElements':
      return operation.elements.map(({ key }) => `element ${operation.set.name} ${keyText(key)}`);
    default:
      return [];
  }
}

function deleted(table: string, operation: Operation): string[] {
  switch (operation.op) {
    case 'deleteTable':
      return [`table ${table}`];
    case 'deleteChain':
      return [`chain ${operation.chain}`];
    case 'deleteSet':
      return [`set ${operation.set.name}`];
    case 'deleteElements':
      return operation.elements.map(({ key }) => `element ${operation.set.name} ${keyText(key)}`);
    default:
      return [];
  }
}

/** Rules of the chains that are there and stay. */
function compareRules(found: FoundTable | undefined, wanted: Table | undefined): FirewallReport {
  const missing: string[] = [];
  const orphaned: string[] = [];
  const held = new Map(found?.chains.map((chain) => [chain.name, chain.rules]));
  for (const { name, rules } of wanted?.chains.map(foundChain) ?? []) {
    const before = held.get(name);
    if (before === undefined || name === USER_CHAIN) continue;
    const describe = (rule: { readonly comment: string }) =>
      `rule ${JSON.stringify(rule.comment)} in chain ${name}`;
    const lacking = rules.filter(({ mark }) => !before.some((rule) => rule.mark === mark)).map(describe);
    const strange = before.filter(({ mark }) => !rules.some((rule) => rule.mark === mark)).map(describe);
    missing.push(...lacking);
    orphaned.push(...strange);
    const order = (list: readonly { readonly mark: string }[]) => list.map(({ mark }) => mark).join();
    if (lacking.length + strange.length === 0 && order(before) !== order(rules))
      missing.push(`order of the rules in chain ${name}`);
  }
  return { missing, orphaned };
}
