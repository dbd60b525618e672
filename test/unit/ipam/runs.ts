import { type Bitseq, parseRunLength } from '../../../src/ipam/bitseq/index.ts';

/** A set from runs of 32-bit blocks, as upstream's vectors give them. */
export function fromRuns(
  bits: bigint,
  runs: readonly (readonly [block: number, count: number | bigint])[],
): Bitseq {
  const bytes = Buffer.alloc(16 + runs.length * 12);
  bytes.writeBigUInt64BE(bits, 0);
  runs.forEach(([block, count], i) => {
    bytes.writeUInt32BE(block, 16 + i * 12);
    bytes.writeBigUInt64BE(BigInt(count), 20 + i * 12);
  });
  return parseRunLength(bytes);
}
