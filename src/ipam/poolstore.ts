import * as v from 'valibot';
import type { Datastore, Entry, StoreOperation } from '../datastore/datastore.ts';
import { LibnetworkError } from '../errors.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../ip.ts';
import type { AddressPool } from './pool.ts';

/** The root of all keys of IPAM. */
export const ROOT = 'docker/network/v1.0/ipam';
/** The schema version of a stored pool. */
const SCHEMA = 1;
/** How many keys one transaction names: distributed stores limit it (etcd: 128). */
const TRANSACTION_KEYS = 64;

const prefixText = v.pipe(
  v.string(),
  v.transform((text) => parsePrefix(text)),
  v.custom<Prefix>((prefix) => prefix !== undefined),
);
const poolRecord = v.object({
  v: v.literal(SCHEMA),
  subnet: prefixText,
  whole: v.boolean(),
  ranges: v.array(prefixText),
  options: v.optional(v.record(v.string(), v.string()), {}),
  holder: v.optional(v.string()),
  owner: v.optional(v.string()),
});

/** A pool as the store has it. */
export interface StoredPool {
  readonly prefix: Prefix;
  readonly version: number;
  readonly whole: boolean;
  readonly ranges: readonly Prefix[];
  readonly options: Readonly<Record<string, string>>;
  readonly holder: string | undefined;
  readonly owner: string | undefined;
  readonly pages: readonly Entry[];
}

/**
 * The pools of a space in the store: a record for each, and its pages. In a store that others share, every change of
 * the set of pools also counts up a generation, so that of two controllers that add overlapping pools at once, one
 * gets CONFLICT and looks again.
 */
export class PoolStore {
  readonly #store: Datastore;
  readonly #root: string;
  readonly #shared: boolean;
  #generation = 0;

  constructor(store: Datastore, space: string) {
    this.#store = store;
    this.#root = `${ROOT}/${space}`;
    this.#shared = store.scope === 'global';
  }

  /** Where the controllers are that share the store. */
  get membersPrefix(): string {
    return `${this.#root}/members/`;
  }

  /** Where the pages of a pool are. */
  pagesPrefix(prefix: Prefix): string {
    return `${this.#root}/pages/${keyOf(prefix)}/`;
  }

  /** Every pool with its pages. @throws INTERNAL for a damaged record of a store that others share */
  async load(): Promise<StoredPool[]> {
    const generation = this.#shared ? await this.#store.get(this.#generationKey) : undefined;
    const records = await this.#store.list(`${this.#root}/pools/`);
    const pools = records.flatMap((entry) => parsePool(entry) ?? []);
    await this.setAside(records.filter((entry) => parsePool(entry) === undefined));
    const pages = this.#bySubnet(await this.#store.list(`${this.#root}/pages/`));
    this.#generation = generation?.version ?? 0;
    const loaded = pools.map((pool) => ({ ...pool, pages: take(pages, keyOf(pool.prefix)) }));
    // What is left has lost its pool. In a shared store, the pool may just have been added.
    if (!this.#shared) await this.#deleteAll([...pages.values()].flat().map((entry) => entry.key));
    return loaded;
  }

  /** One pool with its pages. */
  async loadPool(prefix: Prefix): Promise<StoredPool | undefined> {
    const entry = await this.#store.get(this.#poolKey(prefix));
    const pool = entry && parsePool(entry);
    if (entry && !pool) await this.setAside([entry]);
    return pool && { ...pool, pages: await this.#store.list(this.pagesPrefix(prefix)) };
  }

  /**
   * Puts what can't be read where it does no harm and may be looked at: the records tell what was in it.
   * @throws INTERNAL in a store that others share: it may be of a later version of this package
   */
  async setAside(entries: readonly Entry[]): Promise<void> {
    for (const { key, value } of entries) {
      if (this.#shared)
        throw new LibnetworkError(
          'INTERNAL',
          `${key} can not be read; is it of a later version of this package?`,
          {
            field: key,
            operation: `read ${key}`,
          },
        );
      const aside = `${this.#root}/damaged/${key.slice(this.#root.length + 1)}`;
      await this.#store.transaction([
        { op: 'put', key: aside, value },
        { op: 'delete', key },
      ]);
    }
  }

  /** Whether a pool is in the store as it is here. */
  async isCurrent(pool: AddressPool): Promise<boolean> {
    return (await this.#store.get(this.#poolKey(pool.prefix)))?.version === pool.version;
  }

  /** @throws CONFLICT when another controller changed the pools since they were loaded */
  async save(pool: AddressPool): Promise<void> {
    const value = {
      v: SCHEMA,
      subnet: pool.subnet,
      whole: pool.whole,
      ranges: [...pool.ranges.keys()],
      options: pool.options,
      ...(pool.holder !== undefined && { holder: pool.holder }),
      ...(pool.owner !== undefined && { owner: pool.owner }),
    };
    const key = this.#poolKey(pool.prefix);
    if (!this.#shared) {
      pool.version = await this.#store.put(key, value);
      return;
    }
    const [generation = 0, version = 0] = await this.#store.transaction([
      this.#nextGeneration(),
      { op: 'put', key, value, ifVersion: pool.version },
    ]);
    this.#generation = generation;
    pool.version = version;
  }

