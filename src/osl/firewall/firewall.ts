/**
 * The firewall contract. Callers say *what* should hold, as intents (plain data, one per owner); an engine
 * compiles them to rules, compares with what it last applied, and commits the difference as one transaction.
 * Changes that arrive while a transaction is under way share the next one.
 */
import type { LibnetworkError } from '../../errors.ts';
import type { Protocol, Waits } from '../osl.ts';

export type FirewallEngine = 'nftables' | 'iptables' | 'none';

export interface FirewallOptions {
  readonly engine: FirewallEngine;
  /** The name of our table, `libnetwork-<instance>`; with iptables, the comment of our rules, as its chains are Docker's. */
  readonly table: string;
  /**
   * Somebody else had removed rules of ours (`nft flush ruleset`, `iptables -F`, a reload of firewalld), and they are
   * back: what was missing.
   */
  readonly onRepaired?: ((report: FirewallReport) => void) | undefined;
  /**
   * Networks stay shut from the moment that somebody flushes their rules until these are back, by a second table that
   * nobody else can change and that ends with this handle. Default: true. A kernel may lack what that takes (tables
   * with an owner, Linux 5.12; labels of connections, and with iptables the match connlabel): then `onUnlatched` is
   * told, and rules hold without it.
   */
  readonly latch?: boolean | undefined;
  readonly onUnlatched?: ((reason: LibnetworkError) => void) | undefined;
  /**
   * firewalld refuses what is forwarded to and from bridges that it does not know. Where it runs, bridges of networks
   * join a zone of ours there, also after each of its reloads. `auto`: the daemon on the system's message bus, if there
   * is one; or the one on the bus of an address. Default: `auto` for the host's own namespace, `off` for all others.
   */
  readonly firewalld?: 'auto' | 'off' | { readonly bus: string } | undefined;
}

/** One handle at a time guards a table: of two, each would put back what the other removes. */
export interface Firewall {
  readonly engine: FirewallEngine;
  /** All changes or none. @throws UNAVAILABLE after `close`; kernel errors as `kernelError` tells */
  apply(changes: readonly FirewallChange[], options?: Waits): Promise<void>;
  /**
   * Makes the kernel's rules exactly those of `intents`, by the smallest difference: rules that are right stay
   * untouched, so established flows are not disturbed. With `dryRun`, only reports.
   */
  sync(intents: readonly Intent[], options?: Waits & { readonly dryRun?: boolean }): Promise<FirewallReport>;
  /** What should hold now. */
  intents(): readonly Intent[];
  /** What a change would do, as text that `nft -f` (or `iptables-restore`) accepts. Applies nothing. */
  preview(changes: readonly FirewallChange[]): Promise<string>;
  /** The same as data: what would come, and what would go. */
  plan(changes: readonly FirewallChange[]): Promise<FirewallPlan>;
  /** Removes our table and everything in it, nothing else. No table: nothing happens. */
  destroy(): Promise<void>;
  /** Ends this handle; rules stay. */
  close(): Promise<void>;
}

export type FirewallChange = { readonly set: Intent } | { readonly remove: Owner };

/** Who a rule is for. Setting an intent replaces the former one of the same owner. */
export interface Owner {
  readonly kind: Intent['kind'];
  readonly id: string;
}

/** What a change would do; names are as in `FirewallReport`. */
export interface FirewallPlan {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** What `nft -f` or `iptables-restore` does the same by. */
  readonly text: string;
}

export interface FirewallReport {
  /** What should be in the kernel and was not: `chain in-1a2b`, `element open4 10.9.0.2 . tcp . 80`. */
  readonly missing: readonly string[];
  /** What was in our table and should not be. */
  readonly orphaned: readonly string[];
}

export type Intent = NetworkIntent | LinkIntent | EndpointIntent | ResolverIntent | PolicyPart | ServicePart;

/** How a sandbox reaches services. */
export type ServicePart = ServiceIntent | BackendIntent;

export const SERVICE_KINDS: ReadonlySet<Intent['kind']> = new Set(['service', 'backend']);

/** Those that only ever refuse: what passes them is judged by the others all the same. */
export type PolicyPart = PolicyIntent | MemberIntent | AllowedIntent;

export const POLICY_KINDS: ReadonlySet<Intent['kind']> = new Set(['policy', 'member', 'allowed']);

/** Who in a network may talk to whom, and to what outside. The first rule that fits decides; none: it passes. */
export interface PolicyIntent {
  readonly kind: 'policy';
  /** The network's id. */
  readonly id: string;
  readonly bridge: string;
  readonly rules: readonly PolicyRuleIntent[];
}

export interface PolicyRuleIntent {
  readonly action: 'allow' | 'deny';
  /** How it reads, for the comments of its rules. */
  readonly comment: string;
  /** Any one of them; `undefined`: everybody. */
  readonly from: readonly PolicyPeer[] | undefined;
  readonly to: readonly PolicyPeer[] | undefined;
  readonly ports: readonly PolicyPortIntent[] | undefined;
}

