/** Upstream's vectors, and the bugs that it fixed over the years. */
import { describe, expect, it } from 'vitest';
import { Bitseq, showRunLength } from '../../../src/ipam/bitseq/index.ts';
import { fromRuns } from './runs.ts';

const FULL = 0xffff_ffff;

describe('the first free ordinal of a block', () => {
  it.each([
    [0x8000_0000, 0n, 1n],
    [0xff80_0000, 0n, 9n],
    [0xffc0_ff00, 0n, 10n],
    [0xfffe_ff00, 0n, 15n],
    [0xffff_c0ff, 0n, 18n],
    [0xffff_fffe, 0n, 31n],
    [0xf0ff_0000, 8n, 16n],
    [0x0, 31n, 31n],
    [FULL, 0n, undefined],
    [FULL, 31n, undefined],
  ])('of %i from %i is %i', (block, from, expected) => {
    expect(fromRuns(32n, [[block, 1]]).firstFree(from)).toBe(expected);
  });
});

describe('the first free ordinal of a sequence', () => {
  it.each([
    [[[0xfe00_0000, 8]], 24n, 24n],
    [
      [
        [FULL, 1],
        [0x0e00_0000, 1],
        [FULL, 6],
      ],
      16n,
      32n,
    ],
    [
      [
        [0xfffc_ffff, 1],
        [0, 6],
      ],
      15n,
      15n,
    ],
    [
      [
        [0xfffc_ffff, 1],
        [0, 6],
      ],
      16n,
      32n,
    ],
    [
      [
        [0xfffc_fffe, 1],
        [0, 6],
      ],
      31n,
      31n,
    ],
    [
      [
        [0xfffc_ffff, 1],
        [FULL, 6],
      ],
      31n,
      undefined,
    ],
  ] as const)('%j from %i is %i', (runs, from, expected) => {
    const blocks = runs.reduce((sum, [, count]) => sum + count, 0);
    expect(fromRuns(BigInt(blocks * 32), runs).firstFree(from)).toBe(expected);
  });

  it.each([
    [[[0x8000_0000, 8]], 8n, 8n],
    [
      [
        [0xfffe_ffff, 1],
        [FULL, 15],
      ],
      16n,
      15n,
    ],
    [
      [
        [0xfffe_ffff, 15],
        [FULL, 1],
      ],
      16n,
      47n,
    ],
    [
      [
        [0xfffe_ffff, 15],
        [FULL, 1],
      ],
      48n,
      79n,
    ],
    [
      [
        [FULL, 2],
        [0xffff_ffef, 14],
      ],
      124n,
      155n,
    ],
    [
      [
        [0xffff_fffb, 1],
        [FULL, 15],
      ],
      124n,
      29n,
    ],
  ] as const)('%j from the cursor at %i is %i', (runs, cursor, expected) => {
    const blocks = runs.reduce((sum, [, count]) => sum + count, 0);
    const set = fromRuns(BigInt(blocks * 32), runs);
    set.moveCursor(cursor);
    expect(set.nextFree()).toBe(expected);
  });

  it('in a mask of thirteen runs is where upstream finds it', () => {
    const set = fromRuns(1024n * 32n, [
      [FULL, 100],
      [0xffff_fffe, 1],
      [0xff00_0000, 10],
      [FULL, 50],
      [0xffff_fffc, 1],
      [0xff80_0000, 1],
      [FULL, 87],
      [0, 150],
      [FULL, 200],
      [0x0000_ffff, 1],
      [0, 399],
      [FULL, 23],
      [1, 1],
    ]);
    expect(set.firstFree()).toBe(100n * 32n + 31n);
    expect(set.takeAny(161n * 32n, 162n * 32n - 1n)).toBe(161n * 32n + 30n);
    expect(set.takeAny(161n * 32n, 162n * 32n - 1n)).toBe(161n * 32n + 31n);
    expect(set.takeAny(161n * 32n, 162n * 32n - 1n)).toBeUndefined();
  });

  it('knows for each ordinal whether it is taken', () => {
    const set = fromRuns(96n, [
      [FULL, 1],
      [0xc000_00ff, 1],
      [0, 1],
    ]);
    expect(set.has(55n)).toBe(false);
    for (let ordinal = 56n; ordinal < 64n; ordinal++) expect(set.has(ordinal)).toBe(true);
    expect([64n, 95n].map((ordinal) => set.has(ordinal))).toEqual([false, false]);
    expect([-1n, 96n, 1n << 70n].map((ordinal) => set.has(ordinal))).toEqual([false, false, false]);
  });
});

