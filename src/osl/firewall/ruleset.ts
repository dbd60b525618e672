import { LibnetworkError } from '../../errors.ts';
import { type Compiler, layoutParts, RULES } from './compile.ts';
import { compatible, operations } from './diff.ts';
import type { FirewallChange, Intent, Owner } from './firewall.ts';
import type { Layout } from './layout.ts';
import { isOver, type Table } from './model.ts';
import { type FoundPart, foundPart, type Part, type Parts, same, tableOf } from './part.ts';
import type { Operation, Transaction } from './transaction.ts';

/** A change that is worked out and not yet made: nothing remembers it before `accept`. */
export interface Staged {
  readonly transaction: Transaction;
  readonly owners: ReadonlyMap<string, Holder | undefined>;
  readonly claims: ReadonlyMap<string, readonly Claim[]>;
  readonly users: ReadonlyMap<Layout, number>;
  /** What the transaction leaves at each path that it is about. */
  readonly outcome: ReadonlyMap<string, Part | undefined>;
}

/** An owner and the parts that are there for it; without an intent, what a layout's users share. */
interface Holder {
  readonly intent: Intent | undefined;
  readonly parts: Parts;
}

/** One owner's wish for the part at a path. Several may wish for the same part; it stays until the last is gone. */
interface Claim {
  readonly owner: string;
  readonly part: Part;
}

/**
 * What should hold, by owner, and what the kernel holds, by path. A change to one owner is worked out from its own
 * parts: its cost does not grow with the number of the others.
 */
export class Ruleset {
  readonly #table: string;
  readonly #compiler: Compiler;
  readonly #owners = new Map<string, Holder>();
  readonly #claims = new Map<string, readonly Claim[]>();
  /** How many intents need a layout. */
  readonly #users = new Map<Layout, number>();
  #held = new Map<string, FoundPart>();

  constructor(table: string, compiler: Compiler = RULES) {
    this.#table = table;
    this.#compiler = compiler;
  }

  /** The ruleset of these intents. @throws INVALID_ARGUMENT; CONFLICT when two of them want the same place */
  static of(table: string, intents: readonly Intent[], compiler: Compiler = RULES): Ruleset {
    const ruleset = new Ruleset(table, compiler);
    ruleset.accept(ruleset.stage(intents.map((set) => ({ set }))));
    return ruleset;
  }

