import { Bitseq, MAX_BITS } from './bitseq.ts';

const CHUNK_BITS = 64n;
const CHUNK_MASK = MAX_BITS - 1n;

/**
 * A set of ordinals beyond 2^64, for IPv6 pools up to a /0: a bit sequence for each 2^64 of them, made when the
 * first ordinal in it is taken.
 */
export class WideBitseq {
  readonly size: bigint;
  readonly #chunks = new Map<bigint, Bitseq>();

  constructor(size: bigint) {
    this.size = size;
  }

  has(ordinal: bigint): boolean {
    return this.#chunks.get(ordinal >> CHUNK_BITS)?.has(ordinal & CHUNK_MASK) ?? false;
  }

  take(ordinal: bigint): boolean {
    return this.#chunk(ordinal >> CHUNK_BITS).take(ordinal & CHUNK_MASK);
  }

  /** Takes every ordinal of a range within one page. */
  takeRange(from: bigint, to: bigint): void {
    this.#chunk(from >> CHUNK_BITS).takeRange(from & CHUNK_MASK, to & CHUNK_MASK);
  }

  release(ordinal: bigint): boolean {
    const index = ordinal >> CHUNK_BITS;
    const chunk = this.#chunks.get(index);
    if (chunk === undefined) return false;
    const released = chunk.release(ordinal & CHUNK_MASK);
    if (chunk.count === 0n) this.#chunks.delete(index);
    return released;
  }

  firstFree(from: bigint, to: bigint): bigint | undefined {
    const last = to >> CHUNK_BITS;
    for (let index = from >> CHUNK_BITS; index <= last; index++) {
      const base = index << CHUNK_BITS;
      const low = from > base ? from - base : 0n;
      const chunk = this.#chunks.get(index);
      if (chunk === undefined) return base + low;
      const found = chunk.firstFree(low, index === last ? to - base : chunk.size - 1n);
      if (found !== undefined) return base + found;
    }
    return undefined;
  }

  countIn(from: bigint, to: bigint): bigint {
    let count = 0n;
    for (const [index, chunk] of this.#chunks) {
      const base = index << CHUNK_BITS;
      const low = from > base ? from - base : 0n;
      const high = to - base < chunk.size ? to - base : chunk.size - 1n;
      if (low <= high && low < chunk.size) count += chunk.countIn(low, high);
    }
    return count;
  }

  #chunk(index: bigint): Bitseq {
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      chunk = new Bitseq(this.#sizeOf(index));
      this.#chunks.set(index, chunk);
    }
    return chunk;
  }

  #sizeOf(index: bigint): bigint {
    const left = this.size - (index << CHUNK_BITS);
    return left < MAX_BITS ? left : MAX_BITS;
  }
}
