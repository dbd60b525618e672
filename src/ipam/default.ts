import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import type { Datastore } from '../datastore/datastore.ts';
import { invalid, throwIfAborted } from '../errors.ts';
import type { Family } from '../ip.ts';
import {
  type Block,
  type DefaultPool,
  GLOBAL_DEFAULT_POOLS,
  LOCAL_DEFAULT_POOLS,
  parseDefaultPools,
  uniqueLocalBlock,
} from './defaultpools.ts';
import type { HeldPool, Ipam, IpamReport } from './ipam.ts';
import { ROOT } from './poolstore.ts';
import { type ReconcileOptions, reconcile } from './reconcile.ts';
import { AddressSpace } from './space.ts';

export interface IpamOptions {
  /** Where local pools and addresses are kept. Omitted: in memory. */
  readonly store?: Datastore | undefined;
  /** Where global ones are kept. Omitted: with the local ones, since then no other controller shares them. */
  readonly globalStore?: Datastore | undefined;
  /** @default Docker's 31 networks, then 4,096 /24 of 10.192.0.0/12 */
  readonly defaultAddressPools?: readonly DefaultPool[] | undefined;
  /** @default 65,536 /24 of 10.0.0.0/8 */
  readonly globalAddressPools?: readonly DefaultPool[] | undefined;
  /**
   * What tells this host from others, always the same: default IPv6 pools are derived of it, and in `globalStore`
   * addresses are held in its name. @default a random one, kept in `store`
   */
  readonly hostId?: string | undefined;
  /**
   * How long what a controller holds in `globalStore` outlives the controller, in milliseconds; then others may free
   * it. It must be longer than a controller is ever away while its sandboxes run. @default 3600000, an hour
   */
  readonly leaseMs?: number | undefined;
  /** How long a released address is not given again unless nothing else is left, in milliseconds. @default 60000 */
  readonly reuseDelayMs?: number | undefined;
  /** The time in milliseconds. @default Date.now */
  readonly clock?: (() => number) | undefined;
}

export const LOCAL_SPACE = 'LocalDefault';
export const GLOBAL_SPACE = 'GlobalDefault';
export const DEFAULT_REUSE_DELAY_MS = 60_000;
export const DEFAULT_LEASE_MS = 3_600_000;

/**
 * The built-in IPAM, `default`: two address spaces whose pools and addresses are kept in stores, page by page.
 * @throws INVALID_ARGUMENT for malformed default pools
 */
export function createIpam(options: IpamOptions = {}): Ipam {
  return new DefaultIpam(options);
}

class DefaultIpam implements Ipam {
  readonly name = 'default';
  readonly capabilities = { requiresMacAddress: false, requiresRequestReplay: true };
  readonly #spaces: ReadonlyMap<string, AddressSpace>;
  readonly #identity: () => Promise<string>;

  constructor(options: IpamOptions) {
    const { store, globalStore = store, clock = Date.now } = options;
    const { reuseDelayMs = DEFAULT_REUSE_DELAY_MS, leaseMs = DEFAULT_LEASE_MS } = options;
    if (!(reuseDelayMs >= 0)) throw invalid('reuseDelayMs', reuseDelayMs, 'must be a number of milliseconds');
    const identity = hostIdentity(options.hostId, store);
    this.#identity = identity;
    const local = parseDefaultPools(options.defaultAddressPools ?? LOCAL_DEFAULT_POOLS);
    const global = parseDefaultPools(
      options.globalAddressPools ?? GLOBAL_DEFAULT_POOLS,
      'globalAddressPools',
    );
    const space = (name: string, kept: Datastore | undefined, configured: readonly Block[]) =>
      new AddressSpace({
        name,
        store: kept,
        blocks: this.#blocks(configured),
        identity,
        leaseMs,
        reuseDelayMs,
        clock,
      });
    this.#spaces = new Map(
      [space(LOCAL_SPACE, store, local), space(GLOBAL_SPACE, globalStore, global)].map((each) => [
        each.name,
        each,
      ]),
    );
  }

  async defaultAddressSpaces(): ReturnType<Ipam['defaultAddressSpaces']> {
    return { local: LOCAL_SPACE, global: GLOBAL_SPACE };
  }

  async requestPool(...[request, waits]: Parameters<Ipam['requestPool']>): ReturnType<Ipam['requestPool']> {
    throwIfAborted(waits?.signal);
    return this.#space(request.addressSpace).requestPool(request, waits);
  }

  async releasePool(...[poolId, waits]: Parameters<Ipam['releasePool']>): Promise<void> {
    throwIfAborted(waits?.signal);
    await this.#spaceOf(poolId).releasePool(poolId, waits);
  }

  async requestAddress(
    ...[request, waits]: Parameters<Ipam['requestAddress']>
  ): ReturnType<Ipam['requestAddress']> {
    throwIfAborted(waits?.signal);
    return { address: await this.#spaceOf(request.poolId).requestAddress(request), data: {} };
  }

  async releaseAddress(...[poolId, address, waits]: Parameters<Ipam['releaseAddress']>): Promise<void> {
    throwIfAborted(waits?.signal);
    await this.#spaceOf(poolId).releaseAddress(poolId, address, waits?.holder, waits?.ofHost);
  }

  async usage(
    ...[poolId, waits]: Parameters<NonNullable<Ipam['usage']>>
  ): ReturnType<NonNullable<Ipam['usage']>> {
    throwIfAborted(waits?.signal);
    return this.#spaceOf(poolId).usage(poolId);
  }

  async reconcile(held: readonly HeldPool[], options: ReconcileOptions = {}): Promise<IpamReport> {
    throwIfAborted(options.signal);
    const bySpace = new Map([...this.#spaces.values()].map((space) => [space, [] as HeldPool[]]));
    for (const each of held) bySpace.get(this.#spaceOf(each.pool.id))?.push(each);
    const missing: string[] = [];
    const orphaned: string[] = [];
    for (const [space, pools] of bySpace) {
      const report = await reconcile(space, pools, options);
      missing.push(...report.missing);
      orphaned.push(...report.orphaned);
    }
    return { missing, orphaned };
  }

  #space(name: string): AddressSpace {
    const space = this.#spaces.get(name);
    if (space) return space;
    throw invalid('addressSpace', name, `must be one of ${[...this.#spaces.keys()].join(', ')}`);
  }

  #spaceOf(poolId: string): AddressSpace {
    return this.#space(poolId.split('/')[0] ?? '');
  }

  #blocks(configured: readonly Block[]): (family: Family) => Promise<readonly Block[]> {
    const some = configured.some(({ base }) => base.family === 'ipv6');
    return async (family) =>
      family === 'ipv6' && !some ? [uniqueLocalBlock(await this.#identity())] : configured;
  }
}

const identityRecord = v.object({ v: v.literal(1), id: v.string() });

/** The host's id: as given, or the one in the store, or a new random one that is kept there. */
export function hostIdentity(given: string | undefined, store: Datastore | undefined): () => Promise<string> {
  const find = async (): Promise<string> => {
    if (given !== undefined) return given;
    const key = `${ROOT}/host`;
    const stored = v.safeParse(identityRecord, (await store?.get(key))?.value);
    if (stored.success) return stored.output.id;
    const id = randomUUID();
    await store?.put(key, { v: 1, id });
    return id;
  };
  let identity: Promise<string> | undefined;
  return () => {
    identity ??= find().catch((error: unknown) => {
      identity = undefined;
      throw error;
    });
    return identity;
  };
}
