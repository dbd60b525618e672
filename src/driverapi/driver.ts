/**
 * The driver contract. A driver turns networks and endpoints, given as plain data, into kernel objects. The core
 * keeps all records: a driver keeps only what it can rebuild from `restore`. Every call may be repeated after a
 * crash: creating what exists with the same id, or deleting what is gone, is no failure.
 */
import type { EndpointId, NetworkId } from '../ids.ts';
import type { Firewall } from '../osl/firewall/firewall.ts';
import type { Namespace, Osl, Protocol } from '../osl/osl.ts';
import type { Keyring } from './keyring.ts';

export type Scope = 'local' | 'global';

export interface DriverWaits {
  readonly signal?: AbortSignal | undefined;
}

/** What a driver is given to work with. */
export interface DriverHost {
  readonly osl: Osl;
  /** The host's firewall, shared by all drivers of one controller. */
  readonly firewall: Firewall;
  /** The controller's instance, part of every stamp. */
  readonly instance: string;
  /** A directory for what must be found again by path, such as namespaces: each driver makes a folder of its own. */
  readonly runDir: string;
  /** Where other hosts reach this one; undefined where that is not known. */
  readonly address?: string | undefined;
  /** Numbers that no two holders get, on any host: VXLAN network identifiers. Kept in the store that hosts share. */
  readonly numbers: (options: NumberRange) => Numbers;
  /** Secrets that hosts share, to encrypt what passes between them; undefined without a store that hosts share. */
  readonly keyring?: Keyring | undefined;
  readonly logger: Logger;
}

export interface NumberRange {
  readonly name: string;
  /** The first and the last number, both included. */
  readonly start: number;
  readonly end: number;
}

/** See `Idm` of `libnetwork/ipam`. */
export interface Numbers {
  /** @throws FORBIDDEN a number in use, naming its `holder`; UNAVAILABLE when none is free */
  request(request?: {
    readonly id?: number | undefined;
    readonly from?: number | undefined;
    readonly to?: number | undefined;
    readonly serial?: boolean | undefined;
    readonly holder?: string | undefined;
  }): Promise<number>;
  release(id: number): Promise<boolean>;
  held(): Promise<readonly { readonly id: number; readonly holder: string }[]>;
}

export type DriverFactory = (host: DriverHost) => Driver | Promise<Driver>;

export interface Logger {
  debug(message: string, facts?: object): void;
  info(message: string, facts?: object): void;
  warn(message: string, facts?: object): void;
  error(message: string, facts?: object): void;
}

export interface DriverCapability {
  /** Where the network's records live. */
  readonly dataScope: Scope;
  /** How far its endpoints reach each other. */
  readonly connectivityScope: Scope;
  /** The core asks IPAM for pools and addresses; false for `host` and `null`. */
  readonly usesIpam: boolean;
  /** Sandboxes joined here get the embedded DNS server. */
  readonly resolvesNames: boolean;
  /**
   * `publish` is called also for endpoints without ports, when they become their sandbox's gateway or are it no more.
   * Default: false.
   */
  readonly followsGateway?: boolean | undefined;
  /** Its networks may have no address family at all: their endpoints are links alone. @default false */
  readonly addressless?: boolean | undefined;
  /** It holds the members of a network to its `policy`. @default false */
  readonly enforcesPolicy?: boolean | undefined;
}

/** Option values after parsing at the edge: labels are strings, flags and numbers may be given as such. */
export type DriverOptions = Readonly<Record<string, string | number | boolean>>;

export interface DriverNetwork {
  readonly id: NetworkId;
  readonly name: string;
  readonly internal: boolean;
  readonly ipv4: readonly DriverPool[];
  readonly ipv6: readonly DriverPool[];
  /** Keys as Docker's: `com.docker.network.bridge.name`. */
  readonly options: DriverOptions;
  /** IPAM's name for where the pools are from. */
  readonly addressSpace?: string | undefined;
  /** Who may talk to whom; none where there is none. Selectors that are lists have at least one element. */
  readonly policy?: readonly PolicyRule[] | undefined;
}