describe('a change of one ordinal', () => {
  it.each([
    [[[0, 8]], 255n, '(0x0, 7)->(0x1, 1)->end'],
    [
      [
        [FULL, 7],
        [0xffff_fffe, 1],
        [FULL, 1],
      ],
      255n,
      '(0xffffffff, 9)->end',
    ],
    [
      [
        [FULL, 1],
        [0xffff_fffc, 1],
        [0xffff_fffe, 6],
      ],
      62n,
      '(0xffffffff, 1)->(0xfffffffe, 7)->end',
    ],
    [
      [
        [0x8000_0000, 1],
        [0, 6],
        [1, 1],
      ],
      32n,
      '(0x80000000, 2)->(0x0, 5)->(0x1, 1)->end',
    ],
    [
      [
        [0x8000_0000, 1],
        [0, 6],
        [1, 1],
      ],
      128n,
      '(0x80000000, 1)->(0x0, 3)->(0x80000000, 1)->(0x0, 2)->(0x1, 1)->end',
    ],
    [
      [
        [FULL, 2],
        [1, 1],
      ],
      33n,
      '(0xffffffff, 2)->(0x1, 1)->end',
    ],
  ] as const)('%j and %i', (runs, ordinal, expected) => {
    const blocks = runs.reduce((sum, [, count]) => sum + count, 0);
    const set = fromRuns(BigInt(blocks * 32), runs);
    set.take(ordinal);
    expect(showRunLength(set)).toBe(expected);
  });

  it('joins equal runs', () => {
    const runs = [
      [0xfffe_0000, 8],
      [0xfffe_0000, 1],
      [0xfffe_0000, 5],
      [FULL, 1],
    ] as const;
    expect(showRunLength(fromRuns(15n * 32n, runs))).toBe('(0xfffe0000, 14)->(0xffffffff, 1)->end');
  });
});