  /** Deletes a pool and its pages. @throws CONFLICT as `save` */
  async remove(pool: AddressPool): Promise<void> {
    const pages = (await this.#store.list(this.pagesPrefix(pool.prefix))).map((entry) => entry.key);
    // Pages first: what is left of a failure is a pool that can be released again.
    await this.#deleteAll(pages.splice(0, Math.max(0, pages.length - TRANSACTION_KEYS)));
    const operations: StoreOperation[] = pages.map((key) => ({ op: 'delete', key }));
    const condition = this.#shared ? { ifVersion: pool.version } : {};
    operations.push({ op: 'delete', key: this.#poolKey(pool.prefix), ...condition });
    if (this.#shared) operations.push(this.#nextGeneration());
    const [generation = 0] = await this.#store.transaction(operations);
    if (this.#shared) this.#generation = generation;
  }

  /** Forgets a pool of a store of our own, as if it had never been asked for. */
  async discard({ prefix, pages }: StoredPool): Promise<void> {
    await this.#deleteAll([this.#poolKey(prefix), ...pages.map(({ key }) => key)]);
  }

  async #deleteAll(keys: readonly string[]): Promise<void> {
    for (let i = 0; i < keys.length; i += TRANSACTION_KEYS)
      await this.#store.transaction(
        keys.slice(i, i + TRANSACTION_KEYS).map((key) => ({ op: 'delete', key })),
      );
  }

  get #generationKey(): string {
    return `${this.#root}/generation`;
  }

  #nextGeneration(): StoreOperation {
    return { op: 'put', key: this.#generationKey, value: { v: SCHEMA }, ifVersion: this.#generation };
  }

  #poolKey(prefix: Prefix): string {
    return `${this.#root}/pools/${keyOf(prefix)}`;
  }

  #bySubnet(pages: readonly Entry[]): Map<string, Entry[]> {
    const groups = new Map<string, Entry[]>();
    for (const entry of pages) {
      const subnet = entry.key.slice(`${this.#root}/pages/`.length).split('/')[0] ?? '';
      const group = groups.get(subnet);
      if (group) group.push(entry);
      else groups.set(subnet, [entry]);
    }
    return groups;
  }
}

/** A subnet as one part of a key: a slash would end it in tools that show keys as paths. */
function keyOf(prefix: Prefix): string {
  return formatPrefix(prefix).replace('/', '-');
}

function take<T>(groups: Map<string, T[]>, key: string): T[] {
  const group = groups.get(key) ?? [];
  groups.delete(key);
  return group;
}

/** The pool that an entry tells; undefined where it is damaged. */
function parsePool(entry: Entry): Omit<StoredPool, 'pages'> | undefined {
  const record = v.safeParse(poolRecord, entry.value);
  if (!record.success) return undefined;
  const { subnet, whole, ranges, options, holder, owner } = record.output;
  return { prefix: subnet, version: entry.version, whole, ranges, options, holder, owner };
}
