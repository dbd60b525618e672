/** Links: what they are, and what they are made of. Part of the osl contract. */
import type { Namespace } from './osl.ts';

export type LinkKind =
  | 'veth'
  | 'bridge'
  | 'vxlan'
  | 'macvlan'
  | 'ipvlan'
  | 'vlan'
  | 'dummy'
  | 'ifb'
  | 'loopback'
  | 'other';

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly kind: LinkKind;
  readonly up: boolean;
  /** Administratively up and with a carrier (IFF_LOWER_UP). */
  readonly running: boolean;
  readonly mtu: number;
  /** Six hex pairs in lower case; `undefined` where the link has none. */
  readonly macAddress: string | undefined;
  /** The text that tells the owner (IFLA_IFALIAS). */
  readonly alias: string | undefined;
  /** The name of the bridge it is a port of. */
  readonly master: string | undefined;
  /** The index of the other end or of the lower device (IFLA_LINK). */
  readonly peerIndex: number | undefined;
  /** The number of a vlan or vxlan. */
  readonly id: number | undefined;
  readonly group: number;
  readonly statistics: LinkStatistics;
}

/** Counters since the link was made (IFLA_STATS64). */
export interface LinkStatistics {
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxErrors: number;
  readonly txErrors: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

export type LinkSpec =
  | BridgeSpec
  | {
      readonly kind: 'veth';
      readonly peer: {
        readonly name: string;
        readonly macAddress?: string | undefined;
        readonly mtu?: number | undefined;
        /** The peer is born there, with its final name; never moved. Default: here. */
        readonly namespace?: Namespace | undefined;
      };
    }
  | { readonly kind: 'dummy' }
  | { readonly kind: 'ifb' }
  | { readonly kind: 'vlan'; readonly parent: string; readonly id: number }
  | {
      readonly kind: 'macvlan';
      readonly parent: string;
      readonly mode: 'private' | 'vepa' | 'bridge' | 'passthru';
    }
  | {
      readonly kind: 'ipvlan';
      readonly parent: string;
      readonly mode: 'l2' | 'l3' | 'l3s';
      readonly flag?: 'bridge' | 'private' | 'vepa' | undefined;
    }
  | VxlanSpec;

/**
 * A tunnel of Ethernet frames in UDP (RFC 7348). Its outer packets go by the namespace that it is made from, also
 * where it is born in another one or moved.
 */
export interface VxlanSpec {
  readonly kind: 'vxlan';
  /** The VXLAN network identifier: 0 to 16777215. One namespace has one of a number and `port`. */
  readonly id: number;
  /** The UDP port that it listens at and sends to; IANA's is 4789. */
  readonly port: number;
  /** The address that outer packets come from; it tells their family too. Default: IPv4, as the route says. */
  readonly local?: string | undefined;
  /**
   * Where frames go whose receiver is not known: a multicast group, reached by `parent`, or one remote. It tells the
   * family where `local` does not; `'::'` and `'0.0.0.0'` tell the family alone.
   */
  readonly group?: string | undefined;
  /** The link of this namespace that a multicast group is joined on, and that outer packets leave by. */
  readonly parent?: string | undefined;
  /** Learns the remotes of MAC addresses from what comes in. Default true. */
  readonly learning?: boolean | undefined;
  /** Answers for neighbours that it knows. Default false. */
  readonly proxy?: boolean | undefined;
  /** Routes to neighbours that it knows, without asking the router (RFC 7348 has none of this). Default false. */
  readonly shortCircuit?: boolean | undefined;
  /** Tells listeners of MAC addresses and of neighbours that are asked for and not known. Default false. */
  readonly l2miss?: boolean | undefined;
  readonly l3miss?: boolean | undefined;
  /** Seconds that what was learned is kept; 0 for ever. Default 300. */
  readonly ageing?: number | undefined;
  /** Entries of the forwarding table; 0 for no limit, the default. */
  readonly limit?: number | undefined;
  /** Hops of outer packets, 1 to 255. Default: the kernel's. */
  readonly ttl?: number | undefined;
  /** UDP source ports, by the flow. Default: the ephemeral range. */
  readonly sourcePorts?: { readonly first: number; readonly last: number } | undefined;
  /** Outer packets over IPv4 carry a checksum. Default true. */
  readonly udpChecksum?: boolean | undefined;
  /** Outer packets over IPv6 carry none (RFC 6935), and are taken without one. Default false. */
  readonly udp6ZeroChecksum?: { readonly send?: boolean; readonly receive?: boolean } | undefined;
}

export interface BridgeSpec {
  readonly kind: 'bridge';
  /**
   * Frames go only where their VLAN is carried (IEEE 802.1Q; see `addBridgeVlan`). Every port carries VLAN 1,
   * untagged, from the start. Default false. @throws NOT_IMPLEMENTED where the kernel can't
   */
  readonly vlanFiltering?: boolean | undefined;
  /** The spanning tree protocol (IEEE 802.1D): a new port forwards after twice `forwardDelay`. Default false. */
  readonly stp?: boolean | undefined;
  /** Seconds that a port listens, and again that it learns, with `stp`: 2 to 30, or from 0 without. Default 15. */
  readonly forwardDelay?: number | undefined;
  /** Multicast goes only to ports that asked for it, by IGMP or MLD (RFC 4541). Default true. */
  readonly multicastSnooping?: boolean | undefined;
}
