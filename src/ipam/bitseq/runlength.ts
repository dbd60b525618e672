/**
 * Upstream's run-length form of a bit sequence, in which libnetwork kept address and id masks: big-endian, the
 * number of bits and of free bits (64 bits each), then runs of a 32-bit block and how often it repeats (64 bits).
 * Bit 0 of the set is the highest bit of the first block.
 */
import { invalid } from '../../errors.ts';
import { Bitseq } from './bitseq.ts';

const HEADER_BYTES = 16;
const RUN_BYTES = 12;
const BLOCK_BITS = 32n;
const FULL = 0xffff_ffff;
/** How many blocks with some bits taken and some free are read: 32 million ordinals. */
export const MAX_RAGGED_BLOCKS = 1n << 20n;

/**
 * Reads upstream's form, as bytes or as the base64 of them. Runs of length 0, which Docker 1.9.0 wrote, are left
 * out, and what is taken is counted anew, since upstream's count of free bits could be wrong.
 * @throws INVALID_ARGUMENT for bytes that have not this form
 */
export function parseRunLength(data: Uint8Array | string): Bitseq {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : Buffer.from(data);
  if (bytes.length < HEADER_BYTES || (bytes.length - HEADER_BYTES) % RUN_BYTES !== 0)
    throw invalid('data', bytes.length, 'must have 16 bytes and 12 for each run');
  const set = new Bitseq(bytes.readBigUInt64BE(0));
  let ordinal = 0n;
  let ragged = 0n;
  for (let at = HEADER_BYTES; at < bytes.length; at += RUN_BYTES) {
    const block = bytes.readUInt32BE(at);
    const count = bytes.readBigUInt64BE(at + 4);
    if (block !== 0 && block !== FULL) ragged += count;
    if (ragged > MAX_RAGGED_BLOCKS)
      throw invalid('data', ragged, `must have at most ${MAX_RAGGED_BLOCKS} ragged blocks`);
    takeBlocks(set, ordinal, block, count);
    ordinal += count * BLOCK_BITS;
  }
  if (ordinal < set.size) throw invalid('data', ordinal, `must have runs for all ${set.size} bits`);
  return set;
}

/** Writes upstream's form. */
export function formatRunLength(set: Bitseq): Buffer {
  const runs = [...blockRuns(set)];
  const bytes = Buffer.alloc(HEADER_BYTES + runs.length * RUN_BYTES);
  // 2^64 bits do not fit into the count of them; upstream took 2^64 - 1 for a /64, too.
  const largest = (1n << 64n) - 1n;
  bytes.writeBigUInt64BE(set.size > largest ? largest : set.size, 0);
  bytes.writeBigUInt64BE(set.free > largest ? largest : set.free, 8);
  runs.forEach(({ block, count }, i) => {
    bytes.writeUInt32BE(block, HEADER_BYTES + i * RUN_BYTES);
    bytes.writeBigUInt64BE(count, HEADER_BYTES + i * RUN_BYTES + 4);
  });
  return bytes;
}

/** Upstream's text of a set, for people: `(0xffffffff, 6)->(0x0, 250)->end`. */
export function showRunLength(set: Bitseq): string {
  return [
    ...[...blockRuns(set)].map(({ block, count }) => `(0x${block.toString(16)}, ${count})`),
    'end',
  ].join('->');
}

interface BlockRun {
  readonly block: number;
  readonly count: bigint;
}

function takeBlocks(set: Bitseq, from: bigint, block: number, count: bigint): void {
  if (block === 0 || from >= set.size || count === 0n) return;
  const end = from + count * BLOCK_BITS;
  if (block === FULL) {
    set.takeRange(from, (end < set.size ? end : set.size) - 1n);
    return;
  }
  for (let base = from; base < end && base < set.size; base += BLOCK_BITS)
    for (let bit = 0; bit < 32; bit++) {
      const ordinal = base + BigInt(bit);
      if (((block << bit) & 0x8000_0000) !== 0 && ordinal < set.size) set.take(ordinal);
    }
}

/** The blocks of a set, equal neighbours joined. */
function* blockRuns(set: Bitseq): Generator<BlockRun> {
  let open: { block: number; count: bigint } | undefined;
  for (const run of pieces(set)) {
    if (run.count === 0n) continue;
    if (open?.block === run.block) open.count += run.count;
    else {
      if (open) yield open;
      open = { ...run };
    }
  }
  if (open) yield open;
}

function* pieces(set: Bitseq): Generator<BlockRun> {
  const blocks = (set.size + BLOCK_BITS - 1n) / BLOCK_BITS;
  // The block that is being put together, and the bits of it that are taken so far.
  let index = 0n;
  let block = 0;
  for (const [start, end] of set.runs()) {
    const first = start / BLOCK_BITS;
    const last = end / BLOCK_BITS;
    if (first > index) {
      yield { block, count: 1n };
      yield { block: 0, count: first - index - 1n };
      [index, block] = [first, 0];
    }
    if (first === last) {
      block = (block | mask(Number(start % BLOCK_BITS), Number(end % BLOCK_BITS))) >>> 0;
      continue;
    }
    yield { block: (block | mask(Number(start % BLOCK_BITS), 31)) >>> 0, count: 1n };
    yield { block: FULL, count: last - first - 1n };
    [index, block] = [last, mask(0, Number(end % BLOCK_BITS))];
  }
  yield { block, count: 1n };
  yield { block: 0, count: blocks - index - 1n };
}

/** Ones from bit `from` to bit `to`, where bit 0 is the highest. */
function mask(from: number, to: number): number {
  return ((FULL >>> from) & (FULL << (31 - to))) >>> 0;
}
