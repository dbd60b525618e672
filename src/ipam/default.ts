import { randomUUID } from 'node:crypto';
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
import type { Ipam } from './ipam.ts';
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
  /** Where default IPv6 pools come from when none is configured: their prefix is derived of it. @default a random one */
  readonly hostId?: string | undefined;
  /** How long a released address is not given again unless nothing else is left, in milliseconds. @default 60000 */
  readonly reuseDelayMs?: number | undefined;
  /** The time in milliseconds. @default Date.now */
  readonly clock?: (() => number) | undefined;
}

export const LOCAL_SPACE = 'LocalDefault';
export const GLOBAL_SPACE = 'GlobalDefault';
export const DEFAULT_REUSE_DELAY_MS = 60_000;

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
  readonly #hostId: string;

  constructor(options: IpamOptions) {
    const { store, globalStore = store, clock = Date.now, reuseDelayMs = DEFAULT_REUSE_DELAY_MS } = options;
    if (!(reuseDelayMs >= 0)) throw invalid('reuseDelayMs', reuseDelayMs, 'must be a number of milliseconds');
    this.#hostId = options.hostId ?? randomUUID();
    const local = parseDefaultPools(options.defaultAddressPools ?? LOCAL_DEFAULT_POOLS);
    const global = parseDefaultPools(
      options.globalAddressPools ?? GLOBAL_DEFAULT_POOLS,
      'globalAddressPools',
    );
    const space = (name: string, kept: Datastore | undefined, configured: readonly Block[]) =>
      new AddressSpace({ name, store: kept, blocks: this.#blocks(configured), reuseDelayMs, clock });
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
    const { pool, range } = await this.#spaceOf(request.poolId).find(request.poolId);
    return { address: await pool.request(range, request, 'local'), data: {} };
  }

  async releaseAddress(...[poolId, address, waits]: Parameters<Ipam['releaseAddress']>): Promise<void> {
    throwIfAborted(waits?.signal);
    const { pool } = await this.#spaceOf(poolId).find(poolId);
    await pool.release(pool.ordinalOf(address));
  }

  async usage(poolId: string): ReturnType<NonNullable<Ipam['usage']>> {
    const { pool, range } = await this.#spaceOf(poolId).find(poolId);
    return pool.usage(range);
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
    return async (family) => (family === 'ipv6' && !some ? [uniqueLocalBlock(this.#hostId)] : configured);
  }
}
