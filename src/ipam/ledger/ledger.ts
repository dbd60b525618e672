import type { Datastore, Entry } from '../../datastore/datastore.ts';
import { LibnetworkError } from '../../errors.ts';
import { PAGE_BITS } from '../bitseq/page.ts';
import { WideBitseq } from '../bitseq/wide.ts';
import type { Ranges } from '../ranges.ts';
import { apply, type Change, type Outcome } from './operation.ts';
import { LedgerPage, type Snapshot } from './page.ts';
import { PageWriter } from './writer.ts';

/** What may change while a ledger is in use. */
export interface LedgerRules {
  /** Ordinals that are never given out unless they are asked for. */
  readonly withheld: Ranges;
  /** How long a released ordinal rests before it is given out again, in milliseconds. */
  readonly restMs: number;
}

export interface LedgerOptions extends LedgerRules {
  /** How many ordinals there are: 1 to 2^128. */
  readonly size: bigint;
  /** Where pages are kept. Omitted: in memory only. */
  readonly store?: Datastore | undefined;
  /** The start of the pages' keys; the page's number in hex follows. */
  readonly prefix: string;
  readonly clock: () => number;
  /** Called when nothing is free in a shared store, before the pages are read again. */
  readonly onExhausted?: (() => Promise<void>) | undefined;
}

export interface AnyOptions {
  readonly owner: string;
  /** Go on after the ordinal given last instead of from the lowest. */
  readonly serial?: boolean | undefined;
}

const SHIFT = 12n;
/** A page is stored with rests rounded up to this part of the longest one. */
const REST_STEPS = 16;
const MASK = BigInt(PAGE_BITS - 1);

/**
 * Who holds which ordinal, on pages in a store. A change is applied in memory at once, so that nobody else in this
 * process gets the same ordinal, and answered when the store has accepted the page. In a store that others share,
 * a page that was changed meanwhile is read again and the change applied to what is there now.
 */
