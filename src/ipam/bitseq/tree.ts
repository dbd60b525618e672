import { PAGE_BITS, Page } from './page.ts';

export interface Place {
  readonly page: number;
  readonly bit: number;
}

/** A page with some bits taken and some free, or a stretch of `pages` pages that are all taken. */
export type Part =
  | { readonly page: number; readonly pages: 0; readonly node: Page }
  | { readonly page: number; readonly pages: number; readonly node?: undefined };

/**
 * The pages of a set under a summary tree. Level 0 are the pages of ordinals; in a node of level k, bit i tells
 * whether child i of level k - 1 has anything free. Nodes that are all free or all taken are not kept: an absent node
 * is all taken where the nearest kept node above says so, and all free otherwise. So a set that is empty or full
 * takes no memory, and one with a few ordinals taken, wherever they are, takes one small page for each.
 *
 * An absent node of level 1 or more that is not all taken has no child that is; its children may still have
 * ordinals taken. What a node summarises is "something is free below", nothing else.
 */
export class Tree {
  /** For each level the nodes that are partly taken, by number; the pages are the first. */
  readonly #levels: Map<number, Page>[];
  readonly #pages: Map<number, Page>;
  /** For each level how many nodes there are, kept or not. */
  readonly #counts: number[];
  readonly #size: bigint;
  /** How many ordinals are taken: a large part that changes seldom, and a small one that is quick to change. */
  #takenBase = 0n;
  #takenMore = 0;
  /** No page below it has anything free. */
  #low = 0;
  /** That page, where it is kept and was looked up since anything happened to it. */
  #lowNode: Page | undefined;
  #isFull = false;

  constructor(size: bigint) {
    this.#size = size;
    const pages = Number((size + BigInt(PAGE_BITS - 1)) / BigInt(PAGE_BITS));
    this.#counts = [pages];
    for (let count = pages; count > 1; ) {
      count = Math.ceil(count / PAGE_BITS);
      this.#counts.push(count);
    }
    this.#pages = new Map();
    this.#levels = this.#counts.map((_, level) => (level === 0 ? this.#pages : new Map()));
  }

  get taken(): bigint {
    return this.#takenBase + BigInt(this.#takenMore);
  }

  get nodes(): number {
    return this.#levels.reduce((sum, level) => sum + level.size, 0);
  }

  has(page: number, bit: number): boolean {
    const node = this.#pages.get(page);
    return node ? !node.isFree(bit) : this.#absentIsTaken(0, page);
  }

