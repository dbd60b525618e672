/**
 * From a network's policy to rules. What varies with endpoints is elements of sets, so that neither a packet's path
 * nor the cost of a join grows with them. Pure.
 */
import { FAMILIES, type Family, familyOf, parsePrefix } from '../../ip.ts';
import { type Direction, POLICED } from './connectionlabels.ts';
import type {
  AllowedIntent,
  MemberIntent,
  PolicyIntent,
  PolicyPart,
  PolicyPeer,
  PolicyPortIntent,
  PolicyRuleIntent,
} from './firewall.ts';
import { is, label, rule, WORDS } from './layout.ts';
import type { Element, Match, Rule, Verdict } from './model.ts';
import { canonical, chainName } from './names.ts';
import type { Part } from './part.ts';
import { POLICY_LAYOUT, POLICY_MAPS, sourceSet } from './policylayout.ts';
import type { SetDeclaration } from './transaction.ts';

/** Which way a packet goes, as far as a chain knows it without looking. */
export type Way = 'inside' | 'out' | 'in' | 'toHost' | 'fromHost';
const WAYS: readonly Way[] = ['inside', 'out', 'in', 'toHost', 'fromHost'];

/** The chain of a network that judges what goes one way. */
const CHAINS: Readonly<Record<Way, string>> = {
  inside: 'policy-inside',
  out: 'policy-out',
  in: 'policy-in',
  toHost: 'policy-to-host',
  fromHost: 'policy-from-host',
};

export function policyParts(intent: PolicyPart): Part[] {
  if (intent.kind === 'policy') return networkParts(intent);
  return intent.kind === 'member' ? memberParts(intent) : allowedParts(intent);
}

const declarations = new Map(POLICY_LAYOUT.sets.map((set) => [set.name, set]));

function element(name: string, key: readonly string[], value?: Verdict): Part {
  const set = declarations.get(name);
  if (set === undefined) throw new TypeError(`no set of policies is called ${name}`);
  return { kind: 'element', set, element: value === undefined ? { key } : { key, value } };
}

/** A set of a network's own: of endpoints, or of what names stand for. */
function ownSet(kind: 'members' | 'names', network: string, set: string, family: Family): SetDeclaration {
  const name = `${chainName(`${kind}${WORDS[family].digit}`, network)}-${set}`;
  return { name, key: [family], value: 'none', ...(kind === 'names' && { timeouts: true }) };
}

function networkParts(policy: PolicyIntent): Part[] {
  const { id, bridge } = policy;
  const chains = WAYS.map(
    (way): Part => ({
      kind: 'chain',
      chain: { name: chainName(CHAINS[way], id), rules: rulesOf(policy, way) },
    }),
  );
  const to = (way: Way, kind: 'jump' | 'goto' = 'jump'): Verdict => ({
    kind,
    chain: chainName(CHAINS[way], id),
  });
  return [
    ...ownSets(policy).map((set): Part => ({ kind: 'set', set })),
    ...chains,
    // A packet between two endpoints is judged here and nowhere else.
    element(POLICY_MAPS.inside, [bridge, bridge], to('inside', 'goto')),
    element(POLICY_MAPS.out, [bridge], to('out')),
    element(POLICY_MAPS.in, [bridge], to('in')),
    element(POLICY_MAPS.toHost, [bridge], to('toHost')),
    element(POLICY_MAPS.fromHost, [bridge], to('fromHost')),
  ];
}

function ownSets({ id, rules }: PolicyIntent): SetDeclaration[] {
  const peers = rules.flatMap(({ from = [], to = [] }) => [...from, ...to]);
  return peers.flatMap((peer) =>
    peer.kind === 'members' || peer.kind === 'names'
      ? FAMILIES.map((family) => ownSet(peer.kind, id, peer.set, family))
      : [],
  );
}

function memberParts({ network, bridge, addresses, sets }: MemberIntent): Part[] {
  return addresses.flatMap((text) => {
    const family = familyOf(text) ?? 'ipv4';
    const address = canonical(text);
    return [
      element(sourceSet(family), [bridge, address]),
      ...sets.flatMap((name): Part[] => {
        const set = ownSet('members', network, name, family);
        return [
          { kind: 'set', set },
          { kind: 'element', set, element: { key: [address] } },
        ];
      }),
    ];
  });
}

