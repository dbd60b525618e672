/**
 * A table taken apart: each part is added and deleted on its own, and has a path that is unique in its table.
 * What varies with a network or an endpoint is a few parts, so that a change to one costs only those.
 */
import { type FoundChain, type FoundTable, foundChain } from './backend.ts';
import { keyText, valueText } from './mark.ts';
import type { Chain, Element, ElementSet, Table } from './model.ts';
import type { SetDeclaration } from './transaction.ts';

export type Part<C extends Chain | FoundChain = Chain> =
  | { readonly kind: 'table' }
  | { readonly kind: 'chain'; readonly chain: C }
  | { readonly kind: 'set'; readonly set: SetDeclaration }
  | { readonly kind: 'element'; readonly set: SetDeclaration; readonly element: Element };

/**
 * The chain of a table that is the user's to fill, called before the rules of networks: made with them, and neither
 * compared nor changed nor removed with rules in it.
 */
export const USER_CHAIN = 'user';

export type FoundPart = Part<FoundChain>;
/** Parts by path. */
export type Parts<P extends Part<Chain | FoundChain> = Part> = ReadonlyMap<string, P>;

export function pathOf(part: Part<Chain | FoundChain>): string {
  switch (part.kind) {
    case 'table':
      return 'table';
    case 'chain':
      return `chain ${part.chain.name}`;
    case 'set':
      return `set ${part.set.name}`;
    case 'element':
      return `element ${part.set.name} ${keyText(part.element.key)}`;
  }
}

/** Parts by path; of two with the same path the later one. */
export function byPath<P extends Part<Chain | FoundChain>>(parts: Iterable<P>): Map<string, P> {
  const map = new Map<string, P>();
  for (const part of parts) map.set(pathOf(part), part);
  return map;
}

/** The part as a kernel that holds it would tell it. */
export function foundPart(part: Part): FoundPart {
  return part.kind === 'chain' ? { kind: 'chain', chain: foundChain(part.chain) } : part;
}

/** True when nothing need be done to turn one part into the other; both have the same path. */
export function same(a: FoundPart, b: FoundPart): boolean {
  return content(a) === content(b) && declaration(a) === declaration(b) && endTogether(a, b);
}

/** A kernel tells how long an element lasts from now on, and not to the millisecond. */
const SAME_END_MS = 5_000;

function endTogether(a: FoundPart, b: FoundPart): boolean {
  if (a.kind !== 'element' || b.kind !== 'element') return true;
  const [one, other] = [a.element.expires, b.element.expires];
  return one === other || (one !== undefined && other !== undefined && Math.abs(one - other) < SAME_END_MS);
}

/** What of a part cannot be changed: the place of a chain, the types of a set. */
export function declaration(part: Part<Chain | FoundChain>): string {
  if (part.kind === 'set') return JSON.stringify([part.set.key, part.set.value, part.set.timeouts === true]);
  if (part.kind !== 'chain' || part.chain.hook === undefined) return '';
  const { type, hook, priority, policy } = part.chain.hook;
  return JSON.stringify([type, hook, priority, policy]);
}

function content(part: FoundPart): string {
  if (part.kind === 'element') return valueText(part.element.value);
  if (part.kind !== 'chain' || part.chain.name === USER_CHAIN) return '';
  return part.chain.rules.map((rule) => rule.mark).join();
}

/** The parts of a table; none of no table. */
export function partsOf(table: FoundTable | undefined): Parts<FoundPart> {
  if (table === undefined) return new Map();
  return byPath<FoundPart>([
    { kind: 'table' },
    ...table.chains.map((chain) => ({ kind: 'chain' as const, chain })),
    ...setParts(table.sets),
  ]);
}

/** The parts of a table of the model; none of no table. */
export function modelParts(table: Table | undefined): Parts {
  if (table === undefined) return new Map();
  return byPath<Part>([
    { kind: 'table' },
    ...table.chains.map((chain) => ({ kind: 'chain' as const, chain })),
    ...setParts(table.sets),
  ]);
}

function* setParts(sets: readonly ElementSet[]): Generator<Part<never>> {
  for (const { elements, ...set } of sets) {
    yield { kind: 'set', set };
    for (const element of elements) yield { kind: 'element', set, element };
  }
}

/** The table that the parts make; `undefined` when there are none. */
export function tableOf(name: string, parts: Iterable<Part>): Table | undefined {
  let some = false;
  const chains: Chain[] = [];
  const sets = new Map<string, { readonly set: SetDeclaration; readonly elements: Element[] }>();
  const bag = (set: SetDeclaration) => {
    const known = sets.get(set.name) ?? { set, elements: [] };
    sets.set(set.name, known);
    return known;
  };
  for (const part of parts) {
    some = true;
    if (part.kind === 'chain') chains.push(part.chain);
    else if (part.kind === 'set') bag(part.set);
    else if (part.kind === 'element') bag(part.set).elements.push(part.element);
  }
  if (!some) return undefined;
  return { name, chains, sets: [...sets.values()].map(({ set, elements }) => ({ ...set, elements })) };
}
