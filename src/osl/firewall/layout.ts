/**
 * The part of a table that does not depend on how many networks and endpoints there are: its base chains, and the
 * sets and maps that the packets of all networks are looked up in.
 */
import { FAMILIES, type Family } from '../../ip.ts';
import { type Direction, has, isNew, JUDGED, lacks, SEEN } from './connectionlabels.ts';
import type { Action, Chain, Field, Hook, KeyType, LabelBit, Match, Rule } from './model.ts';
import { USER_CHAIN } from './part.ts';
import type { SetDeclaration } from './transaction.ts';

/** A family's words in fields and names. */
export const WORDS = {
  ipv4: { digit: '4', saddr: 'ip saddr', daddr: 'ip daddr', icmp: 'icmp' },
  ipv6: { digit: '6', saddr: 'ip6 saddr', daddr: 'ip6 daddr', icmp: 'icmpv6' },
} as const satisfies Record<Family, object>;

/** What a whole class of intents shares. */
export interface Layout {
  readonly name: string;
  readonly chains: readonly Chain[];
  readonly sets: readonly SetDeclaration[];
}

/** The sets and maps of bridged networks, by what they are for. `4` and `6` tell the family. */
export const SETS = {
  /** The interfaces of our bridges. */
  bridges: 'bridges',
  /** Bridge to the chain that judges what comes from it; only where something is refused. */
  fromBridge: 'from-bridge',
  /** Bridge to the chain that judges what goes to it. */
  toBridge: 'to-bridge',
  /** Bridge to the chain that hides the addresses of its network. */
  nat: 'nat-bridge',
  /** Host loopback addresses and ports that are published. */
  loopback: 'loopback4',
} as const;

/** Container addresses and ports that may be reached from outside. */
export const openSet = (family: Family): string => `open${WORDS[family].digit}`;
/** Who may reach which port of which container, where containers may not talk to each other. */
export const linkSet = (family: Family): string => `links${WORDS[family].digit}`;
/** Host address and port to container address and port. */
export const hostMap = (family: Family): string => `publish${WORDS[family].digit}`;
/** The same for ports that are published on every host address. */
export const anyMap = (family: Family): string => `publish${WORDS[family].digit}-any`;
/** The address and port of DNS to those of a sandbox's resolver. */
export const dnsMap = (family: Family): string => `dns${WORDS[family].digit}`;

/** The address of a service to the chain that draws one of its backends. */
export const serviceMap = (family: Family): string => `service${WORDS[family].digit}`;
/** The address of a service and a slot to the address of the backend there. */
export const backendMap = (family: Family): string => `backend${WORDS[family].digit}`;

/** The destination of a packet, as the sets of `ENDPOINT_KEY` are asked for. */
export const destination = (family: Family): Field[] => [WORDS[family].daddr, 'l4proto', 'dport'];
const endpointKey = (family: Family): KeyType[] => [family, 'protocol', 'port'];

export const is = (field: Field, value: string): Match => ({ field, op: '==', values: [value] });
export const isNot = (field: Field, value: string): Match => ({ field, op: '!=', values: [value] });
export const translated: Match = { field: 'ct status', op: '==', values: ['dnat'] };

export function rule(comment: string, match: readonly Match[], action: Action): Rule {
  return { match, action, comment };
}

/** Notes on a new connection that the rules are there. */
export function label(comment: string, bit: LabelBit, match: readonly Match[] = []): Rule {
  return rule(comment, [isNew, ...match], { kind: 'label', bit });
}

/** A base chain. */
export const base = (name: string, hook: Omit<Hook, 'policy'>, rules: readonly Rule[]): Chain => ({
  name,
  hook: { ...hook, policy: 'accept' },
  rules,
});

const amongBridges = (field: 'iifname' | 'oifname'): Match => ({
  fields: [field],
  op: 'in',
  set: SETS.bridges,
});

/** Before everything else: no rule of the host's or the user's has to do with it. */
export const LOOPBACK_IS_CLOSED = rule(
  'containers do not reach the loopback addresses of the host',
  [amongBridges('iifname'), is('ip daddr', '127.0.0.0/8')],
  { kind: 'drop' },
);

const toLocal = rule('what is for this host may be for a published port', [is('fib daddr type', 'local')], {
  kind: 'jump',
  chain: 'publish',
});

