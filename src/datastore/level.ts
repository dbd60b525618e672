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
import { codeOf, MOVE_IT_AWAY, openLevel, REVISION_KEY } from './level-open.ts';
import { Watchers } from './watchers.ts';

export interface LevelStoreOptions {
  /** The database's directory; made with mode 0700 when it is not there. One store at a time may have it open. */
  readonly path: string;
  /**
   * Wait for the disk at every write. Default false: a write is with the operating system when its promise
   * resolves, so it outlives this process dying in any way, but not a power loss; and what the records speak
   * of, the kernel's links and rules, does not outlive a power loss either.
   */
  readonly sync?: boolean | undefined;
}

/**
 * A local store in a directory, on LevelDB. Writes that are asked for while others are under way go to the disk
 * together, as one batch. Reads are answered at once, from LevelDB's memory or the page cache.
 * @throws CONFLICT naming the process that has the directory open; INVALID_ARGUMENT when the path is no
 * directory's; FORBIDDEN without the permission; INTERNAL when the database is damaged, UNAVAILABLE when it does
 * not open within 5 s: both say what to do.
 */
export async function levelStore(options: LevelStoreOptions): Promise<Datastore> {
  if (typeof options.path !== 'string' || options.path === '')
    throw invalid('path', options.path, 'must be a path');
  const path = resolvePath(options.path);
  const { db, lock, revision } = await openLevel(path);
  return new LevelStore(path, db, lock, options.sync ?? false, revision);
}

/** A write that waits for its batch. */
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

type BatchOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

/** How many versions are taken at a time, so that the counter costs no write of its own. */
const REVISION_BLOCK = 1_000_000;
/** A stored value is its version, a line feed, and JSON. */
const SEPARATOR = '\n';

class LevelStore implements Datastore {
  readonly scope = 'local';
  readonly #path: string;
  readonly #db: Level<string, string>;
  readonly #lock: FileLock;
  readonly #sync: boolean;
  readonly #watchers = new Watchers();
  #queue: Pending[] = [];
  /** The loop that writes batches, while there is something to write. */
  #writing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  /** Versions come from one counter for all keys, so that a key made again never repeats an old version. */
  #revision: number;
  #revisionLimit: number;

  constructor(path: string, db: Level<string, string>, lock: FileLock, sync: boolean, revision: number) {
    this.#path = path;
    this.#db = db;
    this.#lock = lock;
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
      this.#lock.release();
    }
  }

  #admit(options: StoreWaits | undefined): void {
    if (this.#closing !== undefined) throw storeClosed(`the store in ${this.#path}`);
    throwIfAborted(options?.signal);
  }

  #write(operations: readonly Encoded[], signal: AbortSignal | undefined): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ operations, signal, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    // One turn of the microtask queue lets writes that are asked for together share the first batch.
    await undefined;
    while (this.#queue.length > 0) await this.#commit(this.#queue.splice(0));
    this.#writing = undefined;
  }

  /** Writes what is waiting as one batch; each write whose condition fails is refused alone. */
  async #commit(waiting: readonly Pending[]): Promise<void> {
    const batch = new Batch(this.#versionOf, () => ++this.#revision);
    const accepted: { pending: Pending; outcome: Outcome }[] = [];
    for (const pending of waiting) {
      try {
        throwIfAborted(pending.signal);
        accepted.push({ pending, outcome: batch.add(pending.operations) });
      } catch (error) {
        pending.reject(error);
      }
    }
    try {
      await this.#guard('write', () => this.#store(batch.operations));
    } catch (error) {
      for (const { pending } of accepted) pending.reject(error);
      return;
    }
    for (const { pending, outcome } of accepted) {
      this.#emit(pending.operations, outcome);
      pending.resolve(outcome);
    }
  }

  async #store(operations: BatchOperation[]): Promise<void> {
    if (this.#revision <= this.#revisionLimit) return this.#send(operations);
    // The counter's next block is taken by the first batch that needs it.
    const limit = this.#revision + REVISION_BLOCK;
    operations.push({ type: 'put', key: REVISION_KEY, value: String(limit) });
    await this.#send(operations);
    this.#revisionLimit = limit;
  }

  #send(operations: BatchOperation[]): Promise<void> {
    const [first] = operations;
    if (first === undefined) return Promise.resolve();
    const options = this.#sync ? { sync: true } : {};
    // A batch of one costs more than the operation itself.
    if (operations.length > 1) return this.#db.batch(operations, options);
    return first.type === 'put'
      ? this.#db.put(first.key, first.value, options)
      : this.#db.del(first.key, options);
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
    try {
      return this.#db.getSync(key);
    } catch (error) {
      throw this.#failure(`read ${key}`, error);
    }
  }

  /** The version that is stored, 0 for none. Where no condition asks for it, 1 stands for any. */
  readonly #versionOf = (key: string, { ifVersion }: WriteCondition): number => {
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
  readonly operations: BatchOperation[] = [];
  readonly #stored: (key: string, condition: WriteCondition) => number;
  readonly #next: () => number;
  readonly #versions = new Map<string, number>();

  constructor(stored: (key: string, condition: WriteCondition) => number, next: () => number) {
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
      if (json === undefined) this.operations.push({ type: 'del', key });
      else this.operations.push({ type: 'put', key, value: `${version}${SEPARATOR}${json}` });
      this.#versions.set(key, version);
      return { version, before: befores[i] ?? 0 };
    });
  }
}

/** All keys of a prefix; without one, all but our own. No key is longer than 1,024 bytes, which is the bound's tail. */
function rangeOf(prefix: string): { gte: string; lte: string } {
  return { gte: prefix === '' ? '\u0001' : prefix, lte: prefix + '\u{10ffff}'.repeat(256) };
}
