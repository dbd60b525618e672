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
  incarnation: v.pipe(v.string(), v.regex(/^[0-9a-f]+$/)),
  whole: v.boolean(),
  ranges: v.array(prefixText),
  options: v.optional(v.record(v.string(), v.string()), {}),
  holder: v.optional(v.string()),
});

/** A pool as the store has it. */
export interface StoredPool {
  readonly prefix: Prefix;
  readonly incarnation: string;
  readonly version: number;
  readonly whole: boolean;
  readonly ranges: readonly Prefix[];
  readonly options: Readonly<Record<string, string>>;
  readonly holder: string | undefined;
  readonly pages: readonly Entry[];
}

/**
 * The pools of a space in the store: a record for each, and its pages under its incarnation. In a store that others
 * share, every change of the set of pools also counts up a generation, so that of two controllers that add
 * overlapping pools at once, one gets CONFLICT and looks again.
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

  /** Where the pages of a pool are. */
  pagesPrefix(incarnation: string): string {
    return `${this.#root}/pages/${incarnation}/`;
  }

  /** Every pool with its pages. Pages of pools that are gone are deleted. @throws INTERNAL for a damaged record */
  async load(): Promise<StoredPool[]> {
    const generation = this.#shared ? await this.#store.get(this.#generationKey) : undefined;
    // Pages before pools: a page whose pool is not there afterwards has lost it, and is not waiting for it.
    const pages = this.#byIncarnation(await this.#store.list(`${this.#root}/pages/`));
    const pools = (await this.#store.list(`${this.#root}/pools/`)).map((entry) => parsePool(entry));
    this.#generation = generation?.version ?? 0;
    const known = new Set(pools.map((pool) => pool.incarnation));
    const lost = [...pages].flatMap(([incarnation, entries]) => (known.has(incarnation) ? [] : entries));
    await this.#deleteAll(lost.map((entry) => entry.key));
    return pools.map((pool) => ({ ...pool, pages: pages.get(pool.incarnation) ?? [] }));
  }

  /** @throws CONFLICT when another controller changed the pools since they were loaded */
  async save(pool: AddressPool): Promise<void> {
    const value = {
      v: SCHEMA,
      subnet: pool.subnet,
      incarnation: pool.incarnation,
      whole: pool.whole,
      ranges: [...pool.ranges.keys()],
      options: pool.options,
      ...(pool.holder !== undefined && { holder: pool.holder }),
    };
    const key = this.#poolKey(pool);
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
    // Pages first: what is left of a failure is a pool that can be released again.
    const pages = pool.ledger.keys();
    await this.#deleteAll(pages.splice(0, Math.max(0, pages.length - TRANSACTION_KEYS)));
    const operations: StoreOperation[] = pages.map((key) => ({ op: 'delete', key }));
    const condition = this.#shared ? { ifVersion: pool.version } : {};
    operations.push({ op: 'delete', key: this.#poolKey(pool), ...condition });
    if (this.#shared) operations.push(this.#nextGeneration());
    const [generation = 0] = await this.#store.transaction(operations);
    if (this.#shared) this.#generation = generation;
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

  #poolKey(pool: AddressPool): string {
    // A slash would end the address in tools that show keys as paths.
    return `${this.#root}/pools/${formatPrefix(pool.prefix).replace('/', '-')}`;
  }

  #byIncarnation(pages: readonly Entry[]): Map<string, Entry[]> {
    const groups = new Map<string, Entry[]>();
    for (const entry of pages) {
      const incarnation = entry.key.slice(`${this.#root}/pages/`.length).split('/')[0] ?? '';
      const group = groups.get(incarnation);
      if (group) group.push(entry);
      else groups.set(incarnation, [entry]);
    }
    return groups;
  }
}

function parsePool(entry: Entry): Omit<StoredPool, 'pages'> {
  const record = v.safeParse(poolRecord, entry.value);
  if (!record.success)
    throw new LibnetworkError(
      'INTERNAL',
      `the stored pool under ${entry.key} is damaged; delete the key, and reconcile() restores it from the records`,
      { field: entry.key, operation: `read ${entry.key}`, cause: record.issues },
    );
  const { subnet, incarnation, whole, ranges, options, holder } = record.output;
  return { prefix: subnet, incarnation, version: entry.version, whole, ranges, options, holder };
}