/** Of bridged networks, in the namespace of the host. Every base chain accepts: packets of others are not judged. */
export const BRIDGE_LAYOUT: Layout = {
  name: 'bridge',
  chains: [
    base('raw-prerouting', { type: 'filter', hook: 'prerouting', priority: -300 }, [
      LOOPBACK_IS_CLOSED,
      rule(
        'ports published on a loopback address are for the host alone',
        [isNot('iifname', 'lo'), { fields: destination('ipv4'), op: 'in', set: SETS.loopback }],
        { kind: 'drop' },
      ),
    ]),
    base('nat-prerouting', { type: 'nat', hook: 'prerouting', priority: -100 }, [toLocal]),
    base('nat-output', { type: 'nat', hook: 'output', priority: -100 }, [toLocal]),
    {
      name: 'publish',
      rules: [
        rule('a link-local source cannot be routed', [is('ip6 saddr', 'fe80::/10')], { kind: 'return' }),
        rule('answers to ::1 cannot come from another interface', [is('ip6 daddr', '::1')], {
          kind: 'return',
        }),
        ...FAMILIES.flatMap(publish),
      ],
    },
    base('nat-postrouting', { type: 'nat', hook: 'postrouting', priority: 100 }, [
      rule(
        'answers to the loopback address of the host must find back',
        [{ fields: ['oifname'], op: 'in', set: SETS.bridges }, is('ip saddr', '127.0.0.0/8')],
        { kind: 'masquerade' },
      ),
      rule('leaving a network', [], { kind: 'vmap', fields: ['iifname'], map: SETS.nat }),
      rule('back into the same network', [], { kind: 'vmap', fields: ['oifname'], map: SETS.nat }),
    ]),
    { name: USER_CHAIN, rules: [] },
    base('forward', { type: 'filter', hook: 'forward', priority: 0 }, [
      seen('from', 'iifname'),
      seen('to', 'oifname'),
      rule('what the user says goes', [], { kind: 'jump', chain: USER_CHAIN }),
      rule('from our bridges', [], { kind: 'vmap', fields: ['iifname'], map: SETS.fromBridge }),
      unjudged('from'),
      rule('to our bridges', [], { kind: 'vmap', fields: ['oifname'], map: SETS.toBridge }),
      unjudged('to'),
    ]),
  ],
  sets: [
    { name: SETS.bridges, key: ['ifname'], value: 'none' },
    { name: SETS.fromBridge, key: ['ifname'], value: 'verdict' },
    { name: SETS.toBridge, key: ['ifname'], value: 'verdict' },
    { name: SETS.nat, key: ['ifname'], value: 'verdict' },
    { name: SETS.loopback, key: endpointKey('ipv4'), value: 'none' },
    ...FAMILIES.flatMap((family): SetDeclaration[] => [
      { name: openSet(family), key: endpointKey(family), value: 'none' },
      { name: linkSet(family), key: [family, ...endpointKey(family)], value: 'none' },
      { name: hostMap(family), key: endpointKey(family), value: `${family} . port` },
      { name: anyMap(family), key: ['protocol', 'port'], value: `${family} . port` },
    ]),
  ],
};

function seen(way: Direction, field: 'iifname' | 'oifname'): Rule {
  return label(`the rules are there for what goes ${way} our bridges`, SEEN[way], [amongBridges(field)]);
}

/** Whoever flushes rules may do so while a packet is within them: the label tells what the maps no longer do. */
function unjudged(way: Direction): Rule {
  const match = [isNew, has('ct label', SEEN[way]), lacks(JUDGED[way])];
  return rule(`the rules are gone for what goes ${way} one of our bridges`, match, { kind: 'drop' });
}

function publish(family: Family): Rule[] {
  return [
    rule(`${family} ports published on one address`, [], {
      kind: 'dnat',
      family,
      fields: destination(family),
      map: hostMap(family),
    }),
    rule(`${family} ports published on every address`, [is('nfproto', family)], {
      kind: 'dnat',
      family,
      fields: ['l4proto', 'dport'],
      map: anyMap(family),
    }),
  ];
}

/**
 * Of a sandbox's resolver, in the namespace of the sandbox. The answers need no rule: they belong to the
 * connection that was translated, and conntrack gives them the port that was asked.
 */
export const RESOLVER_LAYOUT: Layout = {
  name: 'resolver',
  chains: [
    base(
      'dns-output',
      { type: 'nat', hook: 'output', priority: -100 },
      FAMILIES.map((family) =>
        rule(`${family} DNS goes to the resolver`, [], {
          kind: 'dnat',
          family,
          fields: destination(family),
          map: dnsMap(family),
        }),
      ),
    ),
  ],
  sets: FAMILIES.map((family) => ({
    name: dnsMap(family),
    key: endpointKey(family),
    value: `${family} . port` as const,
  })),
};

const toServices = FAMILIES.map((family) =>
  rule(`${family} services`, [], {
    kind: 'vmap',
    fields: [WORDS[family].daddr],
    map: serviceMap(family),
  }),
);

/**
 * Of services, in the namespace of a sandbox: what the sandbox itself sends, and what it forwards for others. A
 * connection keeps its backend, since only its first packet is asked, so that a changed map disturbs none.
 */
export const SERVICE_LAYOUT: Layout = {
  name: 'service',
  chains: [
    base('services-output', { type: 'nat', hook: 'output', priority: -100 }, toServices),
    base('services-prerouting', { type: 'nat', hook: 'prerouting', priority: -100 }, toServices),
  ],
  sets: FAMILIES.flatMap((family): SetDeclaration[] => [
    { name: serviceMap(family), key: [family], value: 'verdict' },
    { name: backendMap(family), key: [family, 'slot'], value: family },
  ]),
};
