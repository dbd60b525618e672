import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { Bitseq, formatRunLength, parseRunLength, showRunLength } from '../../../src/ipam/bitseq/index.ts';
import { fromRuns } from './runs.ts';

const FULL = 0xffff_ffff;

describe("upstream's run-length form", () => {
  it.each([
    ['AAAAAAAAAQAAAAAAAAAA/oAAAAAAAAAAAAAAAQAAAAAAAAAAAAAABgAAAAEAAAAAAAAAAQ==', 256n, [0n, 255n]],
    ['AAAAAAABAAAAAAAAAAD//oAAAAAAAAAAAAAAAQAAAAAAAAAAAAAH/gAAAAEAAAAAAAAAAQ==', 65536n, [0n, 65535n]],
  ])('reads and writes a fresh pool (%s)', (base64, size, taken) => {
    const set = parseRunLength(base64);
    expect(set.size).toBe(size);
    expect([...set]).toEqual(taken);
    expect(formatRunLength(set).toString('base64')).toBe(base64);
  });

  it("reads and writes upstream's golden text", () => {
    const golden = 'AAAAAAAAAIAAAAAAAAAAPRamNjYAAAAAAAAAAfYENpYAAAAAAAAAAUZ2pi4AAAAAAAAAAe72TtYAAAAAAAAAAQ==';
    const set = new Bitseq(128n);
    [...Buffer.from('hello libnetwork')].forEach((byte, i) => {
      for (let j = 0; j < 8; j++) if ((byte & (1 << j)) !== 0) set.take(BigInt(8 * i + j));
    });
    expect(formatRunLength(set).toString('base64')).toBe(golden);
    expect(set.free).toBe(61n);
    expect([...parseRunLength(golden)]).toEqual([...set]);
  });

  it('shows a set as upstream does', () => {
    const set = new Bitseq(8256n);
    set.takeRange(0n, 191n);
    expect(showRunLength(set)).toBe('(0xffffffff, 6)->(0x0, 252)->end');
  });

  it('gives back every set', () => {
    const run = fc.tuple(
      fc.constantFrom(0, FULL, 1, 0x8000_0000, 0xc000_00ff, 0xfffe_ffff),
      fc.integer({ min: 1, max: 90 }),
    );
    fc.assert(
      fc.property(
        fc.array(run, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: 31 }),
        (runs, cut) => {
          const blocks = runs.reduce((sum, [, count]) => sum + count, 0);
          const set = fromRuns(BigInt(blocks * 32 - cut), runs);
          const again = parseRunLength(formatRunLength(set));
          expect([...again.runs()]).toEqual([...set.runs()]);
          expect(again.count).toBe(set.count);
        },
      ),
    );
  });

  it('reads a full /64 without holding it', () => {
    const set = fromRuns((1n << 64n) - 1n, [[FULL, 1n << 59n]]);
    expect(set.free).toBe(0n);
    expect(set.nodes).toBe(0);
  });

  it('leaves out runs of length 0, which Docker 1.9.0 wrote', () => {
    const set = fromRuns(96n, [
      [0x8000_0000, 1],
      [FULL, 0],
      [0, 2],
    ]);
    expect([...set]).toEqual([0n]);
  });

  it('counts anew where the count of free bits was wrong', () => {
    const bytes = formatRunLength(
      fromRuns(64n, [
        [FULL, 1],
        [0, 1],
      ]),
    );
    bytes.writeBigUInt64BE(9999n, 8);
    expect(parseRunLength(bytes).free).toBe(32n);
  });

  it.each([
    ['too short', Buffer.alloc(15)],
    ['a run and a half', Buffer.alloc(16 + 18)],
    ['no bits', Buffer.alloc(16 + 12)],
    ['runs for fewer bits than it has', formatRunLength(new Bitseq(256n)).subarray(0, 16)],
    ['more ragged blocks than memory should hold', ragged()],
  ])('refuses bytes with %s', (_, bytes) => {
    expect(() => parseRunLength(bytes)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => parseRunLength(bytes)).toThrow(LibnetworkError);
  });
});

function ragged(): Buffer {
  const bytes = Buffer.alloc(16 + 12);
  bytes.writeBigUInt64BE(1n << 63n, 0);
  bytes.writeUInt32BE(1, 16);
  bytes.writeBigUInt64BE(1n << 58n, 20);
  return bytes;
}
