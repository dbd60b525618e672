import * as v from 'valibot';
import type { Entry } from '../../datastore/datastore.ts';
import { LibnetworkError } from '../../errors.ts';
import { Page } from '../bitseq/page.ts';
import { formatBits, parseBits } from './bits.ts';

/** The schema version of a stored page. */
const SCHEMA = 1;
const pageRecord = v.object({
  v: v.literal(SCHEMA),
  owners: v.record(v.string(), v.string()),
  resting: v.optional(v.array(v.tuple([v.number(), v.string()])), []),
});

/** What can't be given out of a page. */
export interface Snapshot {
  /** Every bit that is held or rests, as 32-bit words. */
  readonly words: Int32Array;
  readonly resting: readonly number[];
}

/**
 * 4,096 ordinals of a ledger: who holds which of them, and which rest after their release. It is stored whole, in
 * one write, and its version is the store's.
 */
export class LedgerPage {
  readonly number: bigint;
  readonly capacity: number;
  /** The version in the store; 0 when the page is not there. */
  version = 0;
  #owners = new Map<string, Page>();
  /** Bit to the time, in milliseconds of the clock, until which it is not given again. */
  #resting = new Map<number, number>();
  /** The same as it is stored, kept up from the first write on, so that a write costs no walk over all that rests. */
  #groups: RestingGroups | undefined;

  constructor(number: bigint, capacity: number) {
    this.number = number;
    this.capacity = capacity;
  }

  get isEmpty(): boolean {
    return this.#owners.size === 0 && this.#resting.size === 0;
  }

  get owners(): Iterable<string> {
    return this.#owners.keys();
  }

  get resting(): ReadonlyMap<number, number> {
    return this.#resting;
  }

  /** What an owner holds. */
  bitsOf(owner: string): Page | undefined {
    return this.#owners.get(owner);
  }

  ownerOf(bit: number): string | undefined {
    for (const [owner, bits] of this.#owners) if (!bits.isFree(bit)) return owner;
    return undefined;
  }

  hold(bit: number, owner: string): void {
    let bits = this.#owners.get(owner);
    if (bits === undefined) {
      bits = Page.allFree(this.capacity);
      this.#owners.set(owner, bits);
    }
    bits.take(bit);
  }

  drop(bit: number, owner: string): void {
    const bits = this.#owners.get(owner);
    bits?.release(bit);
    if (bits?.taken === 0) this.#owners.delete(owner);
  }

  rest(bit: number, until: number): void {
    this.wake(bit);
    this.#resting.set(bit, until);
    this.#groups?.add(bit, until);
  }

  /** Ends a bit's rest; the time it had left to, or undefined when it did not rest. */
  wake(bit: number): number | undefined {
    const until = this.#resting.get(bit);
    if (until === undefined) return undefined;
    this.#resting.delete(bit);
    this.#groups?.remove(bit, until);
    return until;
  }

  /** What can't be given out now. */
  snapshot(): Snapshot {
    const all = new Int32Array(Math.ceil(this.capacity / 32));
    for (const bits of this.#owners.values()) {
      const words = bits.words();
      for (let i = 0; i < all.length; i++) all[i] = (all[i] ?? 0) | (words[i] ?? 0);
    }
    for (const bit of this.#resting.keys()) all[bit >>> 5] = (all[bit >>> 5] ?? 0) | (1 << bit);
    return { words: all, resting: [...this.#resting.keys()] };
  }

  /**
   * The page as JSON data. Rests that are over by `now` are left out; the ends of the others are rounded up to
   * multiples of `step` milliseconds, so that a page has few different ones.
   */
  encode(now: number, step: number): object {
    const owners = Object.fromEntries([...this.#owners].map(([owner, bits]) => [owner, formatBits(bits)]));
    const resting = this.#encodeResting(now, step);
    return resting.length === 0 ? { v: SCHEMA, owners } : { v: SCHEMA, owners, resting };
  }

  /** Takes over what the store has: an entry, or nothing. @throws INTERNAL when the entry is damaged: nothing changed */
  load(entry: Entry | undefined, now: number): void {
    const owners = new Map<string, Page>();
    const resting = new Map<number, number>();
    if (entry !== undefined) {
      const record = readRecord(entry);
      for (const [owner, text] of Object.entries(record.owners))
        owners.set(owner, this.#parse(entry.key, text));
      for (const [until, text] of record.resting) {
        if (until <= now) continue;
        for (const [start, end] of this.#parse(entry.key, text).runs())
          for (let bit = start; bit <= end; bit++) resting.set(bit, until);
      }
    }
    this.version = entry?.version ?? 0;
    this.#owners = owners;
    this.#resting = resting;
    this.#groups = undefined;
  }

  #parse(key: string, text: string): Page {
    const page = parseBits(text, this.capacity);
    if (page === undefined) throw damaged(key, 'it has bits that can not be read');
    return page;
  }

  #encodeResting(now: number, step: number): [number, string][] {
    if (this.#resting.size === 0) return [];
    if (this.#groups?.step !== step) {
      this.#groups = new RestingGroups(step, this.capacity);
      for (const [bit, until] of this.#resting) this.#groups.add(bit, until);
    }
    return this.#groups.encode(now);
  }
}

/** Resting bits by the ends of their rests, these rounded up to multiples of `step` milliseconds. */
class RestingGroups {
  readonly step: number;
  readonly #capacity: number;
  readonly #groups = new Map<number, { readonly bits: Page; text: string | undefined }>();

  constructor(step: number, capacity: number) {
    this.step = step;
    this.#capacity = capacity;
  }

  add(bit: number, until: number): void {
    const end = this.#endOf(until);
    let group = this.#groups.get(end);
    if (group === undefined) {
      group = { bits: Page.allFree(this.#capacity), text: undefined };
      this.#groups.set(end, group);
    }
    group.bits.take(bit);
    group.text = undefined;
  }

  remove(bit: number, until: number): void {
    const end = this.#endOf(until);
    const group = this.#groups.get(end);
    if (group === undefined) return;
    group.bits.release(bit);
    group.text = undefined;
    if (group.bits.taken === 0) this.#groups.delete(end);
  }

  encode(now: number): [number, string][] {
    const encoded: [number, string][] = [];
    for (const [end, group] of this.#groups) {
      if (end <= now) continue;
      // Most groups are as they were at the last write.
      group.text ??= formatBits(group.bits);
      encoded.push([end, group.text]);
    }
    return encoded;
  }

  #endOf(until: number): number {
    return Math.ceil(until / this.step) * this.step;
  }
}

function readRecord(entry: Entry): v.InferOutput<typeof pageRecord> {
  const record = v.safeParse(pageRecord, entry.value);
  if (!record.success) throw damaged(entry.key, `it has not the form of schema ${SCHEMA}`);
  return record.output;
}

function damaged(key: string, why: string): LibnetworkError {
  return new LibnetworkError(
    'INTERNAL',
    `the stored addresses under ${key} are damaged: ${why}; delete the key, and reconcile() restores it from the records`,
    { field: key, operation: `read ${key}` },
  );
}
