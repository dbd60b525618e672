import { LibnetworkError } from '../errors.ts';
import { bits, type Family, formatPrefix, type Prefix } from '../ip.ts';

interface Node<T> {
  zero: Node<T> | undefined;
  one: Node<T> | undefined;
  /** The prefix that ends here, with its value. A node with one has no children. */
  entry: { readonly prefix: Prefix; readonly value: T } | undefined;
  /** The length of the shortest prefix below that is wholly free; more than the family has bits when there is none. */
  best: number;
}

/**
 * Prefixes of one family that do not overlap, in a binary tree that knows for each branch the largest free block
 * below. Every look-up, and the search for the next free block, costs a walk down the tree, however many prefixes
 * there are.
 */
export class PrefixTree<T> {
  readonly family: Family;
  readonly #width: number;
  #root: Node<T> | undefined;
  #size = 0;

  constructor(family: Family) {
    this.family = family;
    this.#width = bits(family);
  }

  get size(): number {
    return this.#size;
  }

  /** @throws INTERNAL when the prefix overlaps one that is there: callers look first */
  insert(prefix: Prefix, value: T): void {
    if (this.overlapping(prefix) !== undefined)
      throw new LibnetworkError(
        'INTERNAL',
        `${formatPrefix(prefix)} overlaps a prefix that is there already`,
      );
    const path = this.#walk(prefix, true);
    const leaf = path.at(-1);
    if (leaf) leaf.entry = { prefix, value };
    this.#size++;
    this.#settle(path);
  }

  delete(prefix: Prefix): boolean {
    const path = this.#walk(prefix, false);
    const leaf = path[prefix.length];
    if (leaf?.entry === undefined) return false;
    leaf.entry = undefined;
    this.#size--;
    this.#prune(prefix, path);
    this.#settle(path);
    return true;
  }

  get(prefix: Prefix): T | undefined {
    return this.#walk(prefix, false)[prefix.length]?.entry?.value;
  }

  /** The value of a prefix that overlaps the given one: the one that contains it, or the lowest one within. */
  overlapping(prefix: Prefix): T | undefined {
    const path = this.#walk(prefix, false);
    const last = path.at(-1);
    if (last?.entry) return last.entry.value;
    if (path.length <= prefix.length) return undefined;
    return lowest(last)?.value;
  }

  /** The lowest free prefix of a length within `base`, that begins at or after `from`. */
  firstFree(base: Prefix, length: number, from: bigint = base.value): Prefix | undefined {
    if (length < base.length || length > this.#width) return undefined;
    const path = this.#walk(base, false);
    const last = path.at(-1);
    if (last?.entry) return undefined;
    const node = path.length > base.length ? last : undefined;
    const value = this.#search(node, base.value, base.length, length, from);
    return value === undefined ? undefined : { family: this.family, value, length };
  }

  /** Every value, in the order of the prefixes. */
  *[Symbol.iterator](): Generator<T> {
    yield* values(this.#root);
  }

  /** The nodes from the root to the prefix, as far as there are any. */
  #walk(prefix: Prefix, create: boolean): Node<T>[] {
    if (create) this.#root ??= emptyNode();
    const path: Node<T>[] = [];
    let node = this.#root;
    for (let depth = 0; node !== undefined; depth++) {
      path.push(node);
      if (depth === prefix.length) break;
      const side = this.#bit(prefix.value, depth) ? 'one' : 'zero';
      if (create) node[side] ??= emptyNode();
      node = node[side];
    }
    return path;
  }

  #bit(value: bigint, depth: number): boolean {
    return ((value >> BigInt(this.#width - 1 - depth)) & 1n) === 1n;
  }

  #settle(path: readonly Node<T>[]): void {
    for (let depth = path.length - 1; depth >= 0; depth--) {
      const node = path[depth];
      if (node)
        node.best = node.entry
          ? this.#width + 1
          : Math.min(bestOf(node.zero, depth), bestOf(node.one, depth));
    }
  }

  /** Cuts off the branch that led to nothing but the prefix. */
  #prune(prefix: Prefix, path: Node<T>[]): void {
    while (path.length > 0) {
      const node = path.at(-1);
      if (node?.entry || node?.zero || node?.one) return;
      path.pop();
      const parent = path.at(-1);
      if (parent === undefined) this.#root = undefined;
      else if (this.#bit(prefix.value, path.length - 1)) parent.one = undefined;
      else parent.zero = undefined;
    }
  }

  #search(
    node: Node<T> | undefined,
    start: bigint,
    depth: number,
    length: number,
    from: bigint,
  ): bigint | undefined {
    const end = start + (1n << BigInt(this.#width - depth));
    if (end <= from || depth > length) return undefined;
    if (node === undefined) {
      const step = 1n << BigInt(this.#width - length);
      const value = from <= start ? start : ((from + step - 1n) / step) * step;
      return value < end ? value : undefined;
    }
    if (node.entry || node.best > length) return undefined;
    const middle = start + (1n << BigInt(this.#width - depth - 1));
    return (
      this.#search(node.zero, start, depth + 1, length, from) ??
      this.#search(node.one, middle, depth + 1, length, from)
    );
  }
}

function emptyNode<T>(): Node<T> {
  return { zero: undefined, one: undefined, entry: undefined, best: 0 };
}

function bestOf<T>(child: Node<T> | undefined, depth: number): number {
  return child === undefined ? depth + 1 : child.best;
}

function lowest<T>(node: Node<T> | undefined): { readonly value: T } | undefined {
  if (node === undefined) return undefined;
  return node.entry ?? lowest(node.zero) ?? lowest(node.one);
}

function* values<T>(node: Node<T> | undefined): Generator<T> {
  if (node === undefined) return;
  if (node.entry) yield node.entry.value;
  yield* values(node.zero);
  yield* values(node.one);
}
