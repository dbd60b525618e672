/** Following a part of the store: all that is there, then every change, also across times when it can't be asked. */
import type { Datastore, Entry } from '../datastore/datastore.ts';
import { LibnetworkError } from '../errors.ts';
import { sleep } from '../sleep.ts';

export interface FollowOptions {
  readonly store: Datastore;
  readonly prefix: string;
  /** An entry that is new or changed. */
  readonly onPut: (entry: Entry) => void;
  readonly onDelete: (key: string) => void;
  /** After everything that a listing told was told. */
  readonly onListed?: (() => void) | undefined;
  /** The store can't be asked: it will be tried again. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** One part of the store as it is known here. Changes are told once, in order, whatever they were learnt by. */
export class Follower {
  readonly #options: FollowOptions;
  readonly #ended = new AbortController();
  /** The versions of what is known. */
  readonly #known = new Map<string, number>();
  readonly #waiting: (() => void)[] = [];
  readonly #running: Promise<void>;
  #watch = new AbortController();
  /** Ends the pause after a failure. */
  #rest = new AbortController();
  #again = false;
  #listed = false;

  constructor(options: FollowOptions) {
    this.#options = options;
    // At the next turn, so that who makes it may wait for the first listing.
    this.#running = Promise.resolve().then(() => this.#run());
  }

  /** Whether all of it was listed at least once. */
  get known(): boolean {
    return this.#listed;
  }

  /** When all that was there has been told; it waits as long as the store can't be asked, or until the end. */
  listed(): Promise<void> {
    return this.#listed ? Promise.resolve() : this.#nextListing();
  }

  /** Lists again: for what a watch that was cut off may have missed. */
  resync(): Promise<void> {
    const listing = this.#nextListing();
    this.#again = true;
    this.#watch.abort();
    this.#rest.abort();
    return listing;
  }

  async end(): Promise<void> {
    this.#ended.abort();
    this.#watch.abort();
    this.#rest.abort();
    await this.#running;
  }

  #nextListing(): Promise<void> {
    if (this.#ended.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      this.#again = false;
      this.#watch = new AbortController();
      try {
        if (await this.#listAndWatch(this.#watch.signal)) pause = FIRST_PAUSE_MS;
      } catch (error) {
        if (!signal.aborted && !this.#again) this.#options.onFailure?.(error);
      } finally {
        this.#watch.abort();
      }
      if (this.#again || signal.aborted) continue;
      this.#rest = new AbortController();
      await sleep(pause, this.#rest.signal);
    }
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** The watch is there before the listing, so that nothing happens between the two. */
  async #listAndWatch(signal: AbortSignal): Promise<boolean> {
    const { store, prefix } = this.#options;
    const events = store.watch(prefix, { signal });
    const waiting = this.#waiting.splice(0);
    try {
      this.#take(await store.list(prefix, { signal }));
    } catch (error) {
      this.#waiting.push(...waiting);
      throw error;
    }
    this.#listed = true;
    for (const resolve of waiting) resolve();
    for await (const event of events) {
      if (signal.aborted) break;
      if (event.type === 'put') this.#put(event.entry);
      else this.#delete(event.key);
    }
    return true;
  }

  #take(entries: readonly Entry[]): void {
    const there = new Set(entries.map(({ key }) => key));
    for (const key of [...this.#known.keys()]) if (!there.has(key)) this.#delete(key);
    for (const entry of entries) this.#put(entry);
    this.#options.onListed?.();
  }

  #put(entry: Entry): void {
    if ((this.#known.get(entry.key) ?? 0) >= entry.version) return;
    this.#known.set(entry.key, entry.version);
    this.#options.onPut(entry);
  }

  #delete(key: string): void {
    if (this.#known.delete(key)) this.#options.onDelete(key);
  }
}

/** Whether the store could not be asked, or did not answer in time: what was asked may have happened. */
export function isCutOff(error: unknown): boolean {
  return LibnetworkError.is(error, 'UNAVAILABLE') || LibnetworkError.is(error, 'TIMEOUT');
}