/**
 * One rule of a network's policy. The first rule that fits a new connection decides it; where none fits it passes,
 * as it does without a policy. A policy never opens what the network's protection keeps shut, and established
 * connections go on.
 */
export interface PolicyRule {
  /** Who begins. @default everybody */
  readonly from?: PolicySelector | readonly PolicySelector[] | undefined;
  /** With whom. @default everybody */
  readonly to?: PolicySelector | readonly PolicySelector[] | undefined;
  /** By what. @default everything */
  readonly ports?: readonly PolicyPort[] | undefined;
  readonly action: 'allow' | 'deny';
}

/**
 * One end of a connection: an address or a subnet (`10.9.0.5`, `10.0.0.0/8`, `fd00::/8`); `outside`: everybody but the
 * endpoints of the network, the host among them; `host`: the host itself; endpoints of the network that have all the
 * labels given, or that name; or, only in `to`, the addresses outside that names stand for when a sandbox asks for
 * them (they must be in the network's `dns.allow`).
 */
export type PolicySelector =
  | string
  | { readonly labels: Readonly<Record<string, string>> }
  | { readonly endpoint: string }
  | { readonly names: readonly string[] };

export interface PolicyPort {
  readonly protocol: Protocol | 'icmp';
  /** The port that is connected to; not with `icmp`. @default all */
  readonly port?: number | undefined;
  /** The last of a range. @default `port` */
  readonly portEnd?: number | undefined;
}

/** An address that a name stands for, and for how long. */
export interface NamedAddress {
  readonly address: string;
  readonly ttlSeconds: number;
}

export interface DriverPool {
  /** `10.9.0.0/24` */
  readonly subnet: string;
  /** In CIDR form, `10.9.0.1/24`; `undefined` where the driver asked for none. */
  readonly gateway: string | undefined;
  /** Name to address: `{ router: '10.9.0.2' }`. */
  readonly auxAddresses: Readonly<Record<string, string>>;
}

export interface DriverEndpoint {
  readonly id: EndpointId;
  readonly networkId: NetworkId;
  readonly name: string;
  readonly macAddress: string | undefined;
  /** The MAC address was made up because IPAM needs one, and not asked for. */
  readonly macGenerated?: boolean | undefined;
  /** In CIDR form. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly options: DriverOptions;
  /** What a policy knows it by, beside its name. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** What is to be published, as asked. */
  readonly ports: readonly PortRequest[];
  /** What its container listens at, published or not. Default: none. */
  readonly exposedPorts?: readonly { readonly protocol: Protocol; readonly port: number }[] | undefined;
  /** What is published, as recorded. */
  readonly bindings: readonly PortBinding[];
  /** Default: none. */
  readonly limits?: EndpointLimits | undefined;
}

/** How much an endpoint may transfer. */
export interface EndpointLimits {
  /** To the container, in bits a second. Default: no limit. */
  readonly ingress?: number | undefined;
  /** From the container, in bits a second. Default: no limit. */
  readonly egress?: number | undefined;
  /** In bits: what may go at once after a rest, either way. Default: that of 20 ms, at least 64 KiB. */
  readonly burst?: number | undefined;
}

/** A port to publish. */
export interface PortRequest {
  readonly protocol: Protocol;
  /** The port in the container. */
  readonly container: number;
  /** The port on the host; omitted: one that is free. */
  readonly host?: number | undefined;
  /** With `host`: the end of a range, of which the first free port is taken. */
  readonly hostEnd?: number | undefined;
  /** Default: every address of the host, in both families. */
  readonly hostAddress?: string | undefined;
}

/** A port that is published. */
export interface PortBinding {
  readonly protocol: Protocol;
  readonly container: number;
  readonly host: number;
  readonly hostAddress: string;
}

