/** The data of a kernel in memory. Plain and mutable: only the functions beside it in this folder change it. */
import type { Duplex } from 'node:stream';
import type { Address, Family, Prefix } from '../../ip.ts';
import type { MemoryBackend } from '../firewall/memory.ts';
import type { ConnectionBit } from '../firewall/model.ts';
import type { LinkKind, LinkSpec, LinkStatistics, SocketAddress, XfrmPolicy, XfrmState } from '../osl.ts';

export type Scope = 'global' | 'link' | 'host' | 'other';

export interface LinkState {
  /** The namespace it is in now. */
  home: NetnsState;
  /** The namespace it was made from: a vxlan's own packets go by that one, wherever it is moved. */
  readonly origin: NetnsState;
  index: number;
  name: string;
  readonly kind: LinkKind;
  /** What it was made with; `undefined` for loopback and the far end of a veth. */
  readonly spec: LinkSpec | undefined;
  up: boolean;
  mtu: number;
  mac: string | undefined;
  /** Set by the user: a bridge then keeps its own instead of taking its lowest port's. */
  macChosen: boolean;
  mtuChosen: boolean;
  alias: string | undefined;
  group: number;
  master: LinkState | undefined;
  /** The other end of a veth. */
  peer: LinkState | undefined;
  /** The lower device of a vlan, macvlan, or ipvlan. */
  readonly parent: LinkState | undefined;
  /** The link that a vxlan's outer packets leave by, and that it ends with. */
  readonly lower: LinkState | undefined;
  /** The vlans, macvlans, and ipvlans made on it, in whatever namespace they are now. */
  readonly uppers: Set<LinkState>;
  hairpin: boolean;
  /** A bridge's: its own word for br_netfilter, beside that of all bridges. */
  filterBridged?: boolean;
  /** A bridge's own, or a port's; `undefined` for what every port has at first. */
  vlans?: VlanState | undefined;
  /** A bridge's: a new one has a carrier until a port's change makes it ask its ports. */
  carrier: boolean;
  /** IPv6 has been configured since it was brought up (the kernel's IF_READY). */
  ready: boolean;
  statistics: { -readonly [K in keyof LinkStatistics]: LinkStatistics[K] };
}

export interface VlanState {
  /** Of frames that come in without a tag. */
  readonly pvid: number | undefined;
  readonly carried: ReadonlyMap<number, { readonly untagged: boolean }>;
}

export interface AddressState {
  readonly link: LinkState;
  readonly address: Address;
  readonly prefix: Prefix;
  readonly scope: Scope;
  /** IPv4: another address of the same prefix came first, and takes this one along when it goes. */
  secondary: boolean;
  /** IPv4 on loopback: its whole prefix is local, from when the link was up with it. */
  wholePrefix: boolean;
}

export interface RouteState {
  readonly family: Family;
  readonly prefix: Prefix;
  readonly gateway: Address | undefined;
  readonly link: LinkState;
  readonly scope: Scope;
  readonly metric: number;
  /** Made by the kernel for an address. */
  readonly connected: boolean;
}

export interface NeighbourState {
  readonly link: LinkState;
  readonly family: Family | 'bridge';
  readonly address: Address | undefined;
  readonly mac: string;
  /** Of the link's own forwarding table, though it is a port of a bridge. */
  readonly own?: boolean | undefined;
}

/** A bound socket. What it does with what arrives is its owner's. */
export interface SocketState {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly family: Family;
  /** `undefined` for every address of the family. */
  readonly address: Address | undefined;
  readonly port: number;
  /** It takes what comes; a port that is only held drops it. */
  readonly listening: boolean;
  /** A datagram for this socket. */
  readonly deliver?: (data: Buffer, from: { readonly address: string; readonly port: number }) => void;
  /** A connection for this socket, with the stream of this end. */
  readonly accept?: (stream: Duplex, from: SocketAddress) => void;
}

/** One connection that passed a namespace's packet filter. Tuples are as seen before and after its NAT. */
export interface Flow {
  readonly protocol: string;
  readonly original: Tuple;
  /** What answers look like when they arrive: the translated tuple, turned round. */
  reply: Tuple;
  destinationNat: boolean;
  sourceNat: boolean;
  /** The kinds of NAT that were decided, by a rule or by none. */
  destinationDecided: boolean;
  sourceDecided: boolean;
  answered: boolean;
  /** The bits of its label. */
  readonly labels: Set<ConnectionBit>;
}

export interface Tuple {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
}

export interface NetnsState {
  readonly id: number;
  /** In the order of their indexes, as the kernel dumps them. */
  readonly links: Map<number, LinkState>;
  readonly linksByName: Map<string, LinkState>;
  nextIndex: number;
  /** The vxlans whose outer packets are this namespace's, wherever they are now. */
  readonly tunnels: Set<LinkState>;
  /** Where the search for an ephemeral port goes on. */
  nextPort: number;
  addresses: AddressState[];
  routes: RouteState[];
  neighbours: NeighbourState[];
  readonly sysctls: Map<string, string>;
  /** The packet filter, and the names of the tables that were ever asked for. */
  readonly ruleset: MemoryBackend;
  readonly tableNames: Set<string>;
  readonly sockets: Set<SocketState>;
  flows: Flow[];
  /** What `announce` told the neighbours, in order. */
  readonly announced: string[];
  /** IPsec's tables, by what finds an entry. They are kept and told, and encrypt nothing. */
  readonly xfrm: {
    readonly states: Map<string, XfrmState>;
    readonly policies: Map<string, XfrmPolicy>;
  };
  /** Mounts, handles, processes and sockets: without any the namespace ends. */
  readonly holders: Set<unknown>;
}

export interface ProcessState {
  readonly pid: number;
  readonly file: string;
  readonly args: readonly string[];
  readonly namespace: NetnsState;
}
