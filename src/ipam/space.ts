import type { Datastore, Entry } from '../datastore/datastore.ts';
import { invalid, LibnetworkError, throwIfAborted } from '../errors.ts';
import { type Family, formatPrefix, type Prefix } from '../ip.ts';
import { type Block, Exclusions, findFree, noPoolLeft, resized } from './defaultpools.ts';
import type { AddressRequest, AllocatedPool, IpamWaits, PoolRequest, PoolUsage } from './ipam.ts';
import { Members, nameOf } from './members.ts';
import { poolOptions } from './options.ts';
import { AddressPool } from './pool.ts';
import { formatPoolId, type PoolKey, parsePoolId } from './poolid.ts';
import { parsePoolRequest } from './poolrequest.ts';
import { PoolStore, type StoredPool } from './poolstore.ts';
import { PrefixTree } from './prefixtree.ts';
import { Queue } from './queue.ts';

/** How often a change of the pools that meets another controller's is tried again before it fails with CONFLICT. */
const MAX_CONFLICTS = 100;
/** What a store of our own knows us by. */
const ALONE = 'local';

export interface SpaceOptions {
  /** `LocalDefault`, for one; without a `/`. */
  readonly name: string;
  readonly store: Datastore | undefined;
  /** The blocks of default pools of a family. */
  readonly blocks: (family: Family) => Promise<readonly Block[]>;
  /** This controller's name among those that share the store. */
  readonly identity: () => Promise<string>;
  readonly leaseMs: number;
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
  /** The controllers that share the store; undefined when nobody else does. */
  readonly members: Members | undefined;
  readonly #options: SpaceOptions;
  readonly #store: PoolStore | undefined;
  readonly #trees: Readonly<Record<Family, PrefixTree<AddressPool>>> = {
    ipv4: new PrefixTree<AddressPool>('ipv4'),
    ipv6: new PrefixTree<AddressPool>('ipv6'),
  };
  readonly #queue = new Queue();
  #loaded: Promise<void> | undefined;

  constructor(options: SpaceOptions) {
    const { name, store, identity, leaseMs } = options;
    this.name = name;
    this.#options = options;
    this.#store = store && new PoolStore(store, name);
    if (store?.scope !== 'global') return;
    this.members = new Members({
      store,
      prefix: `${this.#store?.membersPrefix}`,
      name: identity,
      leaseMs,
      onNewLabel: (label, isMine) => this.#relabel(label, isMine),
    });
  }

  async requestPool(request: PoolRequest, waits: IpamWaits | undefined): Promise<AllocatedPool> {
    const wanted = parsePoolRequest(request);
    const exclusions = new Exclusions(request.exclude ?? [], request.family);
    return this.change(waits, async () => {
      const { subnet, range, length } = wanted;
      if (subnet) return this.add(subnet, range, request);
      return this.#addDefault(request, length, exclusions);
    });
  }

  async releasePool(id: string, waits: IpamWaits | undefined): Promise<void> {
    const key = this.#parse(id);
    await this.change(waits, async () => {
      if (this.members && !this.#find(key)) await this.refresh();
      const found = this.#find(key);
      if (!found) throw unknownPool(id);
      await this.drop(found);
    });
  }

  async requestAddress(request: AddressRequest): Promise<string> {
    const { pool, range } = await this.#current(request.poolId);
    for (;;) {
      const label = await this.label();
      const address = await pool.request(range, request, label);
      const now = await this.label();
      // Where the lease was lost meanwhile, the address must come under the new label before others free it.
      if (now === label || (await pool.ledger.relabel(pool.ordinalOf(address), label, now))) return address;
    }
  }

  /** Frees an address of ours, or of a controller that is gone; with `holder`, only if that is who holds it. */
  async releaseAddress(
    poolId: string,
    address: string,
    holder: string | undefined,
    ofHost?: string,
  ): Promise<void> {
    const { pool } = await this.#current(poolId);
    const ordinal = pool.ordinalOf(address);
    const owner = await pool.ledger.holderOf(ordinal);
    const known = pool.holderOf(ordinal);
    if (owner === undefined || (holder !== undefined && known !== undefined && known !== holder)) return;
    const isOfGone = ofHost !== undefined && nameOf(owner) === ofHost;
    if (isOfGone || (await this.mayRelease(owner))) await pool.release(ordinal, owner);
  }

  /** Whether what is held under a label is this controller's, or nobody's any more. */
  async mayRelease(label: string): Promise<boolean> {
    if (!this.members || (await this.members.isMine(label))) return true;
    return (await this.members.gone(new Set([label]))).has(label);
  }

  async usage(poolId: string): Promise<PoolUsage> {
    const { pool, range } = await this.#current(poolId);
    await pool.ledger.refresh();
    return pool.usage(range);
  }

  /** The name under which this controller holds addresses. */
  async label(): Promise<string> {
    return this.members ? this.members.label() : ALONE;
  }

  /** Every pool, IPv4 first, in the order of their addresses. */
  *pools(): Generator<AddressPool> {
    yield* this.#trees.ipv4;
    yield* this.#trees.ipv6;
  }

  /** Runs a change of the set of pools after those before it; again, on fresh data, when others changed it too. */
  async change<T>(waits: IpamWaits | undefined, act: () => Promise<T>): Promise<T> {
    await this.#load();
    return this.#queue.run(async () => {
      for (let conflicts = 0; ; conflicts++) {
        throwIfAborted(waits?.signal);
        try {
          return await act();
        } catch (error) {
          if (!this.members || !LibnetworkError.is(error, 'CONFLICT') || conflicts === MAX_CONFLICTS)
            throw error;
        }
        await this.refresh();
      }
    });
  }

  /** Adds a subnet, or a range of one. Only within `change`. @throws FORBIDDEN when it overlaps a pool */
  async add(
    subnet: Prefix,
    range: Prefix | undefined,
    request: Pick<PoolRequest, 'options' | 'holder'>,
  ): Promise<AllocatedPool> {
    const tree = this.#trees[subnet.family];
    const there = tree.get(subnet);
    if (there && !there.has(range)) return this.#addTo(there, range);
    const overlapping = there ?? tree.overlapping(subnet);
    if (overlapping) throw this.#overlap(range ?? subnet, overlapping);
    return this.#addNew(subnet, range, request);
  }

  /** Takes a subnet as a whole, or a range of it, away; the pool goes with the last of them. Only within `change`. */
  async drop({ pool, range }: Found): Promise<void> {
    pool.mark(range, false);
    const last = pool.isEmpty;
    try {
      await this.#write(pool);
    } catch (error) {
      pool.mark(range, true);
      throw error;
    }
    if (last) this.#trees[pool.prefix.family].delete(pool.prefix);
  }

  /**
   * Brings the store in line with a pool. The answer of a write may be lost although it is done: what the store has
   * counts, or what is written to the pool later would go with a pool that nobody knows of, or overlap it.
   */
  async #write(pool: AddressPool): Promise<void> {
    try {
      if (pool.isEmpty) await this.#store?.remove(pool);
      else await this.#store?.save(pool);
    } catch (error) {
      if (LibnetworkError.is(error, 'CONFLICT') || !(await this.#isWritten(pool))) throw error;
    }
  }

  async #isWritten(pool: AddressPool): Promise<boolean> {
    try {
      const stored = await this.#store?.loadPool(pool.prefix);
      if (stored === undefined) return pool.isEmpty;
      const ranges = new Set(stored.ranges.map(formatPrefix));
      const same = [...pool.ranges.keys()].every((range) => ranges.has(range));
      if (stored.whole !== pool.whole || ranges.size !== pool.ranges.size || !same) return false;
      pool.version = stored.version;
      return true;
    } catch (error) {
      // The store can't be asked either: the caller hears of the first failure.
      if (!LibnetworkError.is(error)) throw error;
      return false;
    }
  }

  /** Reads the pools and their pages again. Only within `change`. */
  async refresh(): Promise<void> {
    if (!this.#store) return;
    const stored = await this.#store.load();
    const there = new Set(stored.map(({ prefix }) => formatPrefix(prefix)));
    for (const pool of [...this.pools()])
      if (!there.has(pool.subnet)) this.#trees[pool.prefix.family].delete(pool.prefix);
    for (const record of inOrderOfUse(stored)) {
      const tree = this.#trees[record.prefix.family];
      // Of pools that overlap, one was stored for somebody who never heard of it: records bring back the other.
      if (!this.members && !tree.get(record.prefix) && tree.overlapping(record.prefix))
        await this.#store.discard(record);
      else await this.#store.setAside(this.#takeOver(record));
    }
  }

  async #refreshPool(prefix: Prefix): Promise<void> {
    const stored = await this.#store?.loadPool(prefix);
    const tree = this.#trees[prefix.family];
    if (!stored) tree.delete(prefix);
    // A pool that overlaps others as remembered here means that those are gone.
    else if (!tree.get(prefix) && tree.overlapping(prefix)) await this.refresh();
    else await this.#store?.setAside(this.#takeOver(stored));
  }

  /** Frees what controllers hold in a pool whose leases are gone. */
  async sweep(pool: AddressPool): Promise<void> {
    if (!this.members) return;
    const held = [...pool.ledger.held()];
    const gone = await this.members.gone(new Set(held.map(({ owner }) => owner)));
    const lost = held.filter(({ owner }) => gone.has(owner));
    await Promise.all(lost.map(({ ordinal, owner }) => pool.release(ordinal, owner)));
  }

  /** The pool of a subnet, whether it was asked for as a whole or not. */
  poolOf(subnet: Prefix): AddressPool | undefined {
    return this.#trees[subnet.family].get(subnet);
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
    return this.#addNew(found, undefined, request);
  }

  async #addNew(
    prefix: Prefix,
    range: Prefix | undefined,
    request: Pick<PoolRequest, 'options' | 'holder'>,
  ): Promise<AllocatedPool> {
    const owner = this.members && (await this.#options.identity());
    const pool = this.#makePool(prefix, poolOptions(request.options), request.holder, owner);
    const tree = this.#trees[prefix.family];
    tree.insert(prefix, pool);
    try {
      // Pages may be there before the pool: of a controller that did not know yet that an earlier one is gone.
      await pool.ledger.refresh();
      return await this.#addTo(pool, range);
    } catch (error) {
      tree.delete(prefix);
      throw error;
    }
  }

  async #addTo(pool: AddressPool, range: Prefix | undefined): Promise<AllocatedPool> {
    pool.mark(range, true);
    try {
      await this.#write(pool);
    } catch (error) {
      pool.mark(range, false);
      throw error;
    }
    const id = formatPoolId({ space: this.name, subnet: pool.prefix, range });
    return { id, subnet: pool.subnet, meta: {} };
  }

  #makePool(
    prefix: Prefix,
    options: AddressPool['options'],
    holder: string | undefined,
    owner: string | undefined,
  ): AddressPool {
    const { store, reuseDelayMs, clock } = this.#options;
    const pagesPrefix = this.#store?.pagesPrefix(prefix) ?? '';
    const pool: AddressPool = new AddressPool({
      prefix,
      options,
      holder,
      owner,
      store,
      pagesPrefix,
      reuseDelayMs,
      clock,
      onExhausted: () => this.sweep(pool),
    });
    return pool;
  }

  /** Takes a pool over from the store, a new one or one that may have changed; answers its damaged pages. */
  #takeOver({ prefix, version, whole, ranges, options, holder, owner, pages }: StoredPool): Entry[] {
    const tree = this.#trees[prefix.family];
    let pool = tree.get(prefix);
    if (pool === undefined) {
      pool = this.#makePool(prefix, options, holder, owner);
      tree.insert(prefix, pool);
    } else pool.configure(options, holder);
    pool.version = version;
    pool.whole = whole;
    pool.ranges.clear();
    for (const range of ranges) pool.ranges.set(formatPrefix(range), range);
    return pool.ledger.load(pages);
  }

  /** What a pool id leads to now. @throws NOT_FOUND */
  async #current(id: string): Promise<Found> {
    const key = this.#parse(id);
    await this.#load();
    let found = this.#find(key);
    // Another controller may have made the pool, deleted it, or made it anew with other options.
    if (this.members && !(found && (await this.#store?.isCurrent(found.pool)))) {
      await this.change(undefined, () => this.#refreshPool(key.subnet));
      found = this.#find(key);
    }
    if (found) return found;
    throw unknownPool(id);
  }

  #find({ subnet, range }: PoolKey): Found | undefined {
    const pool = this.#trees[subnet.family].get(subnet);
    return pool?.has(range) ? { pool, range } : undefined;
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
    this.#loaded ??= this.refresh().catch((error: unknown) => {
      // The next call tries again.
      this.#loaded = undefined;
      throw error;
    });
    return this.#loaded;
  }

  /** Puts what this controller held in an earlier life under its new label. */
  async #relabel(label: string, isMine: (label: string) => boolean): Promise<void> {
    await this.#load();
    for (const pool of [...this.pools()]) {
      const mine = [...pool.ledger.held()].filter(({ owner }) => isMine(owner));
      await Promise.all(mine.map(({ ordinal, owner }) => pool.ledger.relabel(ordinal, owner, label)));
    }
  }
}

/** Pools that addresses were given from come first. */
function inOrderOfUse(pools: readonly StoredPool[]): readonly StoredPool[] {
  return [...pools].sort((a, b) => Number(b.pages.length > 0) - Number(a.pages.length > 0));
}

function unknownPool(id: string): LibnetworkError {
  return new LibnetworkError('NOT_FOUND', `unknown address pool ${JSON.stringify(id)}`, {
    field: 'poolId',
    value: id,
  });
}
