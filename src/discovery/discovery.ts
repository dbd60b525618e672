/**
 * The discovery contract: which hosts the cluster has, which of them live, and how this one tells of itself.
 * `storeDiscovery()` keeps it on a store's leases, `staticDiscovery()` is a fixed list.
 */

/** A host of the cluster. */
export interface Host {
  /** Unique in the cluster, and the same after a restart. */
  readonly id: string;
  /** The address at which the other hosts reach it: `10.0.0.1` or `2001:db8::1`. */
  readonly address: string;
  /** What else the others should know of it, such as where its API listens. */
  readonly data?: Readonly<Record<string, string>> | undefined;
}

/** A host whose address or data change leaves as the old one and joins as the new one. `self` is the own host. */
export type HostEvent = {
  readonly type: 'join' | 'leave';
  readonly host: Host;
  readonly self: boolean;
};

export interface DiscoveryWaits {
  readonly signal?: AbortSignal | undefined;
}

export interface Discovery {
  /** The hosts that live, by id. @throws UNAVAILABLE when that can't be asked */
  hosts(options?: DiscoveryWaits): Promise<readonly Host[]>;
  /**
   * First a `join` for every host that lives, then what changes, until the signal fires or `close`. While the store
   * is away it tells nothing, and after that the differences.
   */
  watch(options?: DiscoveryWaits): AsyncIterable<HostEvent>;
  /**
   * Tells the others of this host until `withdraw` or `close`, also again after the store was away.
   * @throws CONFLICT naming the address when another host has this id, UNAVAILABLE, INVALID_ARGUMENT
   */
  advertise(host: Host, options?: DiscoveryWaits): Promise<Advertisement>;
  /** Withdraws what is advertised and ends every watch. */
  close(): Promise<void>;
}

export interface Advertisement {
  readonly host: Host;
  /** False while the others may count this host as gone. */
  readonly live: boolean;
  /** The others learn at once that this host has left. Twice is fine. */
  withdraw(): Promise<void>;
}
