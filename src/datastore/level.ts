import { resolve as resolvePath } from 'node:path';
import type { Level } from 'level';
import { invalid, LibnetworkError, throwIfAborted } from '../errors.ts';
import type {
  Datastore,
  Entry,
  StoreEvent,
  StoreOperation,
  StoreWaits,
  WriteCondition,
} from './datastore.ts';
import {
  checkKey,
  checkOperations,
  checkPrefix,
  conditionFailed,
  decodeValue,
  encodeValue,
  holds,
  storeClosed,
} from './entry.ts';
import type { FileLock } from './filelock.ts';
import type { Journal, JournalWrite } from './journal.ts';
import {
  codeOf,
  MOVE_IT_AWAY,
  type OpenLevel,
  openLevel,
  REVISION_KEY,
  toBatchOperation,
} from './level-open.ts';
import { Watchers } from './watchers.ts';

export interface LevelStoreOptions {
  /** The database's directory; made with mode 0700 when it is not there. One store at a time may have it open. */
  readonly path: string;
  /**
   * Wait for the disk at every write. Default false: a write is with the operating system, in the journal, when
   * its promise resolves, so it outlives this process dying in any way, but not a power loss; and what the records speak
   * of, the kernel's links and rules, does not outlive a power loss either.
   */
  readonly sync?: boolean | undefined;
}

/**
 * A local store in a directory, on LevelDB. A write is accepted when it is in the journal beside the database (or,
 * with `sync`, on the disk); the database takes what has gathered there in the background, as one batch. Reads are
 * answered at once: what waits in the journal is in memory, the rest in LevelDB's or the page cache.
 * @throws CONFLICT naming the process that has the directory open; INVALID_ARGUMENT when the path is no
 * directory's; FORBIDDEN without the permission; INTERNAL when the database is damaged, UNAVAILABLE when it does
 * not open within 5 s: both say what to do.
 */
export async function levelStore(options: LevelStoreOptions): Promise<Datastore> {
  if (typeof options.path !== 'string' || options.path === '')
    throw invalid('path', options.path, 'must be a path');
  const path = resolvePath(options.path);
  return new LevelStore(path, await openLevel(path), options.sync ?? false);
}

/** A write that waits: with `sync`, or while the journal is full. */
interface Pending {
  readonly operations: readonly Encoded[];
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Encoded extends WriteCondition {
  readonly key: string;
  /** The value as JSON; `undefined` deletes. */
  readonly json: string | undefined;
}

/** For each operation in order: its new version, and the one that was there before (0: none). */
type Outcome = readonly { readonly version: number; readonly before: number }[];

/** How many versions are taken at a time, so that the counter costs no write of its own. */
const REVISION_BLOCK = 1_000_000;
/** A stored value is its version, a line feed, and JSON. */
const SEPARATOR = '\n';

class LevelStore implements Datastore {
  readonly scope = 'local';
  readonly #path: string;
  readonly #db: Level<string, string>;
  readonly #lock: FileLock;
  readonly #journal: Journal;
  readonly #sync: boolean;
  readonly #watchers = new Watchers();
  /** What is accepted and not yet in the database; `null` is deleted. */
  #fresh = new Map<string, string | null>();
  #queue: Pending[] = [];
  /** The loop that writes to the database, while there is something to write. */
  #writing: Promise<void> | undefined;
  /** Why the database takes nothing any more. What was accepted is in the journal. */
  #broken: unknown;
  #closing: Promise<void> | undefined;
  /** Versions come from one counter for all keys, so that a key made again never repeats an old version. */
  #revision: number;
  #revisionLimit: number;

  constructor(path: string, { db, lock, journal, revision }: OpenLevel, sync: boolean) {
    this.#path = path;
    this.#db = db;
    this.#lock = lock;
    this.#journal = journal;
    this.#sync = sync;
    this.#revision = revision;
    this.#revisionLimit = revision;
  }

  async get(key: string, options?: StoreWaits): Promise<Entry | undefined> {
    this.#admit(options);
    checkKey(key);
    const stored = this.#read(key);
    return stored === undefined ? undefined : this.#decode(key, stored);
  }

  async put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number> {
    this.#admit(options);
    checkKey(key);
    const json = encodeValue(key, value);
    const [done] = await this.#write([{ key, json, ifVersion: options?.ifVersion }], options?.signal);
    return done?.version ?? 0;
  }

  async delete(key: string, options?: StoreWaits & WriteCondition): Promise<boolean> {
    this.#admit(options);
    checkKey(key);
    const [done] = await this.#write(
      [{ key, json: undefined, ifVersion: options?.ifVersion }],
      options?.signal,
    );
    return done?.before !== 0;
  }

