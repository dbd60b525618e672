import type { Logger } from '../../driverapi/driver.ts';
import { familyOf } from '../../ip.ts';
import type { AddressRequest, AllocatedPool, HeldPool, PoolRequest } from '../ipam.ts';

interface Requests {
  requestPool(request: PoolRequest): Promise<AllocatedPool>;
  requestAddress(request: AddressRequest): Promise<unknown>;
}

/**
 * What an earlier process was given, asked for again of a plugin that keeps no state: pools by their subnets, then
 * gateways and all other addresses. Done once; what the plugin refuses is logged.
 */
export class Replay {
  readonly #name: string;
  readonly #logger: Logger;
  readonly #requests: Requests;
  #held: readonly HeldPool[] | undefined;
  #noted = false;
  #running: Promise<void> | undefined;

  constructor(name: string, logger: Logger, requests: Requests) {
    this.#name = name;
    this.#logger = logger;
    this.#requests = requests;
  }

  /** True while something is to be asked for or is being asked for, or it is not known whether the plugin wants it. */
  get pending(): boolean {
    return this.#held !== undefined || this.#running !== undefined;
  }

  /** Takes up what records hold at start; false when that was done already, or is nothing. */
  note(held: readonly HeldPool[]): boolean {
    if (this.#noted) return false;
    this.#noted = true;
    if (held.length > 0) this.#held = held;
    return held.length > 0;
  }

  drop(): void {
    this.#held = undefined;
  }

  /** Takes out what is held no more: an address, or a pool with all that is in it. */
  forget(poolId: string, address: string | undefined): void {
    const held = this.#held?.filter(({ pool }) => address !== undefined || pool.id !== poolId);
    this.#held = held?.map((each) =>
      each.pool.id !== poolId
        ? each
        : { ...each, addresses: each.addresses.filter((other) => other.address !== address) },
    );
  }

  /** Asks for everything, whoever waits for it. Networks of other hosts have their addresses from elsewhere. */
  run(spaces: {
    readonly LocalDefaultAddressSpace: string;
    readonly GlobalDefaultAddressSpace: string;
  }): Promise<void> {
    const held = this.#held ?? [];
    const isGlobal = (space: string) =>
      space === spaces.GlobalDefaultAddressSpace && space !== spaces.LocalDefaultAddressSpace;
    this.#running ??= this.#ask(held.filter(({ addressSpace }) => !isGlobal(addressSpace))).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #ask(held: readonly HeldPool[]): Promise<void> {
    this.#held = undefined;
    for (const each of held) await this.#askForPool(each);
  }

  async #askForPool({ pool, addressSpace, ipRange, options, addresses }: HeldPool): Promise<void> {
    const family = familyOf(pool.subnet.split('/')[0] ?? '') ?? 'ipv4';
    try {
      const got = await this.#requests.requestPool({
        addressSpace,
        family,
        subnet: pool.subnet,
        ipRange,
        options,
      });
      if (got.id !== pool.id)
        this.#logger.warn(
          `plugin ${this.#name} calls pool ${pool.id} ${got.id} now; records keep the former`,
        );
    } catch (error) {
      this.#logger.warn(`plugin ${this.#name} does not give pool ${pool.subnet} again`, { error });
      return;
    }
    for (const { address, holder, options: asked } of addresses) {
      try {
        await this.#requests.requestAddress({ poolId: pool.id, address, options: asked });
      } catch (error) {
        this.#logger.warn(`plugin ${this.#name} does not give ${address} to ${holder} again`, { error });
      }
    }
  }
}
