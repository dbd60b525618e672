import { randomBytes } from 'node:crypto';
import type { Datastore } from '../datastore/datastore.ts';
import { invalid, LibnetworkError, throwIfAborted } from '../errors.ts';
import { bits, contains, type Family, formatPrefix, type Prefix, parseCidr } from '../ip.ts';
import { type Block, Exclusions, findFree, noPoolLeft } from './defaultpools.ts';
import type { AllocatedPool, IpamWaits, PoolRequest } from './ipam.ts';
import { poolOptions } from './options.ts';
import { AddressPool } from './pool.ts';
import { formatPoolId, type PoolKey, parsePoolId } from './poolid.ts';
import { PoolStore } from './poolstore.ts';
import { PrefixTree } from './prefixtree.ts';
import { Queue } from './queue.ts';

export interface SpaceOptions {
  /** `LocalDefault`, for one; without a `/`. */
  readonly name: string;
  readonly store: Datastore | undefined;
  /** The blocks of default pools of a family. */
  readonly blocks: (family: Family) => Promise<readonly Block[]>;
  readonly reuseDelayMs: number;
  readonly clock: () => number;
}

/** Where a pool id leads: the pool, and the range of it that addresses come from. */
export interface Found {
  readonly pool: AddressPool;
  readonly range: Prefix | undefined;
}

/** Pools that must not overlap each other, as the store has them. Changes of the set of pools are made one by one. */
export class AddressSpace {
  readonly name: string;
  readonly #options: SpaceOptions;
  readonly #store: PoolStore | undefined;
  readonly #trees: Readonly<Record<Family, PrefixTree<AddressPool>>> = {
    ipv4: new PrefixTree<AddressPool>('ipv4'),
    ipv6: new PrefixTree<AddressPool>('ipv6'),
  };
  readonly #queue = new Queue();
  #loaded: Promise<void> | undefined;

  constructor(options: SpaceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#store = options.store && new PoolStore(options.store, options.name);
  }

  async requestPool(request: PoolRequest, waits: IpamWaits | undefined): Promise<AllocatedPool> {
    const explicit = parseExplicit(request);
    const exclusions = new Exclusions(request.exclude ?? [], request.family);
    await this.#load();
    return this.#queue.run(async () => {
      throwIfAborted(waits?.signal);
      const { subnet, range, length } = explicit;
      if (subnet) return this.#addExplicit(request, subnet, range);
      return this.#addDefault(request, length, exclusions);
    });
  }

  async releasePool(id: string, waits: IpamWaits | undefined): Promise<void> {
    const key = this.#parse(id);
    await this.#load();
    await this.#queue.run(async () => {
      throwIfAborted(waits?.signal);
      const { pool, range } = this.#find(key) ?? raise(unknownPool(id));
      await this.#dropFrom(pool, range);
    });
  }

  /** @throws NOT_FOUND */
  async find(id: string): Promise<Found> {
    const key = this.#parse(id);
    await this.#load();
    return this.#find(key) ?? raise(unknownPool(id));
  }

  async #addExplicit(
    request: PoolRequest,
    subnet: Prefix,
    range: Prefix | undefined,
  ): Promise<AllocatedPool> {
    const tree = this.#trees[subnet.family];
    const there = tree.get(subnet);
    if (there && range && !there.ranges.has(formatPrefix(range))) return this.#addTo(there, range);
    // A subnet of which only ranges were asked for may still be asked for as a whole.
    if (there && !range && !there.whole) return this.#addTo(there, undefined);
    const overlapping = there ?? tree.overlapping(subnet);
    if (overlapping) throw this.#overlap(range ?? subnet, overlapping);
    return this.#addTo(this.#newPool(subnet, request), range);
  }

  async #addDefault(
    request: PoolRequest,
    length: number | undefined,
    exclusions: Exclusions,
  ): Promise<AllocatedPool> {
    const { family } = request;
    const all = (await this.#options.blocks(family)).filter(({ base }) => base.family === family);
    const blocks = length === undefined ? all : resized(all, length);
    if (blocks.length === 0 && length !== undefined)
      throw invalid('ipam.pools.subnet', request.subnet, 'no default pool is large enough for this size');
    const found = findFree(blocks, this.#trees[family], exclusions);
    if (!found) throw noPoolLeft(family, blocks, this.#trees[family], exclusions);
    return this.#addTo(this.#newPool(found, request), undefined);
  }

  #newPool(prefix: Prefix, request: Pick<PoolRequest, 'options' | 'holder'>): AddressPool {
    return this.#makePool(
      prefix,
      randomBytes(6).toString('hex'),
      poolOptions(request.options),
      request.holder,
    );
  }

  #makePool(
    prefix: Prefix,
    incarnation: string,
    options: AddressPool['options'],
    holder: string | undefined,
  ) {
    const { store, reuseDelayMs, clock } = this.#options;
    const pagesPrefix = this.#store?.pagesPrefix(incarnation) ?? '';
    const onExhausted = undefined;
    return new AddressPool({
      prefix,
      incarnation,
      options,
      holder,
      store,
      pagesPrefix,
      reuseDelayMs,
      clock,
      onExhausted,
    });
  }

  /** Adds the subnet as a whole, or a range of it, to a pool, and a new pool to the space. */
  async #addTo(pool: AddressPool, range: Prefix | undefined): Promise<AllocatedPool> {
    const tree = this.#trees[pool.prefix.family];
    const isNew = tree.get(pool.prefix) === undefined;
    if (isNew) tree.insert(pool.prefix, pool);
    mark(pool, range, true);
    try {
      await this.#store?.save(pool);
    } catch (error) {
      mark(pool, range, false);
      if (isNew) tree.delete(pool.prefix);
      throw error;
    }
    const id = formatPoolId({ space: this.name, subnet: pool.prefix, range });
    return { id, subnet: pool.subnet, meta: {} };
  }

  /** Takes the subnet as a whole, or a range of it, from a pool, and the pool itself with the last of them. */
  async #dropFrom(pool: AddressPool, range: Prefix | undefined): Promise<void> {
    mark(pool, range, false);
    const last = !pool.whole && pool.ranges.size === 0;
    try {
      if (last) await this.#store?.remove(pool);
      else await this.#store?.save(pool);
    } catch (error) {
      mark(pool, range, true);
      throw error;
    }
    if (last) this.#trees[pool.prefix.family].delete(pool.prefix);
  }

  #find({ subnet, range }: PoolKey): Found | undefined {
    const pool = this.#trees[subnet.family].get(subnet);
    const there = range ? pool?.ranges.has(formatPrefix(range)) : pool?.whole;
    return pool && there ? { pool, range } : undefined;
  }

  #parse(id: string): PoolKey {
    const key = parsePoolId(id);
    if (key.space !== this.name) throw unknownPool(id);
    return key;
  }

  #overlap(wanted: Prefix, pool: AddressPool): LibnetworkError {
    const text = formatPrefix(wanted);
    return new LibnetworkError(
      'FORBIDDEN',
      `subnet ${text} overlaps ${pool.title} of ${this.name}; choose another`,
      {
        field: 'ipam.pools.subnet',
        value: text,
        holder: pool.holder ?? pool.title,
      },
    );
  }

  #load(): Promise<void> {
    this.#loaded ??= this.#restore().catch((error: unknown) => {
      // The next call tries again.
      this.#loaded = undefined;
      throw error;
    });
    return this.#loaded;
  }

  async #restore(): Promise<void> {
    for (const record of (await this.#store?.load()) ?? []) {
      const pool = this.#makePool(record.prefix, record.incarnation, record.options, record.holder);
      pool.version = record.version;
      pool.whole = record.whole;
      for (const range of record.ranges) pool.ranges.set(formatPrefix(range), range);
      pool.ledger.load(record.pages);
      this.#trees[record.prefix.family].insert(record.prefix, pool);
    }
  }
}