export type PolicyPeer =
  /** Endpoints of the network that say so (`MemberIntent`). */
  | { readonly kind: 'members'; readonly set: string }
  /** An address, or a prefix without host bits. */
  | { readonly kind: 'prefix'; readonly prefix: string }
  /** Whatever a name stands for at the time (`AllowedIntent`); only as a destination outside. */
  | { readonly kind: 'names'; readonly set: string }
  /** Everybody but the network's endpoints, the host among them. */
  | { readonly kind: 'outside' }
  | { readonly kind: 'host' };

export interface PolicyPortIntent {
  readonly protocol: Protocol | 'icmp';
  /** Not with `icmp`. */
  readonly first?: number | undefined;
  readonly last?: number | undefined;
}

/** An endpoint of a network with a policy. */
export interface MemberIntent {
  readonly kind: 'member';
  /** The endpoint's id. */
  readonly id: string;
  readonly network: string;
  readonly bridge: string;
  /** Its addresses: what leaves the network with another is refused. */
  readonly addresses: readonly string[];
  /** The sets of `PolicyPeer` that it is in. */
  readonly sets: readonly string[];
}

/** An address that a name stands for, for some time. */
export interface AllowedIntent {
  readonly kind: 'allowed';
  readonly id: string;
  readonly network: string;
  readonly set: string;
  readonly address: string;
  /** In milliseconds since 1970; the kernel ends it by itself. */
  readonly expires: number;
}

/** A bridged network: masquerading, isolation, protection of its containers. */
export interface NetworkIntent {
  readonly kind: 'network';
  readonly id: string;
  /** The bridge's interface name. */
  readonly bridge: string;
  readonly ipv4: FamilyIntent | undefined;
  readonly ipv6: FamilyIntent | undefined;
  /** No way in or out but through the bridge itself. */
  readonly internal: boolean;
  /** Containers of the network may talk to each other. */
  readonly icc: boolean;
  /** Interfaces from which published ports are reached at the container's own address too. Default: none. */
  readonly trusted?: readonly string[] | undefined;
  /** Published ports are reached at the container's own address from everywhere. Default: false. */
  readonly direct?: boolean | undefined;
  /** What bears this mark is let in. Default: none. */
  readonly accepted?: PacketMark | undefined;
}

/** 32 bits that some rule of the host gave a packet: those of the mask must be those of the value. */
export interface PacketMark {
  readonly value: number;
  readonly mask: number;
}

export interface FamilyIntent {
  /** `10.9.0.0/24` */
  readonly subnet: string;
  /**
   * `nat`: published ports only, addresses hidden. `nat-unprotected`: every port may be reached by routing.
   * `routed`: no NAT, published ports by routing. `isolated`: the bridge has no address.
   */
  readonly mode: 'nat' | 'nat-unprotected' | 'routed' | 'isolated';
  /** What leaves by another interface takes that interface's address (true) or this one. */
  readonly masquerade: boolean | string;
}

/** What an endpoint may reach in a network whose containers may not talk to each other. */
export interface LinkIntent {
  readonly kind: 'link';
  /** The endpoint's id. */
  readonly id: string;
  readonly network: string;
  readonly bridge: string;
  readonly ports: readonly LinkedPort[];
}

export interface LinkedPort {
  readonly protocol: Protocol;
  /** Who may. */
  readonly source: string;
  /** Where to, of the same family. */
  readonly address: string;
  readonly port: number;
}

/** The published ports of one endpoint. */
export interface EndpointIntent {
  readonly kind: 'endpoint';
  readonly id: string;
  readonly network: string;
  readonly bridge: string;
  readonly ports: readonly PublishedPort[];
}

export interface PublishedPort {
  readonly protocol: Protocol;
  /** `0.0.0.0` or `::` for every address of the family. */
  readonly hostAddress: string;
  /** `undefined` in routed mode: the port is only opened. */
  readonly hostPort: number | undefined;
  /** The container's address, of the same family as `hostAddress`. */
  readonly address: string;
  readonly port: number;
}

/** In a sandbox: DNS to `address` port 53 goes to these ports of the resolver, and its answers come back as from 53. */
export interface ResolverIntent {
  readonly kind: 'resolver';
  readonly id: string;
  /** `127.0.0.11` or an IPv6 loopback address. */
  readonly address: string;
  readonly udpPort: number;
  readonly tcpPort: number;
}

/**
 * In a sandbox: each new connection to the address goes to one of its backends, drawn anew; so does a ping. The
 * backends are intents of their own, so that one that comes or goes costs the same however many there are.
 */
export interface ServiceIntent {
  readonly kind: 'service';
  readonly id: string;
  readonly address: string;
  /** How many backends there are: their slots are 0 to one less. */
  readonly backends: number;
}

/** One backend of a service. */
export interface BackendIntent {
  readonly kind: 'backend';
  readonly id: string;
  /** The address of the service. */
  readonly service: string;
  readonly slot: number;
  /** Of the same family. */
  readonly address: string;
}
