import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bitseq, MAX_BITS } from '../../../src/ipam/bitseq/bitseq.ts';

/** The same operations on a plain set, for sizes that it can hold. */
class Model {
  readonly taken = new Set<number>();
  readonly size: number;

  constructor(size: number) {
    this.size = size;
  }

  firstFree(from: number, to: number): number | undefined {
    for (let each = from; each <= to; each++) if (!this.taken.has(each)) return each;
    return undefined;
  }

  fill(from: number, to: number, taken: boolean): void {
    for (let each = from; each <= to; each++) {
      if (taken) this.taken.add(each);
      else this.taken.delete(each);
    }
  }
}

type Step =
  | { readonly op: 'take' | 'release' | 'has'; readonly at: number }
  | {
      readonly op: 'any' | 'takeRange' | 'releaseRange' | 'countIn';
      readonly from: number;
      readonly to: number;
    };

/** Ordinals near both ends of every page, and anywhere. */
function ordinals(size: number): fc.Arbitrary<number> {
  const edges = [0, 1, 2, 31, 32, 33, size - 1, size - 2];
  for (let page = 0; page < size; page += 4096)
    edges.push(page - 1, page, page + 1, page + 4094, page + 4095);
  const within = edges.filter((each) => each >= 0 && each < size);
  return fc.oneof(fc.constantFrom(...within), fc.integer({ min: 0, max: size - 1 }));
}

function steps(size: number): fc.Arbitrary<Step> {
  const at = ordinals(size);
  const range = fc.tuple(at, at).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
  return fc.oneof(
    fc.record({ op: fc.constantFrom('take' as const, 'release' as const, 'has' as const), at }),
    fc
      .tuple(
        fc.constantFrom('any' as const, 'takeRange' as const, 'releaseRange' as const, 'countIn' as const),
        range,
      )
      .map(([op, ends]) => ({ op, ...ends })),
  );
}

function apply(set: Bitseq, model: Model, step: Step): void {
  if ('at' in step) {
    const at = BigInt(step.at);
    const before = model.taken.has(step.at);
    if (step.op === 'has') expect(set.has(at)).toBe(before);
    else if (step.op === 'take') {
      expect(set.take(at)).toBe(!before);
      model.taken.add(step.at);
    } else {
      expect(set.release(at)).toBe(before);
      model.taken.delete(step.at);
    }
    return;
  }
  const [from, to] = [BigInt(step.from), BigInt(step.to)];
  const inRange = [...model.taken].filter((each) => each >= step.from && each <= step.to);
  if (step.op === 'countIn') expect(set.countIn(from, to)).toBe(BigInt(inRange.length));
  else if (step.op === 'any') {
    const expected = model.firstFree(step.from, step.to);
    expect(set.takeAny(from, to)).toBe(expected === undefined ? undefined : BigInt(expected));
    if (expected !== undefined) model.taken.add(expected);
  } else {
    model.fill(step.from, step.to, step.op === 'takeRange');
    if (step.op === 'takeRange') set.takeRange(from, to);
    else set.releaseRange(from, to);
  }
}

describe('a bit sequence does what a plain set does', () => {
  it.each([1, 2, 31, 33, 256, 4095, 4096, 4097, 8192, 12_300])('with %i ordinals', (size) => {
    fc.assert(
      fc.property(fc.array(steps(size), { maxLength: 60 }), (sequence) => {
        const set = new Bitseq(BigInt(size));
        const model = new Model(size);
        for (const step of sequence) {
          apply(set, model, step);
          expect(set.count).toBe(BigInt(model.taken.size));
        }
        expect([...set].map(Number)).toEqual([...model.taken].sort((a, b) => a - b));
      }),
      { numRuns: 60 },
    );
  });

  it('at three levels, page by page', () => {
    // 2^25 ordinals are 8,192 pages under two nodes; the model counts pages instead of ordinals.
    const pages = 8192;
    fc.assert(
      fc.property(fc.array(steps(pages), { maxLength: 40 }), (sequence) => {
        const set = new Bitseq(BigInt(pages) * 4096n);
        const model = new Model(pages);
        for (const step of sequence) {
          const from = 'at' in step ? step.at : step.from;
          const to = 'at' in step ? step.at : step.to;
          const taken = step.op === 'take' || step.op === 'takeRange';
          if (taken) set.takeRange(BigInt(from) * 4096n, BigInt(to) * 4096n + 4095n);
          else set.releaseRange(BigInt(from) * 4096n, BigInt(to) * 4096n + 4095n);
          model.fill(from, to, taken);
          const free = model.firstFree(from, pages - 1);
          const found = set.firstFree(BigInt(from) * 4096n + 7n);
          if (free === undefined) expect(found).toBeUndefined();
          else expect(found).toBe(BigInt(free) * 4096n + (free === from ? 7n : 0n));
          expect(set.count).toBe(BigInt(model.taken.size) * 4096n);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('a set of 2^64 ordinals', () => {
  it('takes and frees its first and its last ordinal', () => {
    const set = new Bitseq(MAX_BITS);
    expect(set.take(MAX_BITS - 1n)).toBe(true);
    expect(set.take(MAX_BITS - 1n)).toBe(false);
    expect(set.takeAny()).toBe(0n);
    expect([...set]).toEqual([0n, MAX_BITS - 1n]);
    expect(set.firstFree(MAX_BITS - 1n)).toBeUndefined();
    expect(set.release(MAX_BITS - 1n)).toBe(true);
    expect(set.count).toBe(1n);
  });

  it('holds nothing in memory when it is empty or full', () => {
    const set = new Bitseq(MAX_BITS);
    set.takeRange(0n, MAX_BITS - 1n);
    expect(set.free).toBe(0n);
    expect(set.nodes).toBe(0);
    expect(set.takeAny()).toBeUndefined();
    set.releaseRange(0n, MAX_BITS - 1n);
    expect(set.count).toBe(0n);
    expect(set.nodes).toBe(0);
  });

  it('finds the one free ordinal', () => {
    const set = new Bitseq(MAX_BITS);
    set.takeRange(0n, MAX_BITS - 1n);
    set.release(0xdead_beef_cafe_f00dn);
    expect(set.firstFree()).toBe(0xdead_beef_cafe_f00dn);
    expect(set.nodes).toBe(6);
    expect(set.takeAny()).toBe(0xdead_beef_cafe_f00dn);
    expect(set.nodes).toBe(0);
  });

  it('matches ordinals of any page against a plain set', () => {
    const at = fc.bigInt({ min: 0n, max: MAX_BITS - 1n });
    fc.assert(
      fc.property(fc.array(at, { maxLength: 50 }), fc.array(at, { maxLength: 20 }), (taken, freed) => {
        const set = new Bitseq(MAX_BITS);
        const model = new Set<bigint>();
        for (const each of taken)
          expect(set.take(each)).toBe(!model.has(each) && model.add(each) !== undefined);
        for (const each of [...freed, ...taken.slice(0, 5)])
          expect(set.release(each)).toBe(model.delete(each));
        expect([...set]).toEqual([...model].sort((a, b) => (a < b ? -1 : 1)));
      }),
    );
  });
});
