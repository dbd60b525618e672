import type * as v from 'valibot';
import type { Logger } from '../../driverapi/driver.ts';
import { LibnetworkError, throwIfAborted } from '../../errors.ts';
import { formatCidr, formatPrefix, overlaps, parseCidr, parsePrefix } from '../../ip.ts';
import { PluginRefusal } from '../../plugin/failure.ts';
import { brief } from '../../plugin/json.ts';
import { nothing } from '../../plugin/messages/common.ts';
import * as messages from '../../plugin/messages/ipam.ts';
import type { Plugins } from '../../plugin/plugins.ts';
import { silent } from '../../plugin/silent.ts';
import type {
  AddressRequest,
  AllocatedAddress,
  AllocatedPool,
  HeldPool,
  Ipam,
  IpamCapabilities,
  IpamReport,
  IpamWaits,
  PoolRequest,
} from '../ipam.ts';
import { MAC_ADDRESS } from '../options.ts';
import { Replay } from './replay.ts';

export interface RemoteIpamOptions {
  readonly plugins: Plugins;
  /** @default silent */
  readonly logger?: Logger | undefined;
  /**
   * A plugin that refuses to release is not asked again: that is logged, and counts as done, as with Docker.
   * Otherwise the refusal is thrown. @default true
   */
  readonly forgiving?: boolean | undefined;
}

/** How many pools of the plugin's choosing may overlap what they must not, before it is given up. */
const MAX_ASIDE = 64;

/** What the core says of an address for the built-in IPAM alone. */
const ENDPOINT_NAME = 'com.docker.network.endpoint.name';

/** An IPAM behind the plugin of that name, which need not be there yet. */
export function remoteIpam(name: string, options: RemoteIpamOptions): RemoteIpam {
  return new RemoteIpam(name, options);
}

export class RemoteIpam implements Ipam {
  readonly name: string;
  readonly #plugins: Plugins;
  readonly #logger: Logger;
  readonly #forgiving: boolean;
  readonly #replay: Replay;
  #capabilities: IpamCapabilities = { requiresMacAddress: false, requiresRequestReplay: false };

