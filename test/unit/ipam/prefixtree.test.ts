import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Family, formatPrefix, overlaps, type Prefix, parsePrefix } from '../../../src/ip.ts';
import { PrefixTree } from '../../../src/ipam/prefixtree.ts';

function prefix(text: string): Prefix {
  return parsePrefix(text) ?? expect.unreachable(`${text} is not a prefix`);
}

/** Prefixes of ten bits' worth of addresses, so that they meet often. */
function prefixes(family: Family): fc.Arbitrary<Prefix> {
  const [width, base] = family === 'ipv4' ? [32, 0x0a00_0000n] : [128, 0xfd00n << 112n];
  return fc
    .tuple(fc.integer({ min: width - 10, max: width }), fc.integer({ min: 0, max: 1023 }))
    .map(([length, low]) => {
      const shift = BigInt(width - length);
      return { family, length, value: ((base + BigInt(low)) >> shift) << shift };
    });
}

describe.each(['ipv4', 'ipv6'] as const)('a tree of %s prefixes', (family) => {
  it('finds what a list of them would', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), prefixes(family)), { maxLength: 60 }),
        prefixes(family),
        (steps, base) => {
          const tree = new PrefixTree<string>(family);
          let list: Prefix[] = [];
          for (const [add, each] of steps) {
            const text = formatPrefix(each);
            const hits = list.filter((other) => overlaps(other, each));
            const overlapping = tree.overlapping(each);
            if (hits.length === 0) expect(overlapping).toBeUndefined();
            else expect(hits.map(formatPrefix)).toContain(overlapping);
            if (add && hits.length === 0) {
              tree.insert(each, text);
              list.push(each);
            } else if (!add) {
              expect(tree.delete(each)).toBe(list.some((other) => formatPrefix(other) === text));
              list = list.filter((other) => formatPrefix(other) !== text);
            }
            expect(tree.get(each)).toBe(
              list.some((other) => formatPrefix(other) === text) ? text : undefined,
            );
          }
          expect(tree.size).toBe(list.length);
          expect([...tree]).toEqual(list.toSorted((a, b) => (a.value < b.value ? -1 : 1)).map(formatPrefix));
          expectFirstFree(tree, list, base);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Every length from every start, against a search through all candidates. */
function expectFirstFree(tree: PrefixTree<string>, list: readonly Prefix[], base: Prefix): void {
  const width = base.family === 'ipv4' ? 32 : 128;
  for (let length = base.length; length <= width; length++) {
    const step = 1n << BigInt(width - length);
    const end = base.value + (1n << BigInt(width - base.length));
    const from = base.value + (end - base.value) / 3n;
    const candidates: Prefix[] = [];
    for (let value = base.value; value < end; value += step)
      candidates.push({ family: base.family, value, length });
    const free = candidates.filter((each) => !list.some((other) => overlaps(other, each)));
    expect(tree.firstFree(base, length)).toEqual(free[0]);
    expect(tree.firstFree(base, length, from)).toEqual(free.find(({ value }) => value >= from));
  }
}

it('refuses to take a prefix that overlaps', () => {
  const tree = new PrefixTree<number>('ipv4');
  tree.insert(prefix('10.0.0.0/8'), 1);
  expect(() => tree.insert(prefix('10.9.0.0/16'), 2)).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
});

it('takes the whole of a family', () => {
  const tree = new PrefixTree<number>('ipv6');
  tree.insert(prefix('::/0'), 1);
  expect(tree.overlapping(prefix('fd00::/8'))).toBe(1);
  expect(tree.firstFree(prefix('fd00::/8'), 64)).toBeUndefined();
  expect(tree.delete(prefix('::/0'))).toBe(true);
  expect(tree.firstFree(prefix('::/0'), 0)).toEqual(prefix('::/0'));
});
