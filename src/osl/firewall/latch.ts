/**
 * What keeps networks shut while their rules are gone, because somebody has flushed them: a table that nobody but the
 * socket that made it can change (`NFT_TABLE_F_OWNER`, linux/netfilter/nf_tables.h). It judges nothing by itself. The
 * rules of networks and policies label each new connection that they see, before they say anything about it; the latch
 * refuses new connections of our bridges that have no label. So it is neutral for as long as the rules are there, and
 * closed from the moment that they are not. What was let in before goes on: its connections are confirmed.
 */
import { type Compiler, gather } from './compile.ts';
import type { Intent } from './firewall.ts';
import { base, is, isNew, JUDGED, type Layout, LOOPBACK_IS_CLOSED, rule, SETS } from './layout.ts';
import type { ConnectionField, Hook, LabelBit, Match, Rule } from './model.ts';
import type { Part } from './part.ts';
import { PERMITTED } from './policylayout.ts';
import type { SetDeclaration } from './transaction.ts';

/** The latch of a table of rules. */
export const latchOf = (table: string): string => `${table}-latch`;

/** After the rules of networks, which have 0. */
const PRIORITY = 10;
const BRIDGES: SetDeclaration = { name: SETS.bridges, key: ['ifname'], value: 'none' };
/** Bridges of networks with a policy. */
const POLICED: SetDeclaration = { name: 'policed', key: ['ifname'], value: 'none' };

function latch(
  name: string,
  hook: Hook['hook'],
  bit: LabelBit,
  unjudged: readonly (readonly [text: string, match: readonly Match[]])[],
) {
  const has = (field: ConnectionField, value: 'confirmed' | LabelBit): Match => ({
    field,
    op: '==',
    values: [value],
  });
  return base(name, { type: 'filter', hook, priority: PRIORITY }, [
    rule('what passed before goes on', [has('ct status', 'confirmed')], { kind: 'accept' }),
    rule('the rules have seen it', [has('ct label', bit)], { kind: 'accept' }),
    ...unjudged.map(([text, match]): Rule => rule(text, [isNew, ...match], { kind: 'drop' })),
  ]);
}

const from = ({ name }: SetDeclaration): Match => ({ fields: ['iifname'], op: 'in', set: name });
const to = ({ name }: SetDeclaration): Match => ({ fields: ['oifname'], op: 'in', set: name });
const FROM = 'from a bridge whose rules are gone';
const TO = 'to a bridge whose rules are gone';

const NETWORKS: Layout = {
  name: 'networks',
  chains: [
    base('latch-prerouting', { type: 'filter', hook: 'prerouting', priority: -300 }, [LOOPBACK_IS_CLOSED]),
    // Without any chain of this kind the kernel would no longer translate what it has translated so far.
    base('latch-nat', { type: 'nat', hook: 'prerouting', priority: -90 }, []),
    latch('latch-forward', 'forward', JUDGED, [
      [FROM, [from(BRIDGES)]],
      [TO, [to(BRIDGES)]],
    ]),
  ],
  sets: [BRIDGES],
};

const POLICIES: Layout = {
  name: 'policies',
  chains: [
    latch('policy-forward', 'forward', PERMITTED, [
      [FROM, [from(POLICED)]],
      [TO, [to(POLICED)]],
    ]),
    latch('policy-input', 'input', PERMITTED, [[FROM, [from(POLICED)]]]),
    latch('policy-postrouting', 'postrouting', PERMITTED, [
      [TO, [is('fib saddr type', 'local'), to(POLICED)]],
    ]),
  ],
  sets: [POLICED],
};

/** True for intents that the latch is about. */
export function isLatched(kind: Intent['kind']): boolean {
  return kind === 'network' || kind === 'policy';
}

/** Makes the latch of intents. */
export const LATCH: Compiler = {
  compile: (intent) => gather(partsOf(intent)),
  layoutOf: (kind) => (kind === 'network' ? NETWORKS : kind === 'policy' ? POLICIES : undefined),
};

function partsOf(intent: Intent): Part[] {
  if (intent.kind !== 'network' && intent.kind !== 'policy') return [];
  const set = intent.kind === 'network' ? BRIDGES : POLICED;
  return [{ kind: 'element', set, element: { key: [intent.bridge] } }];
}
