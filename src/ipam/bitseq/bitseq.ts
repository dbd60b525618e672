import { invalid } from '../../errors.ts';
import { max, min } from '../bigint.ts';
import { PAGE_BITS } from './page.ts';
import { type Place, Tree } from './tree.ts';

/** Ordinals `start` to `end`, both included. */
export type Run = readonly [start: bigint, end: bigint];

/** The largest set: an IPv6 /64. */
export const MAX_BITS = 1n << 64n;

const SHIFT = 12n;
/** Ordinals that a number holds exactly are split, and put together, as numbers: bigints cost more. */
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const SAFE_PAGES = Math.floor(Number.MAX_SAFE_INTEGER / PAGE_BITS) - 1;

/**
 * A set of ordinals from 0 to `size - 1`. Ordinals are bigints at the edge, page and bit numbers inside. Finding
 * the next free ordinal costs one look per level of the tree (six for 2^64 ordinals), however full the set is.
 */
export class Bitseq {
  /** How many ordinals there are, taken or not: up to 2^64. */
  readonly size: bigint;
  readonly #tree: Tree;
  #given = -1n;

  /** @throws INVALID_ARGUMENT for a size below 1 or above 2^64 */
  constructor(size: bigint) {
    if (size < 1n || size > MAX_BITS) throw invalid('size', size, 'must be from 1 to 2^64');
    this.size = size;
    this.#tree = new Tree(size);
  }

  /** How many ordinals are taken. */
  get count(): bigint {
    return this.#tree.taken;
  }

  /** How many ordinals are free. */
  get free(): bigint {
    return this.size - this.#tree.taken;
  }

  /** Where the next serial search begins: one after the last ordinal that `takeAny` gave. */
  get cursor(): bigint {
    const next = this.#given + 1n;
    return next < this.size ? next : 0n;
  }

  /** True when the ordinal is taken; false also for one out of range. */
  has(ordinal: bigint): boolean {
    if (ordinal < 0n || ordinal >= this.size) return false;
    const page = pageOf(ordinal);
    return this.#tree.has(page, bitOf(ordinal, page));
  }

  /** Takes an ordinal; false when it was taken already. @throws INVALID_ARGUMENT out of range */
  take(ordinal: bigint): boolean {
    this.#check(ordinal);
    const page = pageOf(ordinal);
    return this.#tree.take(page, bitOf(ordinal, page));
  }

  /** Frees an ordinal; false when it was free already: the count stays right. @throws INVALID_ARGUMENT out of range */
  release(ordinal: bigint): boolean {
    this.#check(ordinal);
    const page = pageOf(ordinal);
    return this.#tree.release(page, bitOf(ordinal, page));
  }

  /** The lowest free ordinal from `from` to `to`. @throws INVALID_ARGUMENT for a range that is none */
  firstFree(from?: bigint, to?: bigint): bigint | undefined {
    const found = this.#find(from, to);
    return found && this.#within(found, to);
  }

  /**
   * Takes a free ordinal of the range: the lowest, or with `serial` the next one after the last that this method
   * gave (whatever its mode and range), turning at the end of the range.
   * @returns undefined when the range is full
   * @throws INVALID_ARGUMENT for a range that is none
   */
  takeAny(from?: bigint, to?: bigint, options?: { readonly serial?: boolean }): bigint | undefined {
    if (options?.serial === true) {
      const next = this.nextFree(from, to);
      if (next !== undefined) this.take(next);
      this.#given = next ?? this.#given;
      return next;
    }
    const anywhere = from === undefined && to === undefined;
    const found = anywhere ? this.#tree.takeFirst() : this.#find(from, to);
    const ordinal = found && this.#within(found, to);
    if (found === undefined || ordinal === undefined) return undefined;
    if (!anywhere) this.#tree.take(found.page, found.bit);
    this.#given = ordinal;
    return ordinal;
  }

  /** The free ordinal that a serial `takeAny` would take. */
  nextFree(from = 0n, to: bigint = this.size - 1n): bigint | undefined {
    this.#checkRange(from, to);
    const { cursor } = this;
    if (cursor <= from || cursor > to) return this.firstFree(from, to);
    return this.firstFree(cursor, to) ?? this.firstFree(from, cursor - 1n);
  }

  /** Moves the cursor of serial searches; past the end it turns to 0. */
  moveCursor(ordinal: bigint): void {
    this.#given = ordinal - 1n;
  }

  /** How many ordinals of the range are taken. @throws INVALID_ARGUMENT for a range that is none */
  countIn(from: bigint, to: bigint): bigint {
    let count = 0n;
    for (const [start, end] of this.runs(from, to)) count += end - start + 1n;
    return count;
  }

