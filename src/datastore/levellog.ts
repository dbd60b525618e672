import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * LevelDB's write-ahead log. When it opens a database it leaves out what does not bear its checksum there, without a
 * word, and deletes the file: records would be gone for good. So it is looked through before (the format:
 * https://github.com/google/leveldb/blob/main/doc/log_format.md).
 */

const BLOCK = 32_768;
/** The checksum, the length, and the type of a record. */
const HEADER = 7;
/** What LevelDB adds to a checksum that it stores. */
const MASK_DELTA = 0xa282ead8;

/** Where the first damaged record is in the logs of a database: `000003.log at byte 327`. */
export function findDamage(directory: string): string | undefined {
  for (const name of readdirSync(directory).filter((each) => each.endsWith('.log'))) {
    const at = firstDamage(readFileSync(join(directory, name)));
    if (at !== undefined) return `${name} at byte ${at}`;
  }
  return undefined;
}

/** Where the first damaged record begins. A last one that was cut short is none: its writer died while at it. */
export function firstDamage(log: Buffer): number | undefined {
  for (let block = 0; block < log.length; block += BLOCK) {
    const end = Math.min(block + BLOCK, log.length);
    for (let at = block; at + HEADER <= end; ) {
      const length = log.readUInt16LE(at + 4);
      const type = log.readUInt8(at + 6);
      // Room that was given to the file and not written to.
      if (type === 0 && length === 0) break;
      const next = at + HEADER + length;
      if (next > end) {
        if (end === log.length) return undefined;
        return at;
      }
      if (log.readUInt32LE(at) !== masked(crc32c(log.subarray(at + 6, next)))) return at;
      at = next;
    }
  }
  return undefined;
}

function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

/** By the polynomial of Castagnoli, reflected; `node:zlib` has only the other one. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
