/**
 * The osl contract: the only door to the kernel. `linuxOsl()` is the real kernel, `fakeOsl()` one in memory;
 * the contract suite (`libnetwork/testing`, `oslContract`) runs on both.
 *
 * Kernel failures arrive as `LibnetworkError` with `errno` (such as `EEXIST`), `kernelMessage` (the extended
 * error text, where the kernel gave one), `operation`, and the code of `errnoCodes` in `errno.ts`.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import type { Duplex } from 'node:stream';
import type { LibnetworkError } from '../errors.ts';
import type { Family } from '../ip.ts';
import type { NamespaceEvent } from './event.ts';
import type { Firewall, FirewallOptions } from './firewall/firewall.ts';
import type { Link, LinkSpec } from './link.ts';
import type { FoundXfrmState, XfrmChange, XfrmPolicy } from './xfrm.ts';

export type * from './event.ts';
export type * from './link.ts';
export type * from './xfrm.ts';

export interface Waits {
  /** Ends the wait with `ABORTED`. What was already sent to the kernel still happens. */
  readonly signal?: AbortSignal | undefined;
}

export interface Osl {
  readonly kind: 'linux' | 'fake';
  /** The namespace that this process lives in. */
  readonly host: Namespace;
  /**
   * Makes a network namespace, keeps it alive by a mount at `path`, brings `lo` up, and opens it.
   * Idempotent for every half-made state: missing directory, file without mount, mounted already.
   * @throws INVALID_ARGUMENT for a path that is not absolute and normal; FORBIDDEN without CAP_SYS_ADMIN
   * or on a read-only file system.
   */
  createNamespace(path: string): Promise<Namespace>;
  /** Opens what is at `path`: a mount of ours or `/proc/<pid>/ns/net`. @throws NOT_FOUND, INVALID_ARGUMENT */
  openNamespace(path: string): Promise<Namespace>;
  /** Unmounts and removes `path`, whichever of the two is there. Nothing there: nothing happens. */
  deleteNamespace(path: string): Promise<void>;
  /** The paths in a directory that `createNamespace` made or half made. No directory: none. */
  listNamespaces(directory: string): Promise<readonly string[]>;
  /** Frees every handle. Namespaces, links and rules stay. */
  close(): Promise<void>;
}

