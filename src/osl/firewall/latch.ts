/**
 * What keeps networks shut while their rules are gone, because somebody has flushed them: a table that nobody but the
 * socket that made it can change (`NFT_TABLE_F_OWNER`, linux/netfilter/nf_tables.h). It judges nothing by itself. The
 * rules of networks and policies label each new connection that they see (`connectionlabels.ts`); the latch refuses new
 * connections of our bridges that have no label. So it is neutral for as long as the rules are there, and closed from
 * the moment that they are not. What was let in before goes on: its connections are confirmed.
 */
import { FAMILIES, type Family } from '../../ip.ts';
import { type Compiler, gather, hidesAddresses } from './compile.ts';
import {
  CHAINS,
  DIRECTIONS,
  type Direction,
  HIDDEN,
  has,
  isNew,
  lacks,
  POLICED,
  SEEN,
} from './connectionlabels.ts';
import type { Intent, NetworkIntent } from './firewall.ts';
import { base, is, type Layout, LOOPBACK_IS_CLOSED, rule, SETS } from './layout.ts';
import type { Chain, Hook, LabelBit, Match, Rule } from './model.ts';
import type { Part } from './part.ts';
import type { SetDeclaration } from './transaction.ts';

/** The latch of a table of rules. */
export const latchOf = (table: string): string => `${table}-latch`;

/** After the rules of networks, which have 0; and after those that translate, which have 100. */
const PRIORITY = 10;
const AFTER_NAT = 110;
const BRIDGES: SetDeclaration = { name: SETS.bridges, key: ['ifname'], value: 'none' };
/** Bridges of networks that hide their addresses. */
const HIDING: SetDeclaration = { name: 'hiding', key: ['ifname'], value: 'none' };
/** With iptables: bridges that nothing is let in to but what was translated, by family; and what passes within one. */
const TRANSLATED: Readonly<Record<Family, SetDeclaration>> = {
  ipv4: { name: 'translated4', key: ['ifname'], value: 'none' },
  ipv6: { name: 'translated6', key: ['ifname'], value: 'none' },
};
const WITHIN: SetDeclaration = { name: 'within', key: ['ifname', 'ifname'], value: 'none' };
/** Bridges of networks with a policy. */
const POLICED_BRIDGES: SetDeclaration = { name: 'policed', key: ['ifname'], value: 'none' };

function latch(name: string, hook: Hook['hook'], rules: readonly Rule[], priority = PRIORITY) {
  return base(name, { type: 'filter', hook, priority }, [
    rule('what passed before goes on', [has('ct status', 'confirmed')], { kind: 'accept' }),
    ...rules,
  ]);
}

/** @param also what else must be so */
function unseen(way: Direction, set: SetDeclaration, bit: LabelBit, also: readonly Match[] = []): Rule {
  const at: Match = { fields: [way === 'from' ? 'iifname' : 'oifname'], op: 'in', set: set.name };
  return rule(`${way} a bridge whose rules are gone`, [isNew, ...also, at, lacks(bit)], { kind: 'drop' });
}

/** The user has not accepted it. */
const RETURNED = has('ct label', CHAINS.returned);

/** Whatever engine the rules are of. */
const EVERYWHERE: readonly Chain[] = [
  base('latch-prerouting', { type: 'filter', hook: 'prerouting', priority: -300 }, [LOOPBACK_IS_CLOSED]),
  // Without any chain of this kind the kernel would no longer translate what it has translated so far.
  base('latch-nat', { type: 'nat', hook: 'prerouting', priority: -90 }, []),
];

/** It was translated, though the rule is gone that keeps such packets out before they are. */
const TO_LOOPBACK = rule(
  'to a port that is published on a loopback address',
  [is('ct original ip daddr', '127.0.0.0/8'), { fields: ['oifname'], op: 'in', set: BRIDGES.name }],
  { kind: 'drop' },
);