  async list(prefix: string, options?: StoreWaits): Promise<readonly Entry[]> {
    this.#admit(options);
    checkPrefix(prefix);
    await this.#writing;
    const stored = await this.#guard(`list ${prefix}`, () => this.#db.iterator(rangeOf(prefix)).all());
    return stored.map(([key, text]) => this.#decode(key, text));
  }

  async transaction(operations: readonly StoreOperation[], options?: StoreWaits): Promise<readonly number[]> {
    this.#admit(options);
    checkOperations(operations);
    const encoded = operations.map((each) => ({
      key: each.key,
      ifVersion: each.ifVersion,
      json: each.op === 'put' ? encodeValue(each.key, each.value) : undefined,
    }));
    const outcome = await this.#write(encoded, options?.signal);
    return outcome.filter((_, i) => encoded[i]?.json !== undefined).map(({ version }) => version);
  }

  watch(prefix: string, options?: StoreWaits): AsyncIterable<StoreEvent> {
    this.#admit(options);
    checkPrefix(prefix);
    return this.#watchers.watch(prefix, options?.signal);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#writing;
    this.#watchers.end();
    try {
      await this.#db.close();
    } finally {
      this.#journal.close();
      this.#lock.release();
    }
  }

  #admit(options: StoreWaits | undefined): void {
    if (this.#closing !== undefined) throw storeClosed(`the store in ${this.#path}`);
    throwIfAborted(options?.signal);
  }

  #write(operations: readonly Encoded[], signal: AbortSignal | undefined): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const pending = { operations, signal, resolve, reject };
      if (this.#sync || this.#journal.isFull || this.#queue.length > 0) this.#queue.push(pending);
      else this.#accept([pending]);
      this.#writing ??= this.#drain();
    });
  }

  /** Takes writes into the journal, or refuses them; each whose condition fails is refused alone. */
  #accept(waiting: readonly Pending[]): void {
    const batch = new Batch(this.#versionOf, () => ++this.#revision);
    const accepted: { pending: Pending; outcome: Outcome }[] = [];
    for (const pending of waiting) {
      try {
        if (this.#broken !== undefined) throw this.#failure('write', this.#broken);
        throwIfAborted(pending.signal);
        accepted.push({ pending, outcome: batch.add(pending.operations) });
      } catch (error) {
        pending.reject(error);
      }
    }
    try {
      this.#take(batch.writes);
    } catch (error) {
      for (const { pending } of accepted) pending.reject(this.#failure('write', error));
      return;
    }
    for (const { pending, outcome } of accepted) {
      this.#emit(pending.operations, outcome);
      pending.resolve(outcome);
    }
  }

  #take(writes: readonly JournalWrite[]): void {
    if (writes.length === 0) return;
    // The counter's next block is taken by the first batch that needs it.
    const limit = this.#revision > this.#revisionLimit ? this.#revision + REVISION_BLOCK : undefined;
    const all = limit === undefined ? writes : [...writes, [REVISION_KEY, String(limit)] as const];
    this.#journal.append(all);
    if (limit !== undefined) this.#revisionLimit = limit;
    for (const [key, text] of all) this.#fresh.set(key, text);
  }

  /** Brings everything that is accepted into the database, and then takes those that wait. */
  async #drain(): Promise<void> {
    // Writes that are asked for together share the first batch. What is accepted already does not have to hurry:
    // whoever waits for it goes on first.
    await (this.#queue.length > 0 ? undefined : new Promise(setImmediate));
    do {
      await this.#flush();
      const waiting = this.#queue.splice(0);
      if (waiting.length === 0) continue;
      if (this.#sync) await this.#acceptOnDisk(waiting);
      else this.#accept(waiting);
    } while (this.#queue.length > 0 || (this.#fresh.size > 0 && this.#broken === undefined));
    this.#writing = undefined;
  }

  async #flush(): Promise<void> {
    if (this.#fresh.size === 0) {
      this.#journal.clear();
      return;
    }
    const taken = [...this.#fresh];
    try {
      await this.#db.batch(taken.map(toBatchOperation), this.#sync ? { sync: true } : {});
    } catch (error) {
      this.#broken = error;
      return;
    }
    for (const [key, text] of taken) if (this.#fresh.get(key) === text) this.#fresh.delete(key);
    if (this.#fresh.size === 0) this.#journal.clear();
  }

  /** With `sync` a write has ended only when the disk has it. */
  async #acceptOnDisk(waiting: readonly Pending[]): Promise<void> {
    const ended: { pending: Pending; outcome: Outcome }[] = [];
    this.#accept(
      waiting.map((pending) => ({ ...pending, resolve: (outcome) => ended.push({ pending, outcome }) })),
    );
    await this.#flush();
    for (const { pending, outcome } of ended) {
      if (this.#broken === undefined) pending.resolve(outcome);
      else pending.reject(this.#failure('write', this.#broken));
    }
  }

  #emit(operations: readonly Encoded[], outcome: Outcome): void {
    if (!this.#watchers.watching) return;
    operations.forEach(({ key, json }, i) => {
      const { version = 0, before = 0 } = outcome[i] ?? {};
      if (json !== undefined) {
        const entry = Object.freeze({ key, value: decodeValue(json), version });
        this.#watchers.emit({ type: 'put', entry });
      } else if (before !== 0) this.#watchers.emit({ type: 'delete', key });
    });
  }

  #read(key: string): string | undefined {
    const fresh = this.#fresh.get(key);
    if (fresh !== undefined) return fresh ?? undefined;
    try {
      return this.#db.getSync(key);
    } catch (error) {
      throw this.#failure(`read ${key}`, error);
    }
  }

  /** The version that is stored, 0 for none. Where no condition asks for it, 1 stands for any, a write's for both. */
  readonly #versionOf = (key: string, { ifVersion, json }: Encoded): number => {
    // Whoever writes over whatever is there needs no reading of it; who deletes wants to know whether it was there.
    if (ifVersion === undefined && json !== undefined) return 1;
    const stored = this.#read(key);
    if (stored === undefined) return 0;
    // What is damaged can still be written over.
    return ifVersion === undefined ? 1 : this.#split(key, stored).version;
  };

  #decode(key: string, stored: string): Entry {
    const { version, json } = this.#split(key, stored);
    try {
      return Object.freeze({ key, value: decodeValue(json), version });
    } catch (cause) {
      throw this.#damaged(key, cause);
    }
  }

  #split(key: string, stored: string): { version: number; json: string } {
    const end = stored.indexOf(SEPARATOR);
    const version = Number(stored.slice(0, end));
    if (end < 1 || !Number.isSafeInteger(version) || version < 1)
      throw this.#damaged(key, 'it has no version');
    return { version, json: stored.slice(end + 1) };
  }

  #damaged(key: string, cause: unknown): LibnetworkError {
    return new LibnetworkError(
      'INTERNAL',
      `the value of ${key} in ${this.#path} is damaged (${String(cause)}); ${MOVE_IT_AWAY}`,
      { field: key, value: this.#path, operation: `read ${key}`, cause },
    );
  }

  async #guard<T>(operation: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw this.#failure(operation, error);
    }
  }

  #failure(operation: string, cause: unknown): LibnetworkError {
    const damaged = codeOf(cause) === 'LEVEL_CORRUPTION';
    const advice = damaged ? MOVE_IT_AWAY : 'look at the disk and its free space, then open the store again';
    return new LibnetworkError(
      damaged ? 'INTERNAL' : 'UNAVAILABLE',
      `the database in ${this.#path} failed to ${operation} (${String(cause)}); ${advice}`,
      { value: this.#path, operation, cause },
    );
  }
}