function mark(pool: AddressPool, range: Prefix | undefined, there: boolean): void {
  if (!range) pool.whole = there;
  else if (there) pool.ranges.set(formatPrefix(range), range);
  else pool.ranges.delete(formatPrefix(range));
}

/** The blocks that can be cut into prefixes of the given length. */
function resized(blocks: readonly Block[], length: number): Block[] {
  return blocks.filter(({ base }) => base.length <= length).map(({ base }) => ({ base, length }));
}

interface Explicit {
  readonly subnet?: Prefix;
  readonly range?: Prefix;
  /** Any default pool, but of this length: asked for as `0.0.0.0/24` or `::/64`. */
  readonly length?: number;
}

/** @throws INVALID_ARGUMENT */
function parseExplicit({ subnet, ipRange, family }: PoolRequest): Explicit {
  if (subnet === undefined) {
    if (ipRange !== undefined) throw invalid('ipam.pools.ipRange', ipRange, 'needs a subnet that it lies in');
    return {};
  }
  const whole = parseOf(family, 'ipam.pools.subnet', subnet);
  if (whole.value === 0n && whole.length > 0 && ipRange === undefined) return { length: whole.length };
  if (ipRange === undefined) return { subnet: whole };
  const range = parseOf(family, 'ipam.pools.ipRange', ipRange);
  // As upstream: a range that covers the whole subnet means the subnet.
  if (contains(range, whole)) return { subnet: whole, range: whole };
  if (!contains(whole, range))
    throw invalid('ipam.pools.ipRange', ipRange, `must lie in ${formatPrefix(whole)}`);
  return { subnet: whole, range };
}

function parseOf(family: Family, field: string, text: string): Prefix {
  const prefix = parseCidr(text)?.prefix;
  if (!prefix || prefix.family !== family)
    throw invalid(
      field,
      text,
      `must be an ${family} prefix of up to /${bits(family)}, such as ${example[family]}`,
    );
  return prefix;
}

const example = { ipv4: '10.9.0.0/24', ipv6: 'fd00:9::/64' } as const;

function unknownPool(id: string): LibnetworkError {
  return new LibnetworkError('NOT_FOUND', `unknown address pool ${JSON.stringify(id)}`, {
    field: 'poolId',
    value: id,
  });
}

function raise(error: Error): never {
  throw error;
}