  take(page: number, bit: number): boolean {
    let node = this.#pages.get(page);
    if (node === undefined) {
      if (this.#absentIsTaken(0, page)) return false;
      node = this.#keepFree(0, page);
    }
    if (!node.take(bit)) return false;
    this.#takenMore++;
    if (node.free === 0) this.#becameTaken(0, page);
    return true;
  }

  release(page: number, bit: number): boolean {
    let node = this.#pages.get(page);
    if (node === undefined) {
      if (!this.#absentIsTaken(0, page)) return false;
      node = this.#keepTaken(0, page);
    }
    if (!node.release(bit)) return false;
    this.#takenMore--;
    if (page <= this.#low) this.#setLow(page);
    if (node.taken === 0) this.#pages.delete(page);
    return true;
  }

  /** The first free bit at or after the given one. */
  nextFree(page: number, bit: number): Place | undefined {
    if (page < this.#low) return this.#low < this.#count(0) ? this.nextFree(this.#low, 0) : undefined;
    const node = this.#pages.get(page);
    const here = node ? node.firstFree(bit) : this.#absentIsTaken(0, page) ? -1 : bit;
    if (here >= 0) return { page, bit: here };
    const next = this.#nextWithFree(0, page + 1);
    if (page === this.#low && bit === 0) this.#setLow(next < 0 ? this.#count(0) : next);
    if (next < 0) return undefined;
    return { page: next, bit: this.#pages.get(next)?.firstFree(0) ?? 0 };
  }

  /** Takes the first free bit of all. */
  takeFirst(): Place | undefined {
    const page = this.#low;
    this.#lowNode ??= this.#pages.get(page);
    const node = this.#lowNode;
    if (node === undefined) {
      const place = this.nextFree(page, 0);
      if (place) this.take(place.page, place.bit);
      return place;
    }
    const bit = node.takeFirst();
    this.#takenMore++;
    if (node.free === 0) {
      this.#becameTaken(0, page);
      this.#moveLow(page + 1);
    }
    return { page, bit };
  }

  /** Takes or frees the bits `from` to `to` of one page. */
  fillBits(page: number, from: number, to: number, taken: boolean): void {
    const last = Math.min(to, this.#capacity(0, page) - 1);
    if (from === 0 && last === this.#capacity(0, page) - 1) {
      this.fillPages(page, page, taken);
      return;
    }
    for (let bit = from; bit <= last; bit++) {
      if (taken) this.take(page, bit);
      else this.release(page, bit);
    }
  }

  /** Takes or frees all bits of the pages `first` to `last`. */
  fillPages(first: number, last: number, taken: boolean): void {
    this.#clear(first, last);
    this.#setLow(Math.min(first, this.#low));
    if (!taken) return;
    this.#markTaken(0, first, last);
    this.#takenBase += this.#ordinals(first, last);
  }

  /** What is taken in the pages `first` to `last`, in ascending order. */
  parts(first: number, last: number): Part[] {
    if (this.#isFull) return [{ page: 0, pages: this.#count(0) }];
    const parts: Part[] = [];
    for (const [page, node] of this.#pages)
      if (page >= first && page <= last) parts.push({ page, pages: 0, node });
    let span = 1;
    for (const level of this.#levels.slice(1)) {
      for (const [index, node] of level) {
        const base = index * PAGE_BITS * span;
        if (base > last || base + PAGE_BITS * span <= first) continue;
        for (const [start, end] of node.runs()) {
          const part = { page: base + start * span, pages: (end - start + 1) * span };
          if (part.page <= last && part.page + part.pages > first) parts.push(part);
        }
      }
      span *= PAGE_BITS;
    }
    return parts.sort((a, b) => a.page - b.page);
  }

  /** Nothing before this page is free: the lowest is the first after it that has anything. */
  #moveLow(page: number): void {
    const next = this.#nextWithFree(0, page);
    this.#setLow(next < 0 ? this.#count(0) : next);
  }

  #setLow(page: number): void {
    this.#low = page;
    this.#lowNode = undefined;
  }

  #level(level: number): Map<number, Page> {
    // Levels are made once, in the constructor, and every caller counts up to them.
    return this.#levels[level] as Map<number, Page>;
  }

  #count(level: number): number {
    return this.#counts[level] ?? 0;
  }

  #capacity(level: number, index: number): number {
    if (level > 0) return Math.min(PAGE_BITS, this.#count(level - 1) - index * PAGE_BITS);
    const left = this.#size - BigInt(index) * BigInt(PAGE_BITS);
    return left >= BigInt(PAGE_BITS) ? PAGE_BITS : Number(left);
  }

  get #top(): number {
    return this.#levels.length - 1;
  }

  /** Whether a node that is not kept is all taken; else it is all free. */
  #absentIsTaken(level: number, index: number): boolean {
    let child = index;
    for (let up = level + 1; up <= this.#top; up++) {
      const parent = Math.floor(child / PAGE_BITS);
      const node = this.#level(up).get(parent);
      if (node) return !node.isFree(child - parent * PAGE_BITS);
      child = parent;
    }
    return this.#isFull;
  }

  #keepFree(level: number, index: number): Page {
    const node = Page.allFree(this.#capacity(level, index));
    this.#level(level).set(index, node);
    return node;
  }

  /** Keeps a node that was all taken since something in it is about to be freed, and tells the nodes above. */
  #keepTaken(level: number, index: number): Page {
    const node = Page.allTaken(this.#capacity(level, index));
    this.#level(level).set(index, node);
    if (level === this.#top) {
      this.#isFull = false;
      return node;
    }
    const parent = Math.floor(index / PAGE_BITS);
    const above = this.#level(level + 1).get(parent) ?? this.#keepTaken(level + 1, parent);
    above.release(index - parent * PAGE_BITS);
    if (above.taken === 0) this.#level(level + 1).delete(parent);
    return node;
  }

  #becameTaken(level: number, index: number): void {
    this.#level(level).delete(index);
    if (level === 0) this.#lowNode = undefined;
    if (level === this.#top) {
      this.#isFull = true;
      return;
    }
    const parent = Math.floor(index / PAGE_BITS);
    const above = this.#level(level + 1).get(parent) ?? this.#keepFree(level + 1, parent);
    above.take(index - parent * PAGE_BITS);
    if (above.free === 0) this.#becameTaken(level + 1, parent);
  }

  /** The first node of the level at or after `index` that has something free, or -1. */
  #nextWithFree(level: number, index: number): number {
    if (index >= this.#count(level)) return -1;
    if (level === this.#top) return this.#isFull ? -1 : index;
    const parent = Math.floor(index / PAGE_BITS);
    const above = this.#level(level + 1).get(parent);
    const here = above ? above.firstFree(index - parent * PAGE_BITS) : -1;
    if (here >= 0) return parent * PAGE_BITS + here;
    if (above === undefined && !this.#absentIsTaken(level + 1, parent)) return index;
    const next = this.#nextWithFree(level + 1, parent + 1);
    if (next < 0) return -1;
    return (
      next * PAGE_BITS +
      (this.#level(level + 1)
        .get(next)
        ?.firstFree(0) ?? 0)
    );
  }

  /** Frees the pages `first` to `last`, whatever was taken in them. */
  #clear(first: number, last: number): void {
    for (const part of this.parts(first, last)) {
      if (part.node) {
        this.#takenMore -= part.node.taken;
        this.#pages.delete(part.page);
        continue;
      }
      const from = Math.max(part.page, first);
      const to = Math.min(part.page + part.pages - 1, last);
      this.#markFree(0, from, to);
      this.#takenBase -= this.#ordinals(from, to);
    }
  }

  /** Makes nodes that are all free, and so not kept, all taken. Parents covered whole are marked in their parents. */
  #markTaken(level: number, first: number, last: number): void {
    if (level === this.#top) {
      this.#isFull = true;
      return;
    }
    const parents = parentsOf(first, last);
    for (const { parent, from, to } of parents.ends) {
      const node = this.#level(level + 1).get(parent) ?? this.#keepFree(level + 1, parent);
      for (let bit = from; bit <= to; bit++) node.take(bit);
      if (node.free === 0) this.#becameTaken(level + 1, parent);
    }
    if (parents.first <= parents.last) this.#markTaken(level + 1, parents.first, parents.last);
  }

  /** Makes nodes that are all taken, and so not kept, all free. */
  #markFree(level: number, first: number, last: number): void {
    if (level === this.#top) {
      this.#isFull = false;
      return;
    }
    const parents = parentsOf(first, last);
    for (const { parent, from, to } of parents.ends) {
      const node = this.#level(level + 1).get(parent) ?? this.#keepTaken(level + 1, parent);
      for (let bit = from; bit <= to; bit++) node.release(bit);
      if (node.taken === 0) this.#level(level + 1).delete(parent);
    }
    if (parents.first <= parents.last) this.#markFree(level + 1, parents.first, parents.last);
  }

  /** How many ordinals the pages `first` to `last` have. */
  #ordinals(first: number, last: number): bigint {
    return BigInt(last - first) * BigInt(PAGE_BITS) + BigInt(this.#capacity(0, last));
  }
}

/** The parents of the nodes `first` to `last`: the first and the last with their children, those between as numbers. */
function parentsOf(first: number, last: number) {
  const [low, high] = [Math.floor(first / PAGE_BITS), Math.floor(last / PAGE_BITS)];
  const lowEnd = {
    parent: low,
    from: first - low * PAGE_BITS,
    to: low === high ? last - low * PAGE_BITS : PAGE_BITS - 1,
  };
  const highEnd = { parent: high, from: 0, to: last - high * PAGE_BITS };
  return { ends: low === high ? [lowEnd] : [lowEnd, highEnd], first: low + 1, last: high - 1 };
}
