/**
 * Firewall rules as immutable data: one table of family `inet`, its chains, sets and maps. Everything that varies
 * with endpoints and ports is an element of a set or map, so that a packet's path and an update's cost do not grow.
 * Text renderers, the netlink encoder and the fake's packet walk all read this one model.
 */
import type { Family } from '../../ip.ts';
import type { Protocol } from '../osl.ts';

export interface Table {
  readonly name: string;
  readonly chains: readonly Chain[];
  readonly sets: readonly ElementSet[];
}

export interface Chain {
  readonly name: string;
  /** A base chain's place in the packet's path; a chain without is only jumped to. */
  readonly hook?: Hook | undefined;
  readonly rules: readonly Rule[];
}

export interface Hook {
  readonly type: 'filter' | 'nat';
  readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  /** Lower runs earlier: raw -300, dstnat -100, filter 0, srcnat 100. */
  readonly priority: number;
  readonly policy: 'accept' | 'drop';
}

export interface Rule {
  /** All must hold. */
  readonly match: readonly Match[];
  readonly action: Action;
  /** Why it is there; stored with the rule in the kernel. */
  readonly comment: string;
}

/** What a packet is asked for, and may be looked up by. */
export type Field =
  /** `ipv4` or `ipv6`. */
  | 'nfproto'
  /** The interface it came in by; for bridged packets (br_netfilter) the bridge. Empty for locally made packets. */
  | 'iifname'
  | 'oifname'
  /** Packets of the other family do not match, whatever the operator. */
  | 'ip saddr'
  | 'ip daddr'
  | 'ip6 saddr'
  | 'ip6 daddr'
  /** The destination that the connection was begun to, before any translation; only with `==`. */
  | 'ct original ip daddr'
  /** `tcp`, `udp`, `sctp`, `icmp`, `icmpv6`. */
  | 'l4proto'
  /** The transport header's destination port; only asked for beside `l4proto`. */
  | 'dport'
  /** Bits that rules of the host gave the packet, in hexadecimal; of some of them with a mask: `0x1/0xff`. */
  | 'mark'
  /** The kind of the destination address on this host: `local` for its own ones. */
  | 'fib daddr type'
  | 'fib saddr type';

/** Properties of a packet's connection; each is a set of bits. */
export type ConnectionField = 'ct state' | 'ct status' | 'ct label';

/**
 * `untracked`: connection tracking leaves it alone, as it does IPv6's neighbour discovery. `confirmed`: a packet of it
 * went all the way once. Those of `ct label` are bits of its label.
 */
export type ConnectionBit =
  | 'new'
  | 'established'
  | 'related'
  | 'untracked'
  | 'dnat'
  | 'snat'
  | 'confirmed'
  | LabelBit;

/** The bits of connections' labels that are ours, of 128: `connectionlabels.ts` tells what each says. */
export type LabelBit = '117' | '118' | '119' | '120' | '121' | '122' | '123' | '124' | '125' | '126' | '127';

export type Match =
  /** The field is (not) the value; for addresses the value may be a prefix. */
  | { readonly field: Field; readonly op: '==' | '!='; readonly values: readonly [string] }
  /** The port is from the first value to the last. */
  | { readonly field: 'dport'; readonly op: 'range'; readonly values: readonly [string, string] }
  /** The connection has at least one of the bits, or none of them: `established`, `related`; `dnat`; … */
  | { readonly field: ConnectionField; readonly op: '==' | '!='; readonly values: readonly ConnectionBit[] }
  /** The fields together are (not) an element of a set. */
  | { readonly fields: readonly Field[]; readonly op: 'in' | 'not in'; readonly set: string };

export type Verdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'return' }
  | { readonly kind: 'jump'; readonly chain: string }
  | { readonly kind: 'goto'; readonly chain: string };

export type Action =
  | Verdict
  /** The verdict that the map holds for the fields; no element: the next rule. */
  | { readonly kind: 'vmap'; readonly fields: readonly Field[]; readonly map: string }
  /** To the address and port that the map holds for the fields; no element: the next rule. */
  | {
      readonly kind: 'dnat';
      readonly family: Family;
      readonly fields: readonly Field[];
      readonly map: string;
    }
  /**
   * To the address that the map holds for the destination and a random number below `among`, whatever the protocol;
   * the port stays. No element: the next rule.
   */
  | {
      readonly kind: 'balance';
      readonly family: Family;
      readonly map: string;
      readonly among: number;
    }
  | { readonly kind: 'snat-to'; readonly family: Family; readonly address: string }
  /** Sets a bit of the connection's label; the next rule follows. */
  | { readonly kind: 'label'; readonly bit: LabelBit }
  | { readonly kind: 'masquerade' };

export interface ElementSet {
  readonly name: string;
  readonly key: readonly KeyType[];
  /** A plain set, a map to verdicts, to an address, or to an address and a port. */
  readonly value: 'none' | 'verdict' | Family | 'ipv4 . port' | 'ipv6 . port';
  /** Its elements end by themselves. */
  readonly timeouts?: boolean | undefined;
  readonly elements: readonly Element[];
}

/** `slot`: a number that a rule has drawn. */
export type KeyType = 'ipv4' | 'ipv6' | 'ifname' | 'protocol' | 'port' | 'slot';

export interface Element {
  /** One text per key type: `['tcp', '10.9.0.2', '80']`. */
  readonly key: readonly string[];
  readonly value?:
    | Verdict
    | readonly [address: string]
    | readonly [address: string, port: string]
    | undefined;
  /** When it ends, in milliseconds since 1970; only in a set with `timeouts`. */
  readonly expires?: number | undefined;
}

/** True for an element that has ended. */
export function isOver({ expires }: Element, now = Date.now()): boolean {
  return expires !== undefined && expires <= now;
}

/** IP protocol numbers (IANA). */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol | 'icmp' | 'icmpv6', number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  icmpv6: 58,
  sctp: 132,
};
