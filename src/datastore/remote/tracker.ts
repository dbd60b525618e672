import type { Entry, StoreEvent } from '../datastore.ts';

/**
 * What a watch has told so far: the keys that exist and their versions. With it a watch that lost its place tells
 * the differences to a fresh list, and what is told twice by the engine is told once.
 */
export class Tracker {
  readonly #known = new Map<string, number>();
  readonly #emit: (event: StoreEvent) => void;

  constructor(emit: (event: StoreEvent) => void) {
    this.#emit = emit;
  }

  /** A key as it was when the watch began: nothing to tell. */
  seed(key: string, version: number): void {
    this.#known.set(key, version);
  }

  put(entry: Entry): void {
    if ((this.#known.get(entry.key) ?? 0) < entry.version) this.#tell(entry);
  }

  #tell(entry: Entry): void {
    this.#known.set(entry.key, entry.version);
    this.#emit({ type: 'put', entry });
  }

  delete(key: string): void {
    if (this.#known.delete(key)) this.#emit({ type: 'delete', key });
  }

  /**
   * Everything that exists now: tells what went, then what differs, in the order in which it was written. A version
   * may be lower than the one that was told, where an engine was restored from a backup.
   */
  replace(entries: readonly Entry[]): void {
    const now = new Set(entries.map((entry) => entry.key));
    for (const key of [...this.#known.keys()]) if (!now.has(key)) this.delete(key);
    const differing = entries.filter((entry) => this.#known.get(entry.key) !== entry.version);
    for (const entry of differing.sort((a, b) => a.version - b.version)) this.#tell(entry);
  }
}
