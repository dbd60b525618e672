import { BitSet } from 'bitset';

/** Bits of a full page. */
export const PAGE_BITS = 4096;

/** Bits `start` to `end` of a page, both included. */
export type BitRun = readonly [start: number, end: number];

/** The few bits that are not like all others of a page, in ascending order. */
interface Few {
  readonly bits: number[];
  /** Whether these bits are the taken ones, and all others free, or the other way round. */
  readonly areTaken: boolean;
}

/**
 * Up to 4,096 bits, each taken or free. While few are taken, or few are free, those are a sorted list; in between the
 * page is a `BitSet` of the free bits, so that the next free one is in the next word that is not 0. A page that is
 * all free or all taken holds neither.
 */
export class Page {
  /** How many bits the page has: 4,096, or fewer at the end of a set. */
  readonly capacity: number;
  #free: number;
  /** No bit below it is free, so that a search need not begin at 0. */
  #low: number;
  #few: Few | undefined;
  #freeBits: BitSet | undefined;

  private constructor(capacity: number, free: number) {
    this.capacity = capacity;
    this.#free = free;
    this.#low = capacity - free;
  }

  static allFree(capacity: number): Page {
    return new Page(capacity, capacity);
  }

  static allTaken(capacity: number): Page {
    return new Page(capacity, 0);
  }

  /** How many bits are free. */
  get free(): number {
    return this.#free;
  }

  get taken(): number {
    return this.capacity - this.#free;
  }