/** What a driver decided about a new endpoint; the rest stays as given. */
export interface EndpointDecision {
  readonly macAddress?: string | undefined;
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
}

export interface JoinRequest {
  readonly network: DriverNetwork;
  readonly endpoint: DriverEndpoint;
  /** The sandbox's namespace; the driver may make the link right in it. */
  readonly namespace: Namespace;
  /** The final name of the interface there. */
  readonly interfaceName: string;
}

export interface JoinResult {
  readonly link: JoinedLink;
  /** The next hop of a default route through this endpoint; `0.0.0.0` and `::`: everything is on the link. */
  readonly gateway4?: string | undefined;
  readonly gateway6?: string | undefined;
  readonly routes?: readonly { readonly destination: string; readonly gateway?: string | undefined }[];
  /** No default-gateway network is to be added for this endpoint's sake. */
  readonly disableGatewayService?: boolean | undefined;
}

export type JoinedLink =
  /** It is in the namespace, named `interfaceName`, down, with its MAC and MTU set. */
  | { readonly kind: 'in-place' }
  /**
   * It is in the host's namespace: the core moves it, and names it `interfaceName`, or `prefix` and a number where no
   * name was asked for. When the endpoint leaves, what is still there is moved back under its first name.
   */
  | { readonly kind: 'move'; readonly sourceName: string; readonly prefix?: string | undefined }
  /** There is none: `host` and `null`. */
  | { readonly kind: 'none' };

export interface EndpointPlace {
  readonly network: DriverNetwork;
  readonly endpoint: DriverEndpoint;
}

/** Where an endpoint's interface is. */
export interface JoinedAt {
  readonly namespace: Namespace;
  readonly interfaceName: string;
}

/** An endpoint of another host, on a network that this host has endpoints on, too. */
export interface Peer {
  readonly id: EndpointId;
  readonly macAddress: string;
  /** In CIDR form. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** The address that its host is reached by. */
  readonly via: string;
}

export interface PeerChange {
  /** New ones, and those of which something changed. */
  readonly set: readonly Peer[];
  readonly removed: readonly EndpointId[];
}

/** What the records say at start, before anything else is called. */
export interface DriverState {
  /** Of networks that hosts share, those that this host has endpoints on. */
  readonly networks: readonly DriverNetwork[];
  /** All peers, by network. Of one that is not named they are not known: the host may be cut off from the store. */
  readonly peers?: ReadonlyMap<NetworkId, readonly Peer[]> | undefined;
  readonly endpoints: readonly (EndpointPlace & {
    readonly joined: boolean;
    /** Where it is joined, as long as the sandbox's namespace is open. */
    readonly at?: JoinedAt | undefined;
  })[];
}

export interface DriverReport {
  readonly missing: readonly string[];
  readonly orphaned: readonly string[];
}