export class Ledger {
  readonly #options: LedgerOptions;
  readonly #shared: boolean;
  #rules: LedgerRules;
  readonly #pages = new Map<bigint, LedgerPage>();
  readonly #writers = new Map<LedgerPage, PageWriter>();
  /** What can't be given out: held, resting, or about to be released. */
  readonly #unavailable: WideBitseq;
  /** Resting ordinals and until when, in the order of time as long as `#restsInOrder`. */
  #resting = new Map<bigint, number>();
  #restsInOrder = true;
  #lastRest = 0;
  readonly #busy = new Map<bigint, Promise<unknown>>();
  #cursor = 0n;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#rules = options;
    this.#shared = options.store?.scope === 'global';
    this.#unavailable = new WideBitseq(options.size);
  }

  /**
   * Takes over pages from the store; answers those that are damaged, which count as empty.
   * @throws INTERNAL for a damaged page of a store that others share: it may be of a later version of this package
   */
  load(entries: readonly Entry[]): Entry[] {
    return entries.filter((entry) => {
      try {
        const page = this.#page(this.#numberOf(entry.key));
        if (entry.version > page.version && this.#writers.get(page)?.busy !== true) this.#reload(page, entry);
        return false;
      } catch (error) {
        if (this.#shared || !LibnetworkError.is(error, 'INTERNAL')) throw error;
        return true;
      }
    });
  }

  /** Changes what is withheld, and how long what is released from now on rests. */
  configure(rules: LedgerRules): void {
    this.#rules = rules;
  }

  /** Who holds an ordinal, as far as is known here. */
  ownerOf(ordinal: bigint): string | undefined {
    return this.#pages.get(ordinal >> SHIFT)?.ownerOf(Number(ordinal & MASK));
  }

  /** Takes an ordinal for an owner; the answer is who holds it where that is someone else. */
  async take(ordinal: bigint, owner: string): Promise<string | undefined> {
    const page = await this.#settled(ordinal, (holder) => holder !== undefined);
    const bit = Number(ordinal & MASK);
    const holder = page.ownerOf(bit);
    if (holder !== undefined) return holder;
    return lostTo(await this.#change(page, { kind: 'take', bit, owner }));
  }

  /**
   * Takes an ordinal from `from` to `to` that is neither held nor withheld, and does not rest unless nothing else
   * is left; undefined when there is none.
   */
  async takeAny(from: bigint, to: bigint, options: AnyOptions): Promise<bigint | undefined> {
    let lookedAgain = !this.#shared;
    for (;;) {
      this.#wake();
      let found = this.#nextFree(from, to, options.serial ?? false);
      if (found === undefined && !lookedAgain) {
        lookedAgain = true;
        await this.#options.onExhausted?.();
        await this.refresh();
        continue;
      }
      found ??= this.#longestResting(from, to);
      if (found === undefined) return undefined;
      this.#cursor = found + 1n;
      const change = { kind: 'take', bit: Number(found & MASK), owner: options.owner } as const;
      const outcome = await this.#change(this.#page(found >> SHIFT), change);
      if (outcome.done) return found;
    }
  }

  /** Who holds an ordinal now, once changes of it that are under way have ended. */
  async holderOf(ordinal: bigint): Promise<string | undefined> {
    const page = await this.#settled(ordinal, (holder) => holder === undefined);
    return page.ownerOf(Number(ordinal & MASK));
  }

  /**
   * Frees an ordinal that the owner holds; it rests from now on. False when the owner does not hold it (any more):
   * a release that is tried again must not free what someone else has got meanwhile.
   */
  async release(ordinal: bigint, owner: string): Promise<boolean> {
    const page = await this.#settled(ordinal, (holder) => holder !== owner);
    const bit = Number(ordinal & MASK);
    if (page.ownerOf(bit) !== owner) return false;
    const { restMs } = this.#rules;
    const restUntil = restMs > 0 ? this.#options.clock() + restMs : undefined;
    return (await this.#change(page, { kind: 'release', bit, owner, restUntil })).done;
  }

  /** Puts an ordinal under another name of its owner; false when it is not the owner's any more. */
  async relabel(ordinal: bigint, owner: string, to: string): Promise<boolean> {
    const page = await this.#settled(ordinal, () => false);
    return (await this.#change(page, { kind: 'relabel', bit: Number(ordinal & MASK), owner, to })).done;
  }

  /** Every held ordinal with its owner, page by page. */
  *held(): Generator<{ readonly ordinal: bigint; readonly owner: string }> {
    for (const page of this.#pages.values()) {
      for (const owner of [...page.owners]) {
        for (const [start, end] of page.bitsOf(owner)?.runs() ?? [])
          for (let bit = start; bit <= end; bit++)
            yield { ordinal: (page.number << SHIFT) | BigInt(bit), owner };
      }
    }
  }

  /** How many ordinals from `from` to `to` are held. */
  countHeld(from: bigint, to: bigint): bigint {
    let resting = 0n;
    for (const ordinal of this.#resting.keys()) if (ordinal >= from && ordinal <= to) resting++;
    return this.#unavailable.countIn(from, to) - resting;
  }

  /** Reads every page again from a store that others write, too. */
  async refresh(): Promise<void> {
    const { store, prefix } = this.#options;
    if (store === undefined || !this.#shared) return;
    const entries = await store.list(prefix);
    this.load(entries);
    const there = new Set(entries.map((entry) => entry.key));
    for (const page of this.#pages.values())
      if (page.version > 0 && !there.has(this.#key(page))) await this.#refreshPage(page);
  }

  /**
   * Waits until no change of the ordinal is under way. Where the page as remembered would make the caller give up,
   * a shared store's page is read again first.
   */
  async #settled(ordinal: bigint, givesUp: (holder: string | undefined) => boolean): Promise<LedgerPage> {
    const page = this.#page(ordinal >> SHIFT);
    let fresh = !this.#shared;
    for (;;) {
      const busy = this.#busy.get(ordinal);
      if (busy) await busy;
      else if (fresh || !givesUp(page.ownerOf(Number(ordinal & MASK)))) return page;
      else {
        await this.#refreshPage(page);
        fresh = true;
      }
    }
  }

  async #refreshPage(page: LedgerPage): Promise<void> {
    const { version } = page;
    const entry = await this.#options.store?.get(this.#key(page));
    // A write of our own since then knows better.
    if (page.version === version && this.#writers.get(page)?.busy !== true) this.#reload(page, entry);
  }

  async #change(page: LedgerPage, change: Change): Promise<Outcome> {
    const applied = apply(page, change);
    if (change.kind === 'take' || !applied.done) this.#index(page, change.bit);
    if (!applied.done) return applied;
    const { store } = this.#options;
    const written = store
      ? this.#writer(page, store).write(change)
      : Promise.resolve<Outcome>({ done: true });
    const ordinal = (page.number << SHIFT) | BigInt(change.bit);
    const settled = written.then(
      () => undefined,
      () => undefined,
    );
    this.#busy.set(ordinal, settled);
    try {
      return await written;
    } finally {
      this.#busy.delete(ordinal);
      this.#index(page, change.bit);
      this.#forget(page);
    }
  }

  #reload(page: LedgerPage, entry: Entry | undefined): void {
    const before = page.isEmpty ? undefined : page.snapshot();
    page.load(entry, this.#options.clock());
    if (before) this.#reindex(page, before);
    else this.#indexAll(page);
  }

  /** Brings all in line with a page of which nothing was known. */
  #indexAll(page: LedgerPage): void {
    const base = page.number << SHIFT;
    for (const owner of page.owners)
      for (const [start, end] of page.bitsOf(owner)?.runs() ?? [])
        this.#unavailable.takeRange(base | BigInt(start), base | BigInt(end));
    for (const bit of page.resting.keys()) this.#index(page, bit);
  }

  /** Brings all in line with a page that was read again. */
  #reindex(page: LedgerPage, before: Snapshot): void {
    const after = page.snapshot();
    for (let i = 0; i < after.words.length; i++) {
      for (let word = (before.words[i] ?? 0) ^ (after.words[i] ?? 0); word !== 0; word &= word - 1)
        this.#index(page, i * 32 + 31 - Math.clz32(word & -word));
    }
    // What rested may be held now, which is no difference in the words.
    for (const bit of [...before.resting, ...after.resting]) this.#index(page, bit);
  }

  /** Brings what can be given out in line with the page, for one bit. */
  #index(page: LedgerPage, bit: number): void {
    const ordinal = (page.number << SHIFT) | BigInt(bit);
    const until = page.resting.get(bit);
    if (until === undefined) this.#resting.delete(ordinal);
    else if (!this.#resting.has(ordinal)) {
      this.#resting.set(ordinal, until);
      // What is read from the store, or comes back after a failed write, may end before what rests already.
      if (until < this.#lastRest) this.#restsInOrder = false;
      else this.#lastRest = until;
    }
    if (until !== undefined || page.ownerOf(bit) !== undefined) this.#unavailable.take(ordinal);
    else this.#unavailable.release(ordinal);
  }

  /** Ends the rests that are over. */
  #wake(): void {
    if (this.#resting.size === 0) return;
    if (!this.#restsInOrder) {
      this.#resting = new Map([...this.#resting].sort(([, a], [, b]) => a - b));
      this.#restsInOrder = true;
    }
    const now = this.#options.clock();
    for (const [ordinal, until] of this.#resting) {
      if (until > now) return;
      const page = this.#page(ordinal >> SHIFT);
      page.wake(Number(ordinal & MASK));
      this.#index(page, Number(ordinal & MASK));
      this.#forget(page);
    }
  }

  #nextFree(from: bigint, to: bigint, serial: boolean): bigint | undefined {
    const cursor = this.#cursor;
    if (!serial || cursor <= from || cursor > to) return this.#firstFree(from, to);
    return this.#firstFree(cursor, to) ?? this.#firstFree(from, cursor - 1n);
  }

  #firstFree(from: bigint, to: bigint): bigint | undefined {
    const { withheld } = this.#rules;
    for (let start = from; start <= to; ) {
      const found = this.#unavailable.firstFree(start, to);
      const range = found === undefined ? undefined : withheld.find(found);
      if (range === undefined) return found;
      start = range[1] + 1n;
    }
    return undefined;
  }

  #longestResting(from: bigint, to: bigint): bigint | undefined {
    for (const ordinal of this.#resting.keys())
      if (ordinal >= from && ordinal <= to && this.#rules.withheld.find(ordinal) === undefined)
        return ordinal;
    return undefined;
  }

  #page(number: bigint): LedgerPage {
    let page = this.#pages.get(number);
    if (page === undefined) {
      const left = this.#options.size - (number << SHIFT);
      page = new LedgerPage(number, left < BigInt(PAGE_BITS) ? Number(left) : PAGE_BITS);
      this.#pages.set(number, page);
    }
    return page;
  }

  /** Lets go of a page that nobody has anything on, here and in the store. */
  #forget(page: LedgerPage): void {
    if (!page.isEmpty || page.version > 0 || this.#writers.get(page)?.busy === true) return;
    this.#pages.delete(page.number);
    this.#writers.delete(page);
  }

  #writer(page: LedgerPage, store: Datastore): PageWriter {
    let writer = this.#writers.get(page);
    if (writer === undefined) {
      const { clock } = this.#options;
      const onReload = (before: Snapshot) => this.#reindex(page, before);
      const restStep = () => Math.max(1, Math.ceil(this.#rules.restMs / REST_STEPS));
      writer = new PageWriter({
        store,
        key: this.#key(page),
        page,
        shared: this.#shared,
        clock,
        restStep,
        onReload,
      });
      this.#writers.set(page, writer);
    }
    return writer;
  }

  #numberOf(key: string): bigint {
    const digits = key.slice(this.#options.prefix.length);
    const number = /^[0-9a-f]{1,32}$/.test(digits) ? BigInt(`0x${digits}`) : -1n;
    if (number >= 0n && number << SHIFT < this.#options.size) return number;
    throw new LibnetworkError('INTERNAL', `${key} is no page of a pool of ${this.#options.size} addresses`, {
      field: key,
    });
  }

  #key(page: LedgerPage): string {
    return `${this.#options.prefix}${page.number.toString(16)}`;
  }
}

function lostTo(outcome: Outcome): string | undefined {
  return outcome.done ? undefined : (outcome.owner ?? 'another controller');
}