  intents(): readonly Intent[] {
    return [...this.#owners.values()].flatMap(({ intent }) => intent ?? []);
  }

  /** The whole table that should hold; `undefined` when nothing should. */
  table(): Table | undefined {
    return tableOf(
      this.#table,
      [...this.#claims.values()]
        .flatMap(first)
        .filter((part) => part.kind !== 'element' || !isOver(part.element)),
    );
  }

  /** Takes the kernel's word for what it holds, in place of what the changes so far should have made. */
  believe(parts: Parts<FoundPart>): void {
    this.#held = new Map(parts);
  }

  /**
   * Works out a change. With `repair`, everything that should hold and does not becomes part of it; what is held
   * and nobody asked for stays in any case.
   * @throws INVALID_ARGUMENT, CONFLICT
   */
  stage(changes: readonly FirewallChange[], repair = false): Staged {
    const { owners, users } = this.#ownersAfter(changes);
    const claims = this.#claimsAfter(owners);
    const partAt = (path: string) => (claims.get(path) ?? this.#claims.get(path))?.[0]?.part;
    const outcomeAt = (paths: Iterable<string>) => new Map([...paths].map((path) => [path, partAt(path)]));
    const everything = () => outcomeAt(new Set([...this.#claims.keys(), ...claims.keys()]));

    const outcome = repair ? everything() : outcomeAt(claims.keys());
    const before = pick(outcome.keys(), (path) => this.#held.get(path));
    const after = pick(outcome.keys(), (path) => outcome.get(path));
    if (compatible(before, after)) {
      const transaction = { table: this.#table, operations: operations(before, after) };
      return { transaction, owners, claims, users, outcome };
    }
    const rebuilt = everything();
    const wanted = pick(rebuilt.keys(), (path) => rebuilt.get(path));
    const all: Operation[] = [{ op: 'deleteTable' }, ...operations(new Map(), wanted)];
    return { transaction: { table: this.#table, operations: all }, owners, claims, users, outcome: rebuilt };
  }

  /** Remembers a staged change as made. Nothing else may have been accepted since it was staged. */
  accept({ transaction, owners, claims, users, outcome }: Staged): void {
    update(this.#owners, owners);
    update(this.#users, users);
    for (const [path, list] of claims) {
      if (list.length === 0) this.#claims.delete(path);
      else this.#claims.set(path, list);
    }
    if (transaction.operations.some(({ op }) => op === 'deleteTable')) this.#held.clear();
    for (const [path, part] of outcome) {
      if (part === undefined) this.#held.delete(path);
      else this.#held.set(path, foundPart(part));
    }
  }

  #ownersAfter(changes: readonly FirewallChange[]) {
    const changed = new Map<string, Holder | undefined>();
    for (const change of changes) {
      if ('remove' in change) changed.set(ownerKey(change.remove), undefined);
      else
        changed.set(ownerKey(change.set), { intent: change.set, parts: this.#compiler.compile(change.set) });
    }
    const users = new Map<Layout, number>();
    const count = (holder: Holder | undefined, step: number) => {
      if (holder?.intent === undefined) return;
      const layout = this.#compiler.layoutOf(holder.intent.kind);
      if (layout === undefined) return;
      users.set(layout, (users.get(layout) ?? this.#users.get(layout) ?? 0) + step);
    };
    const owners = new Map<string, Holder | undefined>();
    for (const [key, holder] of changed) {
      count(this.#owners.get(key), -1);
      count(holder, 1);
    }
    for (const [layout, number] of users) {
      const key = `layout ${layout.name}`;
      if (number === 0 && !this.#hasStrangers()) owners.set(key, undefined);
      else if (number > 0 && !this.#owners.has(key))
        owners.set(key, { intent: undefined, parts: layoutParts(layout) });
    }
    for (const [key, holder] of changed) owners.set(key, holder);
    return { owners, users };
  }

  /** True when the kernel holds what none of our owners asked for: those of an earlier process may still need it. */
  #hasStrangers(): boolean {
    for (const path of this.#held.keys()) if (!this.#claims.has(path)) return true;
    return false;
  }

  #claimsAfter(owners: ReadonlyMap<string, Holder | undefined>): Map<string, readonly Claim[]> {
    const claims = new Map<string, readonly Claim[]>();
    const at = (path: string) => claims.get(path) ?? this.#claims.get(path) ?? [];
    for (const owner of owners.keys())
      for (const path of this.#owners.get(owner)?.parts.keys() ?? [])
        claims.set(
          path,
          at(path).filter((claim) => claim.owner !== owner),
        );
    for (const [owner, holder] of owners)
      for (const [path, part] of holder?.parts ?? []) claims.set(path, [...at(path), { owner, part }]);
    for (const [path, list] of claims) refuseConflict(path, list);
    return claims;
  }
}

function ownerKey({ kind, id }: Owner): string {
  return `${kind} ${id}`;
}

function first(claims: readonly Claim[]): Part[] {
  return claims.slice(0, 1).map(({ part }) => part);
}

/** What has ended by itself is in the kernel no more, and need not come into it. */
function hasEnded(part: FoundPart | Part): boolean {
  return part.kind === 'element' && isOver(part.element);
}

function pick<P extends FoundPart | Part>(
  paths: Iterable<string>,
  at: (path: string) => P | undefined,
): Map<string, P> {
  const picked = new Map<string, P>();
  for (const path of paths) {
    const part = at(path);
    if (part !== undefined && !hasEnded(part)) picked.set(path, part);
  }
  return picked;
}

function update<K, V>(map: Map<K, V>, changes: ReadonlyMap<K, V | undefined>): void {
  for (const [key, value] of changes) {
    if (value === undefined) map.delete(key);
    else map.set(key, value);
  }
}

function refuseConflict(path: string, [one, ...others]: readonly Claim[]): void {
  for (const other of others) {
    if (one === undefined || same(foundPart(one.part), foundPart(other.part))) continue;
    throw new LibnetworkError(
      'CONFLICT',
      `${path}: wanted by ${one.owner} and by ${other.owner}, for different things`,
      { holder: one.owner, value: path },
    );
  }
}