  isFree(bit: number): boolean {
    if (this.#freeBits) return this.#freeBits.get(bit) === 1;
    if (this.#few) return this.#few.bits.includes(bit) !== this.#few.areTaken;
    return this.#free > 0;
  }

  /** Takes a bit; false when it was taken already. */
  take(bit: number): boolean {
    if (!this.isFree(bit)) return false;
    if (bit === this.#low) this.#low++;
    this.#take(bit);
    return true;
  }

  /** Takes the first free bit, which there must be. */
  takeFirst(): number {
    const bit = this.#nextFree(this.#low);
    this.#low = bit + 1;
    this.#take(bit);
    return bit;
  }

  /** Frees a bit; false when it was free already. */
  release(bit: number): boolean {
    if (this.isFree(bit)) return false;
    if (bit < this.#low) this.#low = bit;
    this.#free++;
    if (this.#freeBits) {
      this.#freeBits.set(bit, 1);
      if (this.taken <= this.capacity >>> 7) this.#toFew(true);
    } else this.#note(bit, false);
    return true;
  }

  /** The first free bit at or after `from`, or -1. */
  firstFree(from: number): number {
    if (this.#free === 0 || from >= this.capacity) return -1;
    if (from > this.#low) return this.#nextFree(from);
    this.#low = this.#nextFree(this.#low);
    return this.#low;
  }

  /** The taken bits from `from` to `to`, as runs in ascending order. */
  *runs(from = 0, to = this.capacity - 1): Generator<BitRun> {
    if (this.#free === this.capacity) return;
    let start = this.#nextTaken(from);
    while (start >= 0 && start <= to) {
      const gap = this.firstFree(start);
      const end = gap < 0 ? this.capacity : gap;
      yield [start, Math.min(end - 1, to)];
      start = this.#nextTaken(end);
    }
  }

  /** The taken bits as 32-bit words, the lowest bit first. */
  words(): Int32Array {
    const words = new Int32Array(Math.ceil(this.capacity / 32));
    if (this.#freeBits) {
      const { data } = this.#freeBits;
      for (let i = 0; i < words.length; i++) words[i] = ~(data[i] ?? 0);
    } else {
      if (this.#few ? !this.#few.areTaken : this.#free === 0) words.fill(-1);
      for (const bit of this.#few?.bits ?? []) words[bit >>> 5] = (words[bit >>> 5] ?? 0) ^ (1 << bit);
    }
    const tail = this.capacity & 31;
    if (tail !== 0) words[words.length - 1] = (words[words.length - 1] ?? 0) & ((1 << tail) - 1);
    return words;
  }

  #take(bit: number): void {
    this.#free--;
    if (this.#freeBits) {
      this.#freeBits.set(bit, 0);
      if (this.#free <= this.capacity >>> 7) this.#toFew(false);
    } else this.#note(bit, true);
  }

  /** Notes a change in the list: the bit joins it, or leaves it. A list that got long becomes a bit set. */
  #note(bit: number, taken: boolean): void {
    this.#few ??= { bits: [], areTaken: taken };
    const { bits, areTaken } = this.#few;
    if (taken !== areTaken) remove(bits, bit);
    else insert(bits, bit);
    if (bits.length === 0) this.#few = undefined;
    // A list takes a word for each bit, a bit set one for 32 bits.
    else if (bits.length > this.capacity >>> 6) this.#toBits();
  }

  #toBits(): void {
    const words = this.words();
    const bits = new BitSet();
    // `setRange`, `clear` and `flip` of bitset 5.3.0 miss the last bit of a word, so words are filled by hand.
    bits.data = Array.from(words, (word) => ~word);
    const tail = this.capacity & 31;
    if (tail !== 0) bits.data[words.length - 1] = ~(words[words.length - 1] ?? 0) & ((1 << tail) - 1);
    this.#freeBits = bits;
    this.#few = undefined;
  }

  #toFew(areTaken: boolean): void {
    const bits: number[] = [];
    const next = (from: number) => (areTaken ? this.#nextTaken(from) : this.#nextFree(from));
    for (let bit = next(0); bit >= 0; bit = next(bit + 1)) bits.push(bit);
    this.#freeBits = undefined;
    this.#few = bits.length === 0 ? undefined : { bits, areTaken };
  }

  /** The first free bit at or after `from`, or -1. */
  #nextFree(from: number): number {
    if (this.#freeBits) return within(scan(this.#freeBits.data, from, 0), this.capacity);
    if (this.#few) return nextOf(this.#few, false, from, this.capacity);
    return this.#free > 0 ? within(from, this.capacity) : -1;
  }

  /** The first taken bit at or after `from`, or -1. */
  #nextTaken(from: number): number {
    if (this.#freeBits) return within(scan(this.#freeBits.data, from, -1), this.capacity);
    if (this.#few) return nextOf(this.#few, true, from, this.capacity);
    return this.#free === 0 ? within(from, this.capacity) : -1;
  }
}

function within(bit: number, capacity: number): number {
  return bit < capacity ? bit : -1;
}

/** The first bit at or after `from` of the words, or with `invert` -1 the first that is 0 in them; -1 for none. */
function scan(words: readonly number[], from: number, invert: number): number {
  let index = from >>> 5;
  let word = ((words[index] ?? invert) ^ invert) & (-1 << from);
  while (word === 0) {
    index++;
    if (index >= words.length) return -1;
    word = (words[index] ?? invert) ^ invert;
  }
  return index * 32 + 31 - Math.clz32(word & -word);
}

/** The first bit at or after `from` that is taken, or free, where only few are the one or the other. */
function nextOf({ bits, areTaken }: Few, taken: boolean, from: number, capacity: number): number {
  const at = placeOf(bits, from);
  if (taken === areTaken) return bits[at] ?? -1;
  let bit = from;
  for (let i = at; bits[i] === bit; i++) bit++;
  return within(bit, capacity);
}

/** Where a bit is in a sorted list, or would be. */
function placeOf(bits: readonly number[], bit: number): number {
  // What is asked for is most often behind all that is there, or before it.
  let at = bits.length;
  if (at === 0 || (bits[0] ?? 0) >= bit) return 0;
  while ((bits[at - 1] ?? 0) >= bit) at--;
  return at;
}

function insert(bits: number[], bit: number): void {
  const at = placeOf(bits, bit);
  if (at === bits.length) bits.push(bit);
  else bits.splice(at, 0, bit);
}

function remove(bits: number[], bit: number): void {
  const at = placeOf(bits, bit);
  if (at === 0) bits.shift();
  else bits.splice(at, 1);
}