  /** The taken ordinals of the range as runs, ascending; neighbouring runs are joined. */
  *runs(from = 0n, to: bigint = this.size - 1n): Generator<Run> {
    this.#checkRange(from, to);
    let open: [bigint, bigint] | undefined;
    for (const [start, end] of this.#pieces(from, to)) {
      if (open && open[1] + 1n === start) open[1] = end;
      else {
        if (open) yield open;
        open = [start, end];
      }
    }
    if (open) yield open;
  }

  /** The taken ordinals, ascending. */
  *[Symbol.iterator](): Generator<bigint> {
    for (const [start, end] of this.runs()) for (let each = start; each <= end; each++) yield each;
  }

  /** Takes every ordinal of the range, whether it was free or not. */
  takeRange(from: bigint, to: bigint): void {
    this.#fill(from, to, true);
  }

  /** Frees every ordinal of the range. */
  releaseRange(from: bigint, to: bigint): void {
    this.#fill(from, to, false);
  }

  /** Takes what the other set has, too. @throws INVALID_ARGUMENT for a set of another size */
  union(other: Bitseq): void {
    if (other.size !== this.size) throw invalid('other.size', other.size, `must be ${this.size}`);
    for (const [start, end] of other.runs()) this.takeRange(start, end);
  }

  /** How many pages and nodes are held in memory: none for an empty or a full set. */
  get nodes(): number {
    return this.#tree.nodes;
  }

  /** The first free bit from `from` on, in whatever page. */
  #find(from: bigint | undefined, to: bigint | undefined): Place | undefined {
    if (from === undefined && to === undefined) return this.#tree.nextFree(0, 0);
    this.#checkRange(from ?? 0n, to ?? this.size - 1n);
    if (from === undefined) return this.#tree.nextFree(0, 0);
    const page = pageOf(from);
    return this.#tree.nextFree(page, bitOf(from, page));
  }

  #within({ page, bit }: Place, to: bigint | undefined): bigint | undefined {
    const ordinal =
      page <= SAFE_PAGES ? BigInt(page * PAGE_BITS + bit) : (BigInt(page) << SHIFT) | BigInt(bit);
    return to === undefined || ordinal <= to ? ordinal : undefined;
  }

  #fill(from: bigint, to: bigint, taken: boolean): void {
    this.#checkRange(from, to);
    const [first, last] = [pageOf(from), pageOf(to)];
    const [firstBit, lastBit] = [bitOf(from, first), bitOf(to, last)];
    if (first === last) {
      this.#tree.fillBits(first, firstBit, lastBit, taken);
      return;
    }
    this.#tree.fillBits(first, firstBit, PAGE_BITS - 1, taken);
    this.#tree.fillBits(last, 0, lastBit, taken);
    if (last - first > 1) this.#tree.fillPages(first + 1, last - 1, taken);
  }

  *#pieces(from: bigint, to: bigint): Generator<Run> {
    const last = pageOf(to);
    for (const part of this.#tree.parts(pageOf(from), last)) {
      const base = BigInt(part.page) << SHIFT;
      if (part.node === undefined) {
        const end = (BigInt(part.page + part.pages) << SHIFT) - 1n;
        yield [max(base, from), min(min(end, to), this.size - 1n)];
        continue;
      }
      const low = base < from ? bitOf(from, part.page) : 0;
      const high = part.page === last ? bitOf(to, last) : PAGE_BITS - 1;
      for (const [start, end] of part.node.runs(low, Math.min(high, part.node.capacity - 1)))
        yield [base + BigInt(start), base + BigInt(end)];
    }
  }

  #check(ordinal: bigint): void {
    if (ordinal < 0n || ordinal >= this.size)
      throw invalid('ordinal', ordinal, `must be from 0 to ${this.size - 1n}`);
  }

  #checkRange(from: bigint, to: bigint): void {
    if (from < 0n || to < from || to >= this.size)
      throw invalid(
        'range',
        [String(from), String(to)],
        `must be two ordinals in order, from 0 to ${this.size - 1n}`,
      );
  }
}

function pageOf(ordinal: bigint): number {
  return ordinal <= SAFE ? Math.floor(Number(ordinal) / PAGE_BITS) : Number(ordinal >> SHIFT);
}

function bitOf(ordinal: bigint, page: number): number {
  return ordinal <= SAFE ? Number(ordinal) - page * PAGE_BITS : Number(ordinal & BigInt(PAGE_BITS - 1));
}
