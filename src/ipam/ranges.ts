import { max, min } from './bigint.ts';

/** Ordinals `start` to `end`, both included. */
export type Range = readonly [start: bigint, end: bigint];

/** Ranges of ordinals, sorted, with those that touch joined. */
export class Ranges {
  readonly #ranges: readonly Range[];

  constructor(ranges: readonly Range[]) {
    const sorted = [...ranges].sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    const joined: [bigint, bigint][] = [];
    for (const [start, end] of sorted) {
      const last = joined.at(-1);
      if (last === undefined || start > last[1] + 1n) joined.push([start, end]);
      else if (end > last[1]) last[1] = end;
    }
    this.#ranges = joined;
  }

  /** The range that holds an ordinal. */
  find(ordinal: bigint): Range | undefined {
    return this.firstIn(ordinal, ordinal);
  }

  /** The first range that has anything from `from` to `to`. */
  firstIn(from: bigint, to: bigint): Range | undefined {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.[1] ?? 0n) < from) low = middle + 1;
      else high = middle;
    }
    const range = this.#ranges[low];
    return range !== undefined && range[0] <= to ? range : undefined;
  }

  /** How many ordinals from `from` to `to` the ranges hold. */
  countIn(from: bigint, to: bigint): bigint {
    let count = 0n;
    for (const [start, end] of this.#ranges) {
      const [low, high] = [max(start, from), min(end, to)];
      if (low <= high) count += high - low + 1n;
    }
    return count;
  }

  [Symbol.iterator](): Iterator<Range> {
    return this.#ranges[Symbol.iterator]();
  }
}