/** A batch under construction. Later writes see the versions of earlier ones in it. */
class Batch {
  readonly writes: JournalWrite[] = [];
  readonly #stored: (key: string, operation: Encoded) => number;
  readonly #next: () => number;
  readonly #versions = new Map<string, number>();

  constructor(stored: (key: string, operation: Encoded) => number, next: () => number) {
    this.#stored = stored;
    this.#next = next;
  }

  /** Adds all operations, or throws CONFLICT and adds none. */
  add(operations: readonly Encoded[]): Outcome {
    const befores = operations.map((operation) => {
      const { key, ifVersion } = operation;
      const version = this.#versions.get(key) ?? this.#stored(key, operation);
      if (!holds(ifVersion, version)) throw conditionFailed(key, ifVersion, version);
      return version;
    });
    return operations.map(({ key, json }, i) => {
      const version = json === undefined ? 0 : this.#next();
      this.writes.push([key, json === undefined ? null : `${version}${SEPARATOR}${json}`]);
      this.#versions.set(key, version);
      return { version, before: befores[i] ?? 0 };
    });
  }
}

/** All keys of a prefix; without one, all but our own. No key is longer than 1,024 bytes, which is the bound's tail. */
function rangeOf(prefix: string): { gte: string; lte: string } {
  return { gte: prefix === '' ? '\u0001' : prefix, lte: prefix + '\u{10ffff}'.repeat(256) };
}
