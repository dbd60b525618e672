/**
 * Rules of iptables as data: for each family, chains with their rules as `iptables-save` writes them. The chains are
 * those that `iptables-save` shows on a machine with Docker 28.
 */
import type { Family } from '../../../ip.ts';
import { CHAINS } from '../connectionlabels.ts';
import type { LabelBit } from '../model.ts';

export type IpTable = 'raw' | 'nat' | 'filter';

/** A chain by its table and name: `filter DOCKER-USER`. */
export type ChainKey = `${IpTable} ${string}`;

/** A rule that should be there. */
export interface WantedRule {
  /** What `iptables-save` writes after `-A CHAIN `. */
  readonly text: string;
  /** In a chain, rules of a lower rank come before those of a higher one. */
  readonly rank: number;
  /** Of one owner's rules in a chain the order counts; of different owners' it does not. */
  readonly owner: string;
}

/** Chains that should be there, each with those of its rules that are ours, in order. */
export type Wanted = ReadonlyMap<ChainKey, readonly WantedRule[]>;
export type WantedRules = ReadonlyMap<Family, Wanted>;

/** Chains that are there, each with all of its rules, ours and others'. */
export type Held = ReadonlyMap<ChainKey, readonly string[]>;

const USER = 'DOCKER-USER';
/** Of the user: made if missing, never changed, and called before all of ours. */
export const USER_CHAIN: ChainKey = `filter ${USER}`;
/** The one rule without our comment, as it may have been there before and may stay. */
export const USER_JUMP = { chain: 'filter FORWARD', text: `-j ${USER}` } as const satisfies {
  chain: ChainKey;
  text: string;
};

/** Chains that we make and remove. */
export const OWN_CHAINS: readonly ChainKey[] = [
  'nat DOCKER',
  'nat DOCKER_OUTPUT',
  'nat DOCKER_POSTROUTING',
  'filter DOCKER',
  'filter DOCKER-BRIDGE',
  'filter DOCKER-CT',
  'filter DOCKER-FORWARD',
  'filter DOCKER-INTERNAL',
];

const BUILT_IN = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

/** The rank of a rule that has to be the first of its chain, before those of others. */
export const FIRST = -1;

/** A match that always fits and labels new connections. */
export function labelText(bit: LabelBit): string {
  return `-m conntrack --ctstate NEW -m connlabel --label ${bit} --set`;
}

const FIRST_LABELS = [CHAINS.forward, CHAINS.internal, CHAINS.docker].map(
  (bit) => `${labelText(bit)} -m comment --comment `,
);

/** True for rules of that rank, whichever controller made them: they do not mind which of them is first. */
export function isFirstLabel(text: string): boolean {
  return FIRST_LABELS.some((start) => text.startsWith(start));
}

export function tableOf(key: ChainKey): IpTable {
  return key.slice(0, key.indexOf(' ')) as IpTable;
}

export function chainOf(key: ChainKey): string {
  return key.slice(key.indexOf(' ') + 1);
}

export function isBuiltIn(key: ChainKey): boolean {
  return BUILT_IN.includes(chainOf(key));
}

/** True for rules that bear our comment. */
export function isStamped(text: string, stamp: string): boolean {
  return ` ${text} `.includes(` -m comment --comment ${stamp} `);
}