export interface Driver {
  /** Its name in `createNetwork({ driver })`. */
  readonly name: string;
  readonly capability: DriverCapability;
  /** Checks options and addresses before anything is recorded or made. @throws INVALID_ARGUMENT, FORBIDDEN, CONFLICT */
  validateNetwork?(network: DriverNetwork): void | Promise<void>;
  /** Families whose gateways the network does not need: IPAM is not asked for one. Absent: it needs them. */
  skipGateways?(
    network: DriverNetwork,
    options?: DriverWaits,
  ): Promise<{ readonly ipv4: boolean; readonly ipv6: boolean }>;
  /**
   * Takes what a network needs once among all hosts, and answers with options that are recorded with it: every host
   * is given them. It was recorded before. Called by the host that makes the network, before its `createNetwork`.
   */
  allocateNetwork?(network: DriverNetwork, options?: DriverWaits): Promise<DriverOptions>;
  /** Gives it back, on the host that deletes the network. May be repeated. */
  freeNetwork?(network: DriverNetwork, options?: DriverWaits): Promise<void>;
  /**
   * Makes a network on this host. One that hosts share (`dataScope: 'global'`, and there is a global store) is made
   * on each host with its first endpoint there, and deleted there with the last.
   */
  createNetwork(network: DriverNetwork, options?: DriverWaits): Promise<void>;
  /**
   * Makes a network's options those of now, in place; flows that are allowed before and after are not disturbed.
   * Absent: options can't be changed.
   * @throws INVALID_ARGUMENT naming an option that is chosen when the network is made
   */
  updateNetwork?(network: DriverNetwork, options?: DriverWaits): Promise<void>;
  deleteNetwork(network: DriverNetwork, options?: DriverWaits): Promise<void>;
  /**
   * Checks what a new endpoint asks for, before addresses are taken for it: it has none yet. Makes nothing.
   * @throws INVALID_ARGUMENT, NOT_FOUND (network)
   */
  checkEndpoint?(place: EndpointPlace): void;
  /**
   * Checks a new endpoint and decides what was left open (a MAC address), before anything is recorded. Makes nothing.
   * @throws INVALID_ARGUMENT, NOT_FOUND (network)
   */
  decideEndpoint?(place: EndpointPlace): EndpointDecision;
  /**
   * Makes what an endpoint needs before it joins, found again by its id. Absent where that is nothing: then a new
   * endpoint costs one write of its record, and not two.
   */
  createEndpoint?(place: EndpointPlace, options?: DriverWaits): Promise<EndpointDecision>;
  deleteEndpoint?(place: EndpointPlace, options?: DriverWaits): Promise<void>;
  join(request: JoinRequest, options?: DriverWaits): Promise<JoinResult>;
  /** Removes the link. The namespace may be gone already; `at` says where the link is if not. */
  leave(place: EndpointPlace, options?: DriverWaits & { readonly at?: JoinedAt | undefined }): Promise<void>;
  /**
   * Publishes exactly `endpoint.ports` for the families given and answers with what was bound; ports that
   * `endpoint.bindings` names already keep their host port. With no family: everything is unpublished.
   * @throws CONFLICT naming who holds a port
   */
  publish?(
    place: EndpointPlace,
    families: { readonly ipv4: boolean; readonly ipv6: boolean },
    options?: DriverWaits,
  ): Promise<readonly PortBinding[]>;
  /**
   * Makes the limits of a joined endpoint what `endpoint.limits` says, from whatever they are. `join` sets them too.
   * Absent: it can limit nothing.
   */
  limit?(place: EndpointPlace): Promise<void>;
  /** Makes what the policy knows a joined endpoint by what `endpoint.labels` says. */
  relabel?(place: EndpointPlace): Promise<void>;
  /** Lets the policies that allow a name let these addresses pass, each for its time. They need not all be new. */
  allowAddresses?(network: DriverNetwork, name: string, addresses: readonly NamedAddress[]): Promise<void>;
  /** What `updateNetwork` would change in the firewall, as text that its program accepts. Changes nothing. */
  previewNetwork?(network: DriverNetwork): Promise<string>;
  /**
   * Endpoints of other hosts came, changed or went. Calls for one network come one after the other. Absent: its
   * networks end at the host, or find their peers by themselves.
   */
  updatePeers?(network: DriverNetwork, change: PeerChange): Promise<void>;
  /** Facts about a joined endpoint, for inspection. */
  endpointInfo?(place: EndpointPlace): Promise<Readonly<Record<string, unknown>>>;
  /** Called once, before any other call: take up what the records say. Makes and removes nothing. */
  restore(state: DriverState, options?: DriverWaits): Promise<void>;
  /**
   * Compares the kernel with the records and repairs it; with `dryRun` only reports. No other call is under way then,
   * and those that come meanwhile wait.
   */
  reconcile(state: DriverState, options?: DriverWaits & { readonly dryRun?: boolean }): Promise<DriverReport>;
  close?(): Promise<void>;
}
