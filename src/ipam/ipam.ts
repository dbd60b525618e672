/** The IPAM contract: address pools and addresses. Built in: `default` and `null`; others by plugin. */
import type { Family } from '../ip.ts';

export interface IpamWaits {
  readonly signal?: AbortSignal | undefined;
}

export interface IpamCapabilities {
  /** Addresses depend on the MAC address: the core makes one up first and passes it as an option. */
  readonly requiresMacAddress: boolean;
  /** Pools and addresses of local networks are asked for again at start, since the driver keeps no state. */
  readonly requiresRequestReplay: boolean;
}

export interface PoolRequest {
  readonly addressSpace: string;
  readonly family: Family;
  /** `10.9.0.0/24`; omitted: the next free default pool. */
  readonly subnet?: string | undefined;
  /** A prefix inside `subnet` that dynamic addresses come from. */
  readonly ipRange?: string | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
  /** What a default pool must not overlap: the host's routes and name servers, each with its reason. */
  readonly exclude?: readonly Excluded[] | undefined;
  /** Who it is for, for errors about overlaps: `network front`. */
  readonly holder?: string | undefined;
}

export interface Excluded {
  readonly prefix: string;
  /** `route 10.0.0.0/8 via eth0`, `name server 10.0.0.2`, `network front`. */
  readonly reason: string;
}

export interface AllocatedPool {
  /** Names the pool in later calls: `LocalDefault/10.9.0.0/24` or, with a range, `LocalDefault/10.0.0.0/8/10.10.0.0/16`. */
  readonly id: string;
  /** The whole subnet, also where addresses come from a range of it. */
  readonly subnet: string;
  /** What the driver says beside; `com.docker.network.gateway` names a gateway in CIDR form. */
  readonly meta: Readonly<Record<string, string>>;
}

export interface AddressRequest {
  readonly poolId: string;
  /** A certain address; omitted: any free one of the range. */
  readonly address?: string | undefined;
  /** Who will hold it, for 'in use' errors: `endpoint web`, `gateway of front`. */
  readonly holder?: string | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
}

export interface AllocatedAddress {
  /** In CIDR form, with the length of the pool's whole subnet. */
  readonly address: string;
  readonly data: Readonly<Record<string, string>>;
}

export interface PoolUsage {
  /** Addresses that can be given out in all: the range, less network and broadcast address. */
  readonly capacity: bigint;
  readonly used: bigint;
  /** Given to gateways and auxiliary addresses, and edges that are never given. */
  readonly reserved: bigint;
}

export interface Ipam {
  readonly name: string;
  readonly capabilities: IpamCapabilities;
  defaultAddressSpaces(options?: IpamWaits): Promise<{ readonly local: string; readonly global: string }>;
  /**
   * @throws INVALID_ARGUMENT unknown address space or malformed pool; FORBIDDEN overlapping pool, naming it;
   * UNAVAILABLE no default pool is left: the message lists each candidate with what excluded it
   */
  requestPool(request: PoolRequest, options?: IpamWaits): Promise<AllocatedPool>;
  /** @throws NOT_FOUND unknown pool */
  releasePool(poolId: string, options?: IpamWaits): Promise<void>;
  /**
   * @throws NOT_FOUND unknown pool; INVALID_ARGUMENT address outside the pool; FORBIDDEN address in use, with
   * its `holder`; UNAVAILABLE no address is free
   */
  requestAddress(request: AddressRequest, options?: IpamWaits): Promise<AllocatedAddress>;
  /**
   * An address that is not taken: nothing happens. With `holder`, the same when someone else is known to hold it: a
   * release that is tried again must not free what another has got meanwhile. @throws NOT_FOUND unknown pool
   */
  releaseAddress(
    poolId: string,
    address: string,
    options?: IpamWaits & {
      readonly holder?: string | undefined;
      /** The id of a host that is known to be gone: what it holds is released, too. */
      readonly ofHost?: string | undefined;
    },
  ): Promise<void>;
  /** Usage of a pool. Absent where the driver can't tell. */
  usage?(poolId: string, options?: IpamWaits): Promise<PoolUsage>;
  /**
   * Compares the allocator's state with what the records say is held and repairs it: what is held is taken,
   * what nobody holds is released. Absent where the driver keeps no state of its own.
   */
  reconcile?(
    held: readonly HeldPool[],
    options?: IpamWaits & { readonly dryRun?: boolean },
  ): Promise<IpamReport>;
}

/** A pool that a record names, with every address that records of this controller name in it. */
export interface HeldPool {
  readonly pool: AllocatedPool;
  readonly addressSpace: string;
  readonly ipRange?: string | undefined;
  /** Who it is for, as in its request. */
  readonly holder?: string | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
  readonly addresses: readonly HeldAddress[];
}

export interface HeldAddress {
  /** Plain, or in CIDR form. */
  readonly address: string;
  readonly holder: string;
  /** A gateway or an auxiliary address, which usage counts as reserved. Default false. */
  readonly reserved?: boolean | undefined;
  /** As in its request. */
  readonly options?: Readonly<Record<string, string>> | undefined;
  /** Every host that shares the pool names it: whichever of them holds it, it is held. Default false. */
  readonly shared?: boolean | undefined;
}

export interface IpamReport {
  /** Held by a record, not taken in the allocator: `10.9.0.5 of LocalDefault/10.9.0.0/24 (endpoint web)`. */
  readonly missing: readonly string[];
  /** Taken in the allocator, held by nobody. */
  readonly orphaned: readonly string[];
}