/** One network namespace, opened. All calls act in it, from any thread, however many run at once. */
export interface Namespace {
  /** The path it was opened by; `'host'` for the process's own. */
  readonly path: string;
  links(): Promise<readonly Link[]>;
  link(name: string): Promise<Link | undefined>;
  addresses(link?: string): Promise<readonly LinkAddress[]>;
  /** Routes of the main table. */
  routes(family?: Family): Promise<readonly Route[]>;
  neighbours(link?: string): Promise<readonly Neighbour[]>;
  /**
   * Sends all changes at once, in order, and awaits every answer. The kernel does not undo: at a failure the
   * changes before it hold, the later ones were tried too, and the error's `operation` names the first that
   * failed, as `changes[2] addAddress`. A veth whose last end was brought up carries packets when this has ended.
   */
  apply(changes: readonly Change[], options?: Waits): Promise<void>;
  /**
   * Deletes a link; false when there was none. Deletes that are under way together share the kernel's grace
   * periods (one group delete), so a hundred cost a few.
   */
  deleteLink(name: string, options?: Waits): Promise<boolean>;
  /**
   * Makes a link as fast as this says, and no faster; what is not named is not limited.
   * @throws NOT_FOUND for a link that is not there; INVALID_ARGUMENT; NOT_IMPLEMENTED where the kernel lacks tbf,
   * ingress, u32 or mirred
   */
  setBandwidth(link: string, limits: Bandwidth): Promise<void>;
  /** What limits a link, bursts left away. @throws NOT_FOUND */
  bandwidth(link: string): Promise<Bandwidth>;
  /** A value under `/proc/sys`, by its path with slashes, `net/ipv4/ip_forward`; `undefined` when there is no such key. */
  sysctl(key: string): Promise<string | undefined>;
  /** @throws NOT_FOUND when there is no such key; INVALID_ARGUMENT for a key outside `net/`. */
  setSysctl(key: string, value: string): Promise<void>;
  /** A UDP socket born in this namespace and bound there. */
  bindUdp(address: string, port: number): Promise<UdpSocket>;
  /** A TCP listener born in this namespace. @throws CONFLICT with `errno` EADDRINUSE */
  listenTcp(
    address: string,
    port: number,
    onConnection: (stream: Duplex, from?: SocketAddress) => void,
  ): Promise<TcpListener>;
  /** A TCP connection made from inside this namespace. @throws UNAVAILABLE (refused, unreachable), TIMEOUT */
  connectTcp(
    address: string,
    port: number,
    options?: Waits & { readonly timeoutMs?: number },
  ): Promise<Duplex>;
  /** Holds a port of this namespace: a bound socket that drops what it gets. @throws CONFLICT with EADDRINUSE */
  holdPort(port: PortSpec): Promise<HeldPort>;
  /**
   * Holds a port and serves it: what comes there is handed on to a target that is reached from this namespace, with an
   * address of this namespace as its sender's. Work of a thread of its own, where the process has one for it: should
   * it end, the port stays held, and who comes meanwhile waits for the next one.
   * @throws CONFLICT with EADDRINUSE; NOT_IMPLEMENTED for sctp
   */
  servePort(port: PortSpec, target: ProxyTarget): Promise<HeldPort>;
  /** One echo request (RFC 792, RFC 4443) and its answer: the round trip in milliseconds, `undefined` for none. */
  ping(address: string, options?: Waits & { readonly timeoutMs?: number }): Promise<number | undefined>;
  /**
   * Makes the kernel forget the tracked connections that fit one of the filters, so that their next packets are
   * judged by the present rules: what was translated keeps its translation otherwise. Answers with how many.
   */
  flushConntrack(filters: readonly ConnectionFilter[]): Promise<number>;
  /**
   * Tells the neighbours on a link, once, that this address is at the link's MAC address: by a gratuitous ARP
   * request (RFC 5227, 3) or an unsolicited neighbour advertisement (RFC 4861, 7.2.6).
   * @throws NOT_FOUND when there is no such link
   */
  announce(link: string, address: string): Promise<void>;
  /**
   * Changes of links, addresses and routes from this call on, until the signal fires or the loop is left. A reader who
   * is too slow is told `lost` in place of what was dropped.
   */
  watch(options?: Waits): AsyncIterableIterator<NamespaceEvent>;
  /**
   * Changes IPsec's associations and policies, all at once and in order. As with `apply`, nothing is undone: all are
   * tried, and the first refusal is thrown with an `operation` such as `xfrm[1] addState`.
   * @throws INVALID_ARGUMENT before anything is sent; NOT_IMPLEMENTED without ESP in the kernel
   */
  applyXfrm(changes: readonly XfrmChange[]): Promise<void>;
  /** The associations of ESP with AES-GCM, and what passed them. */
  xfrmStates(): Promise<readonly FoundXfrmState[]>;
  xfrmPolicies(): Promise<readonly XfrmPolicy[]>;
  /** `child_process.spawn` inside this namespace. The child inherits none of our descriptors. */
  spawn(file: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  /** The packet filter of this namespace. One instance per table; rules stay when it is closed. */
  firewall(options: FirewallOptions): Promise<Firewall>;
  /** Frees this handle; the namespace itself stays. Closing twice is fine. */
  close(): Promise<void>;
}

/** How fast a link may be. */
export interface Bandwidth {
  /** What leaves by it. */
  readonly send?: Rate | undefined;
  /** What comes in by it leaves by this `ifb` link of the same namespace first, as fast as that may send. */
  readonly receiveBy?: string | undefined;
}

/** A token bucket. */
export interface Rate {
  /** 8 or more; rounded down to whole bytes. */
  readonly bitsPerSecond: number;
  /** In bits: what may go at once after a rest. Default: that of 20 ms, at least 64 KiB. */
  readonly burst?: number | undefined;
}

export interface LinkAddress {
  readonly link: string;
  readonly family: Family;
  /** `10.9.0.5/24` */
  readonly address: string;
  readonly scope: 'global' | 'link' | 'host' | 'other';
}

export interface Route {
  readonly family: Family;
  /** A prefix, or `'default'`. */
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly link: string | undefined;
  readonly scope: 'global' | 'link' | 'host' | 'other';
  readonly metric: number;
}

export interface Neighbour {
  readonly link: string;
  readonly family: Family | 'bridge';
  /** The address; `undefined` in a bridge's forwarding table without a remote. */
  readonly address: string | undefined;
  readonly macAddress: string | undefined;
  readonly permanent: boolean;
}

/** One change to a namespace. Links are named; at most 15 bytes (IFNAMSIZ less the terminator). */
export type Change =
  | CreateLink
  | SetLink
  | { readonly op: 'addAddress'; readonly link: string; readonly address: string; readonly noDad?: boolean }
  | { readonly op: 'deleteAddress'; readonly link: string; readonly address: string }
  | ({ readonly op: 'addRoute' } & RouteSpec)
  | ({ readonly op: 'replaceRoute' } & RouteSpec)
  | ({ readonly op: 'deleteRoute' } & RouteSpec)
  | ({ readonly op: 'setNeighbour' } & NeighbourSpec)
  | ({ readonly op: 'deleteNeighbour' } & NeighbourSpec)
  | ({ readonly op: 'addBridgeVlan' } & BridgeVlanSpec)
  | ({ readonly op: 'deleteBridgeVlan' } & Pick<BridgeVlanSpec, 'link' | 'id' | 'end'>);

export interface CreateLink {
  readonly op: 'createLink';
  readonly name: string;
  readonly link: LinkSpec;
  readonly macAddress?: string | undefined;
  readonly mtu?: number | undefined;
  /** The name of a bridge to become a port of, from birth. */
  readonly master?: string | undefined;
  /** Up from birth. (A veth's peer can't be: the kernel answers ENOTCONN.) */
  readonly up?: boolean | undefined;
  /** Set by a second message of the same send. */
  readonly alias?: string | undefined;
  readonly group?: number | undefined;
  /** Where it is born; default: here. */
  readonly namespace?: Namespace | undefined;
}

/** VLANs of a bridge's port, or of the bridge itself, as the port that its own addresses are at. */
export interface BridgeVlanSpec {
  readonly link: string;
  /** 1 to 4094. */
  readonly id: number;
  /** The last of a range; default: `id` alone. */
  readonly end?: number | undefined;
  /** Frames that come in without a tag belong to this VLAN: to one only, the last that says so. */
  readonly pvid?: boolean | undefined;
  /** Frames of this VLAN go out without a tag. */
  readonly untagged?: boolean | undefined;
}

/** Changes what is named; what is not named stays. */
export interface SetLink {
  readonly op: 'setLink';
  readonly name: string;
  readonly up?: boolean | undefined;
  readonly mtu?: number | undefined;
  readonly macAddress?: string | undefined;
  /** A bridge's name; `null` leaves the bridge. */
  readonly master?: string | null | undefined;
  /** The new name; the link must be down. */
  readonly rename?: string | undefined;
  readonly alias?: string | undefined;
  readonly group?: number | undefined;
  /** A bridge port's hairpin mode: frames may leave by the port they came in by. */
  readonly hairpin?: boolean | undefined;
  /**
   * A bridge's: IP packets from port to port pass the packet filter as well (br_netfilter), whatever the settings
   * `bridge-nf-call-iptables` and `-ip6tables` of all bridges say. Nothing where the kernel has no br_netfilter.
   */
  readonly filterBridged?: boolean | undefined;
  /** Moves the link; the kernel waits for a grace period (some 20 ms): make it there instead where you can. */
  readonly namespace?: Namespace | undefined;
}

export interface RouteSpec {
  /** A prefix, or `'default'` with `family`. */
  readonly destination: string;
  readonly family: Family;
  readonly gateway?: string | undefined;
  readonly link?: string | undefined;
  readonly scope?: 'global' | 'link' | undefined;
  readonly metric?: number | undefined;
}

export interface NeighbourSpec {
  readonly link: string;
  /** The address resolved to `macAddress`; in a forwarding table (`fdb`) the remote it is reached by. */
  readonly address?: string | undefined;
  readonly macAddress: string;
  /** An entry of a bridge's or vxlan's forwarding table. */
  readonly fdb?: boolean | undefined;
}

export type Protocol = 'tcp' | 'udp' | 'sctp';

export interface PortSpec {
  readonly protocol: Protocol;
  /** `0.0.0.0` and `::` mean every address of the family; IPv6 sockets are IPv6 only. */
  readonly address: string;
  /** 1 to 65535; 0 lets the kernel choose from its ephemeral range. */
  readonly port: number;
}

/** Where a served port leads. */
export interface ProxyTarget {
  readonly address: string;
  readonly port: number;
  /** Only senders on `::1` are served: all others have rules that lead them, or keep them out. Default false. */
  readonly fromLoopback?: boolean | undefined;
  readonly limits?: ProxyLimits | undefined;
}

/** How much a served port takes on. */
export interface ProxyLimits {
  /** Connections at a time: one more is closed at once. Default 4,096. */
  readonly connections?: number | undefined;
  /**
   * How long a connection may be silent in both directions, in ms. Default 432,000,000, five days: as long as the
   * kernel tracks one that address translation leads.
   */
  readonly idleMs?: number | undefined;
  /** Senders of datagrams at a time: the one that was silent longest makes room. Default 1,024. */
  readonly senders?: number | undefined;
  /** How long a sender of datagrams is remembered after the last one either way, in ms. Default 90,000. */
  readonly senderIdleMs?: number | undefined;
}

/** Tracked connections: those that everything named here is true of. */
export interface ConnectionFilter {
  /** It is at either end, before or after translation. */
  readonly address?: string | undefined;
  readonly protocol?: Protocol | undefined;
  /** The port that the connection was begun to. */
  readonly port?: number | undefined;
}

/** A port that nobody else can bind until `release`. */
export interface HeldPort extends PortSpec {
  release(): void;
}

/** The far end of a connection or the sender of a datagram, as it is seen here. */
export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

export interface UdpSocket {
  readonly address: string;
  readonly port: number;
  onMessage(listener: (data: Buffer, from: SocketAddress) => void): void;
  /** Told of each datagram that could not be sent, where the kernel says so at once: there is no way to its address. */
  onUnsent?(listener: (to: SocketAddress, data: Uint8Array, error: LibnetworkError) => void): void;
  /** Sends one datagram, in this turn of the event loop. One that can't be sent is lost, as on a network. */
  send(data: Uint8Array, to: SocketAddress): void;
  close(): void;
}

export interface TcpListener {
  readonly address: string;
  readonly port: number;
  /** Stops accepting and ends the open connections. */
  close(): void;
}