const NETWORKS: Layout = {
  name: 'networks',
  chains: [
    ...EVERYWHERE,
    latch('latch-forward', 'forward', [
      unseen('from', BRIDGES, SEEN.from),
      unseen('to', BRIDGES, SEEN.to),
      TO_LOOPBACK,
    ]),
    latch(
      'latch-postrouting',
      'postrouting',
      [
        rule('somebody else has hidden its address', [has('ct status', 'snat')], { kind: 'accept' }),
        unseen('from', HIDING, HIDDEN),
      ],
      AFTER_NAT,
    ),
  ],
  sets: [BRIDGES, HIDING],
};

/**
 * With the engine iptables no rule stands behind the chains that could refuse where one of them is empty. Of hidden
 * addresses it knows nothing: a rule of the host's may come before ours, to spare a connection.
 */
const IPTABLES_NETWORKS: Layout = {
  name: 'networks',
  chains: [
    ...EVERYWHERE,
    latch('latch-forward', 'forward', [
      ...DIRECTIONS.flatMap((way) => [
        unseen(way, BRIDGES, CHAINS.forward),
        unseen(way, BRIDGES, CHAINS.internal, [RETURNED]),
      ]),
      unseen('to', BRIDGES, CHAINS.docker, [RETURNED]),
      TO_LOOPBACK,
      ...FAMILIES.map(untranslated),
    ]),
  ],
  sets: [BRIDGES, ...Object.values(TRANSLATED), WITHIN],
};

/** The chain `DOCKER` lets in to published ports whoever gets as far as to it: rules of `raw` keep out who should not. */
function untranslated(family: Family): Rule {
  const match: readonly Match[] = [
    isNew,
    RETURNED,
    is('nfproto', family),
    { fields: ['oifname'], op: 'in', set: TRANSLATED[family].name },
    { fields: ['iifname', 'oifname'], op: 'not in', set: WITHIN.name },
    { field: 'ct status', op: '!=', values: ['dnat'] },
  ];
  return rule(`to an ${family} address of a container from outside`, match, { kind: 'drop' });
}

const POLICIES: Layout = {
  name: 'policies',
  chains: [
    latch('policy-forward', 'forward', [
      unseen('from', POLICED_BRIDGES, POLICED.from),
      unseen('to', POLICED_BRIDGES, POLICED.to),
    ]),
    latch('policy-input', 'input', [unseen('from', POLICED_BRIDGES, POLICED.from)]),
    latch('policy-postrouting', 'postrouting', [
      unseen('to', POLICED_BRIDGES, POLICED.to, [is('fib saddr type', 'local')]),
    ]),
  ],
  sets: [POLICED_BRIDGES],
};

/** True for intents that the latch is about. */
export function isLatched(kind: Intent['kind']): boolean {
  return kind === 'network' || kind === 'policy';
}

/** Makes the latch of intents, by the engine that makes their rules. */
export const LATCHES: Readonly<Record<'nftables' | 'iptables', Compiler>> = {
  nftables: latchOver(NETWORKS, (network) => (hidesAddresses(network) ? [bridgeIn(HIDING, network)] : [])),
  iptables: latchOver(IPTABLES_NETWORKS, translatedParts),
};

/** @param more what a network has there beside its bridge */
function latchOver(networks: Layout, more: (network: NetworkIntent) => readonly Part[]): Compiler {
  return {
    compile: (intent) => {
      if (intent.kind === 'policy') return gather([bridgeIn(POLICED_BRIDGES, intent)]);
      return gather(intent.kind === 'network' ? [bridgeIn(BRIDGES, intent), ...more(intent)] : []);
    },
    layoutOf: (kind) => (kind === 'network' ? networks : kind === 'policy' ? POLICIES : undefined),
  };
}

function bridgeIn(set: SetDeclaration, { bridge }: { readonly bridge: string }): Part {
  return { kind: 'element', set, element: { key: set.key.map(() => bridge) } };
}

function translatedParts(network: NetworkIntent): readonly Part[] {
  const { direct, accepted, trusted = [] } = network;
  if (direct || accepted !== undefined || trusted.length > 0) return [];
  const families = FAMILIES.filter((family) => network[family]?.mode === 'nat');
  return [bridgeIn(WITHIN, network), ...families.map((family) => bridgeIn(TRANSLATED[family], network))];
}
