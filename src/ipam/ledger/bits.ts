/** The bits of a page as text, for the store: `0-5,17`, or where that would be long, base64 of 32-bit words. */
import { Page } from '../bitseq/page.ts';

/** Beyond this many runs, base64 is shorter on average than the runs. */
const MAX_RUNS = 64;
const BASE64 = 'base64:';

/** The taken bits of a page as text; empty when none is taken. */
export function formatBits(page: Page): string {
  const words = page.words();
  if (countRuns(words) > MAX_RUNS)
    return `${BASE64}${Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString('base64')}`;
  const runs: string[] = [];
  for (const [start, end] of page.runs()) runs.push(start === end ? `${start}` : `${start}-${end}`);
  return runs.join(',');
}

/** The page that a text tells; `undefined` for a text that is none, or that has bits beyond the capacity. */
export function parseBits(text: string, capacity: number): Page | undefined {
  const page = Page.allFree(capacity);
  const fits = text.startsWith(BASE64)
    ? takeWords(page, Buffer.from(text.slice(BASE64.length), 'base64'))
    : text === '' || text.split(',').every((run) => takeRun(page, run));
  return fits ? page : undefined;
}

function takeRun(page: Page, run: string): boolean {
  const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(run);
  if (match === null) return false;
  const start = Number(match[1]);
  const end = Number(match[2] ?? match[1]);
  if (start > end || end >= page.capacity) return false;
  for (let bit = start; bit <= end; bit++) page.take(bit);
  return true;
}

function takeWords(page: Page, bytes: Buffer): boolean {
  if (bytes.length !== Math.ceil(page.capacity / 32) * 4) return false;
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    if (((bytes[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0) continue;
    if (bit >= page.capacity) return false;
    page.take(bit);
  }
  return true;
}

function countRuns(words: Int32Array): number {
  let runs = 0;
  let carry = 0;
  for (const word of words) {
    // A run begins where a bit is 1 and the one before it is 0.
    runs += popcount(word & ~((word << 1) | carry));
    carry = word >>> 31;
  }
  return runs;
}

function popcount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return (((v + (v >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}
