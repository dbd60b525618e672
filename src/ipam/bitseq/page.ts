import { BitSet } from 'bitset';

/** Bits of a full page. */
export const PAGE_BITS = 4096;

/** Bits `start` to `end` of a page, both included. */
export type BitRun = readonly [start: number, end: number];

/**
 * Up to 4,096 bits, each taken or free. While few are taken they are a sorted list; from then on the page is a
 * `BitSet` of the *free* bits, whose `lsb()` is the first free one. A page that is all free or all taken holds
 * neither.
 */
export class Page {
  /** How many bits the page has: 4,096, or fewer at the end of a set. */
  readonly capacity: number;
  #free: number;
  #takenList: number[] | undefined;
  #freeBits: BitSet | undefined;

  private constructor(capacity: number, free: number) {
    this.capacity = capacity;
    this.#free = free;
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
    if (this.#takenList) return !this.#takenList.includes(bit);
    return this.#free > 0;
  }

  /** Takes a bit; false when it was taken already. */
  take(bit: number): boolean {
    if (!this.isFree(bit)) return false;
    this.#free--;
    if (this.#free === 0) this.#forget();
    else if (this.#freeBits) this.#freeBits.set(bit, 0);
    else this.#takeInList(bit);
    return true;
  }

  /** Frees a bit; false when it was free already. */
  release(bit: number): boolean {
    if (this.isFree(bit)) return false;
    this.#free++;
    if (this.#free === this.capacity) this.#forget();
    else if (this.#takenList) this.#takenList.splice(this.#takenList.indexOf(bit), 1);
    else this.#releaseInBits(bit);
    return true;
  }

  /** The first free bit at or after `from`, or -1. */
  firstFree(from: number): number {
    if (this.#free === 0 || from >= this.capacity) return -1;
    if (this.#freeBits) return from === 0 ? this.#freeBits.lsb() : scan(this.#freeBits.data, from);
    if (!this.#takenList) return from;
    return firstGap(this.#takenList, from, this.capacity);
  }

  /** The taken bits from `from` to `to`, as runs in ascending order. */
  *runs(from = 0, to = this.capacity - 1): Generator<BitRun> {
    if (this.#free === this.capacity) return;
    let start = this.#firstTaken(from);
    while (start <= to) {
      const gap = this.firstFree(start);
      const end = gap < 0 ? this.capacity : gap;
      yield [start, Math.min(end - 1, to)];
      start = this.#firstTaken(end);
    }
  }

  /** The taken bits as 32-bit words, the lowest bit first. */
  words(): Int32Array {
    const words = new Int32Array(Math.ceil(this.capacity / 32));
    if (this.#freeBits) {
      const { data } = this.#freeBits;
      for (let i = 0; i < words.length; i++) words[i] = ~(data[i] ?? 0);
      clearTail(words, this.capacity);
    } else if (this.#takenList) {
      for (const bit of this.#takenList) words[bit >>> 5] = (words[bit >>> 5] ?? 0) | (1 << bit);
    } else if (this.#free === 0) clearTail(words.fill(-1), this.capacity);
    return words;
  }

  clone(): Page {
    const copy = new Page(this.capacity, this.#free);
    copy.#takenList = this.#takenList?.slice();
    copy.#freeBits = this.#freeBits?.clone();
    return copy;
  }

  /** The first taken bit at or after `from`, or the capacity. */
  #firstTaken(from: number): number {
    if (from >= this.capacity) return this.capacity;
    if (this.#freeBits) {
      const found = scan(this.#freeBits.data, from, -1);
      return found < 0 ? this.capacity : Math.min(found, this.capacity);
    }
    if (this.#takenList) return this.#takenList.find((bit) => bit >= from) ?? this.capacity;
    return this.#free === 0 ? from : this.capacity;
  }

  #forget(): void {
    this.#takenList = undefined;
    this.#freeBits = undefined;
  }

  #takeInList(bit: number): void {
    this.#takenList ??= [];
    const list = this.#takenList;
    let at = list.length;
    while (at > 0 && (list[at - 1] ?? 0) > bit) at--;
    list.splice(at, 0, bit);
    // A list takes a word for each bit, a bit set one for 32 bits: from here on the bit set is smaller or as fast.
    if (list.length > this.capacity >>> 6) this.#freeBits = this.#toBits(list);
  }

  #toBits(taken: readonly number[]): BitSet {
    const bits = emptyBits(this.capacity);
    for (let i = 0; i < bits.data.length; i++) bits.data[i] = -1;
    const tail = this.capacity & 31;
    if (tail !== 0) bits.data[bits.data.length - 1] = (1 << tail) - 1;
    for (const bit of taken) bits.set(bit, 0);
    this.#takenList = undefined;
    return bits;
  }

  #releaseInBits(bit: number): void {
    this.#freeBits ??= emptyBits(this.capacity);
    this.#freeBits.set(bit, 1);
  }
}

/** A bit set of zeros with just the words that the capacity needs. */
function emptyBits(capacity: number): BitSet {
  const bits = new BitSet();
  // `setRange`, `clear` and `flip` of bitset 5.3.0 miss the last bit of a word, so words are filled by hand.
  bits.data = new Array<number>(Math.ceil(capacity / 32)).fill(0);
  return bits;
}

/** The first bit at or after `from` that is 1, or with `invert` -1 the first that is 0; -1 when there is none. */
function scan(words: readonly number[], from: number, invert = 0): number {
  let index = from >>> 5;
  let word = ((words[index] ?? 0) ^ invert) & (-1 << from);
  while (word === 0) {
    index++;
    if (index >= words.length) return -1;
    word = (words[index] ?? 0) ^ invert;
  }
  return index * 32 + 31 - Math.clz32(word & -word);
}

/** The first number from `from` on that a sorted list does not have. */
function firstGap(taken: readonly number[], from: number, capacity: number): number {
  let bit = from;
  for (const each of taken) {
    if (each < bit) continue;
    if (each > bit) break;
    bit++;
  }
  return bit < capacity ? bit : -1;
}

function clearTail(words: Int32Array, capacity: number): void {
  const tail = capacity & 31;
  if (tail !== 0) words[words.length - 1] = (words[words.length - 1] ?? 0) & ((1 << tail) - 1);
}
