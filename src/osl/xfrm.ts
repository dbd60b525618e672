/** IPsec (RFC 4301): which packets are encrypted, and how. Part of the osl contract. */

/** A change of a namespace's IPsec tables. */
export type XfrmChange =
  /** @throws ALREADY_EXISTS for one of the same destination and index */
  | { readonly op: 'addState'; readonly state: XfrmState }
  /** @throws NOT_FOUND with `errno` ESRCH */
  | { readonly op: 'deleteState'; readonly state: XfrmStateId }
  /** Makes a policy, or replaces the one of the same direction, selector and mark. */
  | { readonly op: 'setPolicy'; readonly policy: XfrmPolicy }
  /** @throws NOT_FOUND with `errno` ENOENT */
  | { readonly op: 'deletePolicy'; readonly policy: XfrmPolicyId };

/** Packets that carry a mark in the bits of a mask. */
export interface XfrmMark {
  readonly value: number;
  readonly mask: number;
}

/** Which packets: those that everything named is true of. */
export interface XfrmSelector {
  /** Prefixes of the same family: `10.0.0.1/32`. */
  readonly source: string;
  readonly destination: string;
  /** An IP protocol number, 17 for UDP; default: all. */
  readonly protocol?: number | undefined;
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
}

export type XfrmMode = 'transport' | 'tunnel';

/** What finds a security association (RFC 4301, 4.4.2). */
export interface XfrmStateId {
  readonly destination: string;
  /** The security parameter index: 256 to 4294967295 (RFC 4303, 2.1). */
  readonly spi: number;
  readonly mark?: XfrmMark | undefined;
}

/** A security association: how packets between two hosts are encrypted, in one direction. ESP with AES-GCM. */
export interface XfrmState extends XfrmStateId {
  readonly source: string;
  readonly mode: XfrmMode;
  /** Ties it to policies. */
  readonly reqid: number;
  /** An AES key of 16, 24, or 32 bytes, and 4 bytes of salt (RFC 4106, 8.1). */
  readonly key: Uint8Array;
  /** Of the integrity check value: 64, 96 or 128 bits. */
  readonly icvBits: number;
  /** How many packets late a packet may come; 0 turns the check off. Beyond 32 only with `esn`, to 4096. */
  readonly replayWindow: number;
  /** Sequence numbers of 64 bits (RFC 4303, 2.2.1). */
  readonly esn: boolean;
}

export interface FoundXfrmState extends XfrmState {
  readonly statistics: XfrmStateStatistics;
}

export interface XfrmStateStatistics {
  readonly bytes: number;
  readonly packets: number;
  /** Packets that came too late or twice. */
  readonly replayed: number;
  readonly forged: number;
}

export type XfrmDirection = 'in' | 'out' | 'forward';

/** What finds a policy. */
export interface XfrmPolicyId {
  readonly direction: XfrmDirection;
  readonly selector: XfrmSelector;
  readonly mark?: XfrmMark | undefined;
}

/** Which packets must be encrypted, and how (RFC 4301, 4.4.1). */
export interface XfrmPolicy extends XfrmPolicyId {
  /** The least is asked first. */
  readonly priority: number;
  /** `block` drops what it selects; `allow` sends it as `template` says, or as it is without one. */
  readonly action: 'allow' | 'block';
  readonly template?: XfrmTemplate | undefined;
}

/** The association that a packet takes; what is named must be the association's. */
export interface XfrmTemplate {
  readonly source: string;
  readonly destination: string;
  readonly mode: XfrmMode;
  readonly reqid: number;
  readonly spi?: number | undefined;
  /** A packet may come without it as well. Default false. */
  readonly optional?: boolean | undefined;
}
