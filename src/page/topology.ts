/** What the page is told: `GET /dnet/v1/topology` and the events. Types alone, so that both sides may see them. */

export interface Topology {
  readonly host: HostPlace;
  /** In the order in which they were made. */
  readonly networks: readonly NetworkPlace[];
  readonly sandboxes: readonly SandboxPlace[];
  readonly endpoints: readonly EndpointPlace[];
}

/** This host and its daemon. */
export interface HostPlace {
  readonly name: string;
  readonly version: string;
  readonly kernel: 'linux' | 'fake';
  readonly instance: string;
  readonly firewall: string;
  /** ISO 8601. */
  readonly startedAt: string;
}

/**
 * How packets leave a network for what is outside the host. `nat`: behind an address of the host; `routed`: with their
 * own; `wire`: by a link that is on the same wire; `host`: the host's own stack; `tunnel`: to the same network on
 * other hosts; `none`: they don't; `driver`: as a plugin decides.
 */
export type Way = 'nat' | 'routed' | 'wire' | 'host' | 'tunnel' | 'none' | 'driver';

export interface NetworkPlace {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly scope: 'local' | 'global';
  readonly internal: boolean;
  readonly configOnly: boolean;
  readonly pools: readonly { readonly subnet: string; readonly gateway?: string | undefined }[];
  /** The bridge, or the link that it hangs on. */
  readonly link?: string | undefined;
  /** By family; absent where the family is off. */
  readonly ways: { readonly ipv4?: Way | undefined; readonly ipv6?: Way | undefined };
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string | number | boolean>>;
  readonly createdAt: string;
}

export interface SandboxPlace {
  readonly id: string;
  readonly containerId: string;
  readonly hostname?: string | undefined;
  readonly namespacePath: string;
  /** Ids of the endpoints in it, in the order of their joins. */
  readonly endpoints: readonly string[];
}

export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** The port in the container. */
  readonly container: number;
  /** The port on the host. */
  readonly host: number;
  /** `0.0.0.0` and `::` for every address of the family. */
  readonly hostAddress: string;
}

export interface EndpointPlace {
  readonly id: string;
  readonly name: string;
  readonly networkId: string;
  readonly sandboxId?: string | undefined;
  /** The id of the host that has it; absent for this one. */
  readonly host?: string | undefined;
  /** With the prefix's length. */
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  readonly macAddress?: string | undefined;
  readonly interfaceName?: string | undefined;
  readonly aliases: readonly string[];
  readonly linkLocal: readonly string[];
  readonly ports: readonly PublishedPort[];
  readonly service?: ServicePlace | undefined;
}

/** The service that an endpoint takes connections of. */
export interface ServicePlace {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly mode: 'vip' | 'dnsrr';
  /** False: drained, it gets no new ones. */
  readonly enabled: boolean;
  /** The virtual address, with the prefix's length; none with `dnsrr`. */
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
}

/** What one container's network stack holds now: `GET /dnet/v1/sandboxes/ID/stack`. */
export interface Stack {
  /** By the interface's name in the sandbox. */
  readonly interfaces: Readonly<Record<string, Counters>>;
  readonly routes: readonly StackRoute[];
  readonly dns?: Readonly<Record<string, number>> | undefined;
}

export interface Counters {
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxErrors: number;
  readonly txErrors: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

export interface StackRoute {
  readonly family: 'ipv4' | 'ipv6';
  /** A prefix, or `default`. */
  readonly destination: string;
  readonly gateway?: string | undefined;
  readonly link?: string | undefined;
  readonly metric: number;
}

/** The way of one packet through the rules: `GET /dnet/v1/firewall/explain`. */
export interface Explained {
  readonly question: string;
  readonly verdict: 'accept' | 'drop';
  readonly destination: string;
  readonly source: string;
  readonly steps: readonly {
    readonly hook: string;
    readonly chain: string;
    readonly comment: string;
    readonly rule: string;
    readonly outcome: string;
  }[];
  readonly notes: readonly string[];
}

/** Something that happened, as `GET /dnet/v1/events` tells it. */
export interface Happening {
  readonly type: string;
  /** They sort by time. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly facts: Readonly<Record<string, string | number>>;
  readonly network?: { readonly id: string; readonly name: string; readonly driver: string } | undefined;
  readonly containerId?: string | undefined;
}