describe('ranges', () => {
  it('are kept at both ends', () => {
    const set = new Bitseq(256n);
    set.take(0n);
    set.take(255n);
    expect([set.takeAny(128n, 255n), set.takeAny(128n, 255n)]).toEqual([128n, 129n]);
    expect([set.takeAny(246n, 255n), set.takeAny(246n, 255n)]).toEqual([246n, 247n]);
  });

  it('never give an ordinal after their end (291de3df)', () => {
    const set = new Bitseq(256n);
    set.takeRange(0n, 63n);
    expect(set.takeAny(32n, 63n)).toBeUndefined();
    expect(set.takeAny(32n, 64n)).toBe(64n);
  });

  it('count their offset from the start of the set (6ed2ad9a)', () => {
    const set = new Bitseq(1024n);
    set.takeRange(0n, 1023n);
    set.release(288n);
    expect(set.takeAny(32n, 500n)).toBe(288n);
    expect(set.takeAny(32n, 500n)).toBeUndefined();
  });

  it('of a set of an odd size end with the set', () => {
    const set = new Bitseq(30n);
    for (let i = 0n; i < 8n; i++) expect(set.takeAny(0n, 7n)).toBe(i);
    expect(set.takeAny(0n, 7n)).toBeUndefined();
    expect([set.takeAny(28n, 29n), set.takeAny(28n, 29n), set.takeAny(28n, 29n)]).toEqual([
      28n,
      29n,
      undefined,
    ]);
  });

  it.each([
    [5n, 4n],
    [-1n, 4n],
    [0n, 30n],
  ])('from %i to %i are refused', (from, to) => {
    expect(() => new Bitseq(30n).takeAny(from, to)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it('ending on a 64-bit boundary are kept (496b457ad8)', () => {
    const set = new Bitseq(1n << 64n);
    set.takeRange(0n, (1n << 63n) - 2n);
    expect(set.takeAny(0n, (1n << 63n) - 1n)).toBe((1n << 63n) - 1n);
    expect(set.takeAny(0n, (1n << 63n) - 1n)).toBeUndefined();
  });

  it('are counted', () => {
    const set = new Bitseq(8n * 32n + 1n);
    for (const [from, to] of [
      [1, 31],
      [33, 63],
      [65, 95],
      [99, 102],
      [160, 192],
      [256, 256],
    ])
      set.takeRange(BigInt(from ?? 0), BigInt(to ?? 0));
    const counts = [
      [0, 0, 0],
      [0, 1, 1],
      [3, 12, 10],
      [31, 65, 33],
      [96, 100, 2],
      [96, 159, 4],
      [192, 255, 1],
      [256, 256, 1],
    ];
    for (const [from = 0, to = 0, count = 0] of counts)
      expect(set.countIn(BigInt(from), BigInt(to))).toBe(BigInt(count));
  });
});

describe('serial search', () => {
  it('uses the second half before what was freed in the first', () => {
    const set = new Bitseq(256n);
    for (let i = 0; i < 128; i++) set.takeAny(0n, 255n, { serial: true });
    const freed = Array.from({ length: 64 }, (_, i) => BigInt((i * 37) % 128));
    for (const ordinal of freed) expect(set.release(ordinal)).toBe(true);
    for (let i = 0; i < 128; i++) expect(set.takeAny(0n, 255n, { serial: true })).toBe(BigInt(128 + i));
    expect(set.free).toBe(64n);
    const rest = Array.from({ length: 64 }, () => set.takeAny(0n, 255n, { serial: true }));
    expect(rest).toEqual(freed.toSorted((a, b) => Number(a - b)));
  });

  it('begins at the start of a range that the cursor is not in', () => {
    const set = new Bitseq(256n);
    set.moveCursor(200n);
    expect(set.takeAny(10n, 20n, { serial: true })).toBe(10n);
    set.moveCursor(5n);
    expect(set.takeAny(10n, 20n, { serial: true })).toBe(11n);
  });

  it('is moved by every allocation, but not by one that names the ordinal', () => {
    const set = new Bitseq(256n);
    set.takeAny();
    set.take(100n);
    expect(set.cursor).toBe(1n);
    expect(set.takeAny(0n, 255n, { serial: true })).toBe(1n);
  });
});

describe('bugs that upstream had', () => {
  it('masks are not limited to 2^32 bits (094b657f)', () => {
    const set = new Bitseq(1n << 40n);
    expect(set.take((1n << 32n) + 5n)).toBe(true);
    expect(set.has(5n)).toBe(false);
  });

  it('freeing what is free leaves the count as it was (46e290fec6)', () => {
    const set = new Bitseq(256n);
    expect(set.release(7n)).toBe(false);
    expect(set.free).toBe(256n);
  });

  it('a search from within a repeated block gives no ordinal twice (a7df5629)', () => {
    const set = fromRuns(32n * 64n, [[0xffff_fff0, 64]]);
    const given = Array.from({ length: 256 }, () => set.takeAny(0n, set.size - 1n, { serial: true }));
    expect(new Set(given).size).toBe(256);
    expect(set.free).toBe(0n);
  });
});

describe('union', () => {
  it('holds what either held', () => {
    const [a, b] = [new Bitseq(100_000n), new Bitseq(100_000n)];
    a.takeRange(0n, 5000n);
    b.takeRange(4000n, 70_000n);
    b.take(99_999n);
    a.union(b);
    expect([...a.runs()]).toEqual([
      [0n, 70_000n],
      [99_999n, 99_999n],
    ]);
    expect(a.count).toBe(70_002n);
  });

  it('is refused for sets of different sizes', () => {
    expect(() => new Bitseq(5n).union(new Bitseq(6n))).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});

it.each([0n, -1n, (1n << 64n) + 1n])('a size of %i is refused', (size) => {
  expect(() => new Bitseq(size)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
});
