/**
 * What the rules note on a connection, for as long as it is new: bits of its label (CONFIG_NF_CONNTRACK_LABELS). By
 * them the latch knows that the rules are there (`latch.ts`), and the chain `forward` that a network's own chain is.
 *
 * Each bit is for one way, out of a bridge of ours or into one: what goes from one bridge of ours to another takes
 * both, also where the two are in the tables of two controllers.
 */
import type { ConnectionField, LabelBit, Match } from './model.ts';

/** Out of a bridge, or into one. */
export type Direction = 'from' | 'to';
export const DIRECTIONS: readonly Direction[] = ['from', 'to'];

/** The rules of networks have seen it, whatever they say of it, and whatever the user says. */
export const SEEN: Readonly<Record<Direction, LabelBit>> = { from: '127', to: '126' };
/** The chain of its network is there. */
export const JUDGED: Readonly<Record<Direction, LabelBit>> = { from: '125', to: '124' };
/** The chain of its network's policy is there. */
export const POLICED: Readonly<Record<Direction, LabelBit>> = { from: '123', to: '122' };
/** The chain that hides its network's addresses is there. */
export const HIDDEN: LabelBit = '121';

/**
 * The same of the engine iptables, whose chains are there for all networks and all that passes: the first rule of
 * `FORWARD` has seen it; it is back from the user's chain; `DOCKER-INTERNAL` is there; and `DOCKER`.
 */
export const CHAINS = {
  forward: '120',
  returned: '119',
  internal: '118',
  docker: '117',
} as const satisfies Record<string, LabelBit>;

/** A new connection's: of those that go on, a packet has passed before. */
export const isNew: Match = { field: 'ct state', op: '==', values: ['new'] };

export const has = (field: ConnectionField, bit: 'confirmed' | 'snat' | LabelBit): Match => ({
  field,
  op: '==',
  values: [bit],
});
export const lacks = (bit: LabelBit): Match => ({ field: 'ct label', op: '!=', values: [bit] });
