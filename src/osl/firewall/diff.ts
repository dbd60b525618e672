/** The smallest transaction that turns one table into another. */
import { type FoundTable, found } from './backend.ts';
import { keyText } from './mark.ts';
import type { Element, Table } from './model.ts';
import {
  declaration,
  type FoundPart,
  foundPart,
  modelParts,
  type Part,
  type Parts,
  partsOf,
  same,
  USER_CHAIN,
} from './part.ts';
import type { Operation, SetDeclaration, Transaction } from './transaction.ts';

const NOTHING: Parts<FoundPart> = new Map();
const NOTHING_WANTED: Parts = new Map();

/**
 * The operations that make `to` of `from`. Chains whose rules differ are emptied and filled again, in the same
 * transaction; a table whose chains or sets are declared otherwise is rebuilt whole.
 * @param from what the kernel holds; a `Table` of the model is taken as held
 */
export function diff(name: string, from: FoundTable | undefined, to: Table | undefined): Transaction {
  const before = lasting(partsOf(from), to);
  const after = modelParts(to);
  if (to !== undefined && !compatible(before, after))
    return { table: name, operations: [{ op: 'deleteTable' }, ...operations(NOTHING, after)] };
  return { table: name, operations: operations(before, after) };
}

/**
 * The transaction with the user's chain spared: where it would end a table whose user has rules in it, it ends all
 * the rest of the table instead.
 */
export function spareUser(transaction: Transaction, found: FoundTable | undefined): Transaction {
  const [only, ...others] = transaction.operations;
  if (only?.op !== 'deleteTable' || others.length > 0 || found === undefined || !hasUserRules(found))
    return transaction;
  const rest = [...partsOf(found)].filter(([path]) => path !== 'table' && path !== `chain ${USER_CHAIN}`);
  return { ...transaction, operations: operations(new Map(rest), NOTHING_WANTED) };
}

function hasUserRules(found: FoundTable | undefined): boolean {
  return found?.chains.some(({ name, rules }) => name === USER_CHAIN && rules.length > 0) ?? false;
}

/** Elements that end by themselves may be an earlier process's: they stay as long as their set does. */
function lasting(parts: Parts<FoundPart>, to: Table | undefined): Parts<FoundPart> {
  const wanted = new Map(
    to?.sets
      .filter(({ timeouts }) => timeouts)
      .map(({ name, elements }) => [name, new Set(elements.map(({ key }) => keyText(key)))]),
  );
  if (wanted.size === 0) return parts;
  return new Map(
    [...parts].filter(
      ([, part]) =>
        part.kind !== 'element' || (wanted.get(part.set.name)?.has(keyText(part.element.key)) ?? true),
    ),
  );
}

/** The operations between two tables of the model. */
export function diffTables(name: string, from: Table | undefined, to: Table | undefined): Transaction {
  return diff(name, from && found(from), to);
}

/** False when something exists that would have to be declared otherwise. */
export function compatible(before: Parts<FoundPart>, after: Parts): boolean {
  for (const [path, part] of after) {
    const held = before.get(path);
    if (held !== undefined && declaration(held) !== declaration(part)) return false;
  }
  return true;
}

/** The operations that replace the parts `before` by the parts `after`; what is in neither stays as it is. */
export function operations(before: Parts<FoundPart>, after: Parts): Operation[] {
  if (before.has('table') && !after.has('table')) return [{ op: 'deleteTable' }];
  const plan = new Plan();
  for (const [path, part] of before) {
    const next = after.get(path);
    if (next === undefined || !same(part, foundPart(next))) plan.remove(part, next === undefined);
  }
  for (const [path, part] of after) {
    const held = before.get(path);
    if (held === undefined || !same(held, foundPart(part))) plan.add(part, held === undefined);
  }
  return plan.operations();
}

/** Gathers operations and brings them into an order that a kernel accepts. */
class Plan {
  readonly #flushes: Operation[] = [];
  readonly #deletedElements = new Map<string, Elements>();
  readonly #deletedSets: Extract<Operation, { op: 'deleteSet' }>[] = [];
  readonly #deletedChains: Operation[] = [];
  readonly #table: Operation[] = [];
  readonly #addedSets: Operation[] = [];
  readonly #addedChains: Operation[] = [];
  readonly #addedRules: Operation[] = [];
  readonly #addedElements = new Map<string, Elements>();

  /** @param whole false for a chain that stays, with other rules */
  remove(part: FoundPart, whole: boolean): void {
    if (part.kind === 'chain') {
      const chain = part.chain.name;
      if (part.chain.rules.length > 0) this.#flushes.push({ op: 'flushChain', chain });
      if (whole) this.#deletedChains.push({ op: 'deleteChain', chain });
    } else if (part.kind === 'set') this.#deletedSets.push({ op: 'deleteSet', set: part.set });
    else if (part.kind === 'element') collect(this.#deletedElements, part.set, part.element);
  }

  /** @param whole false for a chain that is there, with other rules */
  add(part: Part, whole: boolean): void {
    if (part.kind === 'table') this.#table.push({ op: 'addTable' });
    else if (part.kind === 'set') this.#addedSets.push({ op: 'addSet', set: part.set });
    else if (part.kind === 'element') collect(this.#addedElements, part.set, part.element);
    else {
      const { name: chain, hook, rules } = part.chain;
      if (whole) this.#addedChains.push({ op: 'addChain', chain, hook });
      if (rules.length > 0) this.#addedRules.push({ op: 'addRules', chain, rules });
    }
  }

  /** Deletions first, what refers before what it refers to; then additions, the other way round. */
  operations(): Operation[] {
    const gone = new Set(this.#deletedSets.map(({ set }) => set.name));
    const deleted = [...this.#deletedElements.values()].filter(({ set }) => !gone.has(set.name));
    return [
      ...this.#flushes,
      ...deleted.map((batch): Operation => ({ op: 'deleteElements', ...batch })),
      ...this.#deletedSets,
      ...this.#deletedChains,
      ...this.#table,
      ...this.#addedSets,
      ...this.#addedChains,
      ...this.#addedRules,
      ...[...this.#addedElements.values()].map((batch): Operation => ({ op: 'addElements', ...batch })),
    ];
  }
}

interface Elements {
  readonly set: SetDeclaration;
  readonly elements: Element[];
}

function collect(batches: Map<string, Elements>, set: SetDeclaration, element: Element): void {
  const batch = batches.get(set.name);
  if (batch !== undefined) batch.elements.push(element);
  else batches.set(set.name, { set, elements: [element] });
}