function allowedParts({ network, set: name, address, expires }: AllowedIntent): Part[] {
  const set = ownSet('names', network, name, familyOf(address) ?? 'ipv4');
  const allowed: Element = { key: [canonical(address)], expires };
  return [
    { kind: 'set', set },
    { kind: 'element', set, element: allowed },
  ];
}

function rulesOf(policy: PolicyIntent, way: Way): Rule[] {
  const judged = policy.rules.flatMap((each) => ruleAlternatives(policy.id, each, way));
  const present = LABELLED[way].map((end) => label('the policy is there', POLICED[end]));
  return [...present, ...(way === 'out' ? FAMILIES.map(genuine) : []), ...judged];
}

/** Else a forged source would be nobody's, and no rule about endpoints would fit it. */
function genuine(family: Family): Rule {
  const match: Match = { fields: ['iifname', WORDS[family].saddr], op: 'not in', set: sourceSet(family) };
  return rule(`${family} sources that no endpoint of the network has`, [match], { kind: 'drop' });
}

/** A match for packets of one family, or of both. */
interface Alternative {
  readonly family: Family | undefined;
  readonly match: readonly Match[];
}

const EVERYBODY: readonly Alternative[] = [{ family: undefined, match: [] }];

function ruleAlternatives(
  network: string,
  { action, comment, from, to, ports }: PolicyRuleIntent,
  way: Way,
): Rule[] {
  const verdict: Verdict = action === 'allow' ? { kind: 'return' } : { kind: 'drop' };
  const sources = from?.flatMap((peer) => peerAlternatives(network, peer, way, 'from')) ?? EVERYBODY;
  const targets = to?.flatMap((peer) => peerAlternatives(network, peer, way, 'to')) ?? EVERYBODY;
  return sources.flatMap((source) =>
    targets.flatMap((target) => {
      if (source.family && target.family && source.family !== target.family) return [];
      const family = source.family ?? target.family;
      return portAlternatives(ports, family).map((port) =>
        rule(comment, [...source.match, ...target.match, ...port], verdict),
      );
    }),
  );
}

/** Which sides of a network the chain of a way stands for. */
const LABELLED: Readonly<Record<Way, readonly Direction[]>> = {
  inside: ['from', 'to'],
  out: ['from'],
  in: ['to'],
  toHost: ['from'],
  fromHost: ['to'],
};

/** At which end of which way endpoints of the network are. */
const OURS: Readonly<Record<'from' | 'to', readonly Way[]>> = {
  from: ['inside', 'out', 'toHost'],
  to: ['inside', 'in', 'fromHost'],
};

/** None where nobody that is meant can be at that end. */
function peerAlternatives(
  network: string,
  peer: PolicyPeer,
  way: Way,
  end: 'from' | 'to',
): readonly Alternative[] {
  const isOurs = OURS[end].includes(way);
  const fields = (family: Family) => (end === 'from' ? WORDS[family].saddr : WORDS[family].daddr);
  switch (peer.kind) {
    case 'outside':
      return isOurs ? [] : EVERYBODY;
    case 'host':
      return way === (end === 'from' ? 'fromHost' : 'toHost') ? EVERYBODY : [];
    case 'prefix': {
      const family = familyOf(peer.prefix.split('/')[0] ?? '') ?? 'ipv4';
      // What all addresses are in says no more than the family.
      const match =
        parsePrefix(peer.prefix)?.length === 0 ? is('nfproto', family) : is(fields(family), peer.prefix);
      return [{ family, match: [match] }];
    }
    case 'members':
    case 'names':
      if (isOurs !== (peer.kind === 'members') || (peer.kind === 'names' && end === 'from')) return [];
      return FAMILIES.map((family) => {
        const { name } = ownSet(peer.kind, network, peer.set, family);
        return { family, match: [{ fields: [fields(family)], op: 'in', set: name }] };
      });
  }
}

function portAlternatives(
  ports: readonly PolicyPortIntent[] | undefined,
  family: Family | undefined,
): readonly Match[][] {
  if (ports === undefined) return [[]];
  return ports.flatMap(({ protocol, first, last = first }): Match[][] => {
    if (protocol === 'icmp')
      return FAMILIES.filter((each) => family === undefined || each === family).map((each) => [
        is('nfproto', each),
        is('l4proto', WORDS[each].icmp),
      ]);
    const transport = is('l4proto', protocol);
    if (first === undefined || last === undefined) return [[transport]];
    if (first === last) return [[transport, is('dport', String(first))]];
    return [[transport, { field: 'dport', op: 'range', values: [String(first), String(last)] }]];
  });
}