  constructor(name: string, { plugins, logger = silent, forgiving = true }: RemoteIpamOptions) {
    this.name = name;
    this.#plugins = plugins;
    this.#logger = logger;
    this.#forgiving = forgiving;
    this.#replay = new Replay(name, logger, {
      requestPool: (request) => this.#requestPool(request, {}),
      requestAddress: (request) => this.#requestAddress(request, {}),
    });
  }

  /** What the plugin said it needs; before it was asked, nothing. */
  get capabilities(): IpamCapabilities {
    return this.#capabilities;
  }

  /** Makes sure that the plugin is there, and learns what it needs. @throws NOT_FOUND where there is none */
  async ready(waits: IpamWaits = {}): Promise<void> {
    const { spaces, ...said } = await this.#plugins.capabilities(this.name, 'IpamDriver', waits);
    this.#capabilities = {
      requiresMacAddress: said.RequiresMACAddress,
      requiresRequestReplay: said.RequiresRequestReplay,
    };
    if (said.RequiresRequestReplay) await this.#replay.run(spaces);
    else this.#replay.drop();
  }

  async defaultAddressSpaces(
    waits?: IpamWaits,
  ): Promise<{ readonly local: string; readonly global: string }> {
    await this.#settle(waits);
    const { spaces } = await this.#plugins.capabilities(this.name, 'IpamDriver', waits);
    return { local: spaces.LocalDefaultAddressSpace, global: spaces.GlobalDefaultAddressSpace };
  }

  /** What was recorded before the plugin was seen is asked for again first, where it wants that. */
  async #settle(waits: IpamWaits | undefined): Promise<void> {
    throwIfAborted(waits?.signal);
    if (!this.#replay.pending) return;
    try {
      await this.ready(waits);
    } catch (error) {
      if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
      throw new LibnetworkError('UNAVAILABLE', error.message, { cause: error });
    }
  }

  /** A pool of the plugin's choosing that overlaps what it must not is kept until another one is found. */
  async requestPool(request: PoolRequest, waits: IpamWaits = {}): Promise<AllocatedPool> {
    await this.#settle(waits);
    const aside: AllocatedPool[] = [];
    try {
      for (;;) {
        const pool = await this.#requestPool(request, waits);
        const reason = request.subnet === undefined ? excluded(pool, request) : undefined;
        if (reason === undefined) return pool;
        aside.push(pool);
        if (aside.length < MAX_ASIDE) continue;
        const tried = aside.map(({ subnet }) => subnet).join(', ');
        throw new LibnetworkError(
          'UNAVAILABLE',
          `plugin ${this.name} offers only pools that overlap others: ${tried}; the last one ${reason}`,
          { limit: `${MAX_ASIDE} pools` },
        );
      }
    } finally {
      for (const pool of aside) await this.#forgive(true, () => this.#release(pool.id));
    }
  }

  async #requestPool(
    { addressSpace, family, subnet = '', ipRange = '', options = {} }: PoolRequest,
    waits: IpamWaits,
  ): Promise<AllocatedPool> {
    const args = {
      AddressSpace: addressSpace,
      Pool: subnet,
      SubPool: ipRange,
      Options: options,
      V6: family === 'ipv6',
    };
    const { PoolID, Pool, Data } = await this.#call('RequestPool', args, messages.pool, waits);
    const prefix = parseCidr(Pool)?.prefix;
    if (prefix?.family !== family) throw unusable('Pool', Pool);
    return { id: PoolID, subnet: formatPrefix(prefix), meta: Data };
  }

  async releasePool(poolId: string, waits: IpamWaits = {}): Promise<void> {
    await this.#settleRelease(poolId, undefined, waits);
    await this.#forgive(this.#forgiving, () => this.#release(poolId, waits));
  }

  #release(poolId: string, waits?: IpamWaits): Promise<unknown> {
    return this.#call('ReleasePool', { PoolID: poolId }, nothing, waits);
  }

  async requestAddress(request: AddressRequest, waits: IpamWaits = {}): Promise<AllocatedAddress> {
    await this.#settle(waits);
    return this.#requestAddress(request, waits);
  }

  async #requestAddress(
    { poolId, address = '', options = {} }: AddressRequest,
    waits: IpamWaits,
  ): Promise<AllocatedAddress> {
    const args = { PoolID: poolId, Address: address, Options: this.#told(options) };
    const { Address, Data } = await this.#call('RequestAddress', args, messages.address, waits);
    if (Address === '')
      throw new LibnetworkError('UNAVAILABLE', `plugin ${this.name} returned no address`, { value: '' });
    const parsed = parseCidr(Address);
    if (parsed === undefined) throw unusable('Address', Address);
    return { address: formatCidr(parsed), data: Data };
  }

  /** Docker's options in Docker's form: none is `null`, and a MAC address only where it was asked for. */
  #told(options: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null {
    const { requiresMacAddress } = this.#capabilities;
    const told = Object.entries(options).filter(
      ([key]) => key !== ENDPOINT_NAME && (key !== MAC_ADDRESS || requiresMacAddress),
    );
    return told.length === 0 ? null : Object.fromEntries(told);
  }

  async releaseAddress(poolId: string, address: string, waits: IpamWaits = {}): Promise<void> {
    await this.#settleRelease(poolId, address, waits);
    const args = { PoolID: poolId, Address: address };
    await this.#forgive(this.#forgiving, () => this.#call('ReleaseAddress', args, nothing, waits));
  }

  /** What is released while the plugin is away must not be asked for again when it comes back. */
  async #settleRelease(poolId: string, address: string | undefined, waits: IpamWaits): Promise<void> {
    try {
      await this.#settle(waits);
    } catch (error) {
      this.#replay.forget(poolId, address);
      throw error;
    }
  }

  /** Notes what records hold, to be asked for again where the plugin wants it. Once in a process, as with Docker. */
  async reconcile(
    held: readonly HeldPool[],
    { dryRun = false }: IpamWaits & { readonly dryRun?: boolean } = {},
  ): Promise<IpamReport> {
    if (!dryRun && this.#replay.note(held)) {
      try {
        await this.#settle({});
      } catch (error) {
        // A plugin that is gone must not keep the others: it is asked when it is back.
        this.#logger.warn(`IPAM plugin ${this.name} can't be asked for what it held`, { error });
      }
    }
    return { missing: [], orphaned: [] };
  }

  #call<S extends v.GenericSchema>(
    method: keyof typeof messages.requests,
    args: object,
    answer: S,
    waits?: IpamWaits,
  ): Promise<v.InferOutput<S>> {
    return this.#plugins.call(this.name, `IpamDriver.${method}`, args, answer, waits);
  }

  async #forgive(forgiving: boolean, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!forgiving || !(error instanceof PluginRefusal)) throw error;
      this.#logger.warn(`plugin ${this.name} would not: ${error.message}; going on without it`, { error });
    }
  }
}

/** Why a pool can't be used; `undefined` when it can. */
function excluded(pool: AllocatedPool, { exclude = [] }: PoolRequest): string | undefined {
  const prefix = parsePrefix(pool.subnet);
  // A pool that holds everything is no choice of a subnet.
  if (prefix === undefined || prefix.length === 0) return undefined;
  const overlapped = exclude.find((each) => {
    const other = parsePrefix(each.prefix);
    return other !== undefined && overlaps(prefix, other);
  });
  return overlapped && `overlaps ${overlapped.prefix} (${overlapped.reason})`;
}

function unusable(field: string, value: string): LibnetworkError {
  return new LibnetworkError('INTERNAL', `the plugin answered with an unusable ${field}: ${brief(value)}`, {
    field,
    value: brief(value),
  });
}
