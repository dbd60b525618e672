/** From intents to the model. Pure: an intent becomes the same parts, whatever else is there. */
import { invalid } from '../../errors.ts';
import { FAMILIES, type Family, familyOf } from '../../ip.ts';
import { checkIntent } from './check.ts';
import { HIDDEN, JUDGED } from './connectionlabels.ts';
import {
  type BackendIntent,
  type FamilyIntent,
  type Intent,
  type LinkedPort,
  type NetworkIntent,
  POLICY_KINDS,
  type PublishedPort,
  type ResolverIntent,
  SERVICE_KINDS,
  type ServiceIntent,
} from './firewall.ts';
import {
  anyMap,
  BRIDGE_LAYOUT,
  backendMap,
  destination,
  dnsMap,
  hostMap,
  is,
  isNot,
  type Layout,
  label,
  linkSet,
  openSet,
  RESOLVER_LAYOUT,
  rule,
  SERVICE_LAYOUT,
  SETS,
  serviceMap,
  translated,
  WORDS,
} from './layout.ts';
import type { Chain, Element, Match, Rule, Verdict } from './model.ts';
import { canonical, canonicalPrefix, chainName, markText } from './names.ts';
import { type Part, type Parts, pathOf, same } from './part.ts';
import { policyParts } from './policy.ts';
import { POLICY_LAYOUT, UNTRACKED } from './policylayout.ts';
import type { SetDeclaration } from './transaction.ts';

const ACCEPT: Verdict = { kind: 'accept' };
const DROP: Verdict = { kind: 'drop' };

/** What makes a table of intents. */
export interface Compiler {
  /** The parts that are there for one intent alone. @throws INVALID_ARGUMENT for an intent that can't be */
  compile(intent: Intent): Parts;
  /** What the intents of a kind share; `undefined` for a kind that the table is not about. */
  layoutOf(kind: Intent['kind']): Layout | undefined;
}

/** The parts of the table that are there for one intent alone. @throws INVALID_ARGUMENT for an intent that can't be */
export function compile(intent: Intent): Parts {
  checkIntent(intent);
  switch (intent.kind) {
    case 'network':
      return gather(networkParts(intent));
    case 'endpoint':
      return gather(intent.ports.flatMap(portParts));
    case 'link':
      return gather(intent.ports.map(linkPart));
    case 'resolver':
      return gather(resolverParts(intent));
    case 'service':
      return gather(serviceParts(intent));
    case 'backend':
      return gather([backendPart(intent)]);
    default:
      return gather(policyParts(intent));
  }
}

/** The parts that all intents of a layout share. */
export function layoutParts({ chains, sets }: Layout): Parts {
  return gather([
    { kind: 'table' },
    ...chains.map((chain): Part => ({ kind: 'chain', chain })),
    ...sets.map((set): Part => ({ kind: 'set', set })),
  ]);
}

export function layoutOf(kind: Intent['kind']): Layout {
  if (POLICY_KINDS.has(kind)) return POLICY_LAYOUT;
  if (SERVICE_KINDS.has(kind)) return SERVICE_LAYOUT;
  return kind === 'resolver' ? RESOLVER_LAYOUT : BRIDGE_LAYOUT;
}

/** The rules of networks, policies and resolvers. */
export const RULES: Compiler = { compile, layoutOf };

/** The same for a kernel whose connections have no labels, and for tables that nothing looks after. */
export const RULES_WITHOUT_LABELS: Compiler = {
  compile: (intent) => withoutLabels(compile(intent)),
  layoutOf: (kind) => unlabelledLayout(layoutOf(kind)),
};

const asksForLabels = (match: Match): boolean => 'field' in match && match.field === 'ct label';

const unlabelled = (chain: Chain): Chain => ({
  ...chain,
  rules: chain.rules.filter(({ match, action }) => action.kind !== 'label' && !match.some(asksForLabels)),
});

const unlabelledLayouts = new Map<Layout, Layout>();

/** Always the same object for the same layout, as its users are counted by it. */
function unlabelledLayout(layout: Layout): Layout {
  const known = unlabelledLayouts.get(layout) ?? { ...layout, chains: layout.chains.map(unlabelled) };
  unlabelledLayouts.set(layout, known);
  return known;
}

function withoutLabels(parts: Parts): Parts {
  return new Map(
    [...parts].map(([path, part]) => [
      path,
      part.kind === 'chain' ? { ...part, chain: unlabelled(part.chain) } : part,
    ]),
  );
}

export function gather(parts: readonly Part[]): Parts {
  const map = new Map<string, Part>();
  for (const part of parts) {
    const path = pathOf(part);
    const twice = map.get(path);
    if (twice?.kind === 'element' && part.kind === 'element' && !same(twice, part))
      throw invalid('ports', path, 'one host port cannot lead to two places');
    map.set(path, part);
  }
  return map;
}

const declarations = new Map(
  [...BRIDGE_LAYOUT.sets, ...RESOLVER_LAYOUT.sets, ...SERVICE_LAYOUT.sets].map(
    (set): [string, SetDeclaration] => [set.name, set],
  ),
);

function element(name: string, key: readonly string[], value?: Element['value']): Part {
  const set = declarations.get(name);
  if (set === undefined) throw new TypeError(`no set is called ${name}`);
  return { kind: 'element', set, element: value === undefined ? { key } : { key, value } };
}

function networkParts(network: NetworkIntent): Part[] {
  const parts: Part[] = [element(SETS.bridges, [network.bridge])];
  const add = (prefix: string, map: string, note: Rule, rules: readonly Rule[]) => {
    const name = chainName(prefix, network.id);
    parts.push({ kind: 'chain', chain: { name, rules: [note, ...rules] } });
    parts.push(element(map, [network.bridge], { kind: 'jump', chain: name }));
  };
  const present = 'the rules of this network are there';
  add('out', SETS.fromBridge, label(present, JUDGED.from), closedRules(network, 'oifname'));
  add('in', SETS.toBridge, label(present, JUDGED.to), incomingRules(network));
  if (hidesAddresses(network)) add('nat', SETS.nat, label(present, HIDDEN), natRules(network));
  return parts;
}

/** Nothing passes between the bridge and another interface: `field` is the one that would be the other. */
function closedRules(network: NetworkIntent, field: 'iifname' | 'oifname'): Rule[] {
  const other = isNot(field, network.bridge);
  if (network.internal) return [rule('internal network', [other], DROP)];
  return FAMILIES.filter((family) => network[family]?.mode === 'isolated').map((family) =>
    rule(`${family} is isolated`, [is('nfproto', family), other], DROP),
  );
}

/** What may go to the bridge. Packets between two of its ports pass here as well, where br_netfilter is on. */
function incomingRules(network: NetworkIntent): Rule[] {
  const inside = is('iifname', network.bridge);
  const answers = rule(
    'answers',
    [{ field: 'ct state', op: '==', values: ['established', 'related'] }],
    ACCEPT,
  );
  const icc = network.icc
    ? [rule('between containers of the network', [inside], ACCEPT)]
    : [
        rule('IPv6 finds its neighbours', [inside, is('l4proto', 'icmpv6'), UNTRACKED], ACCEPT),
        ...FAMILIES.map((family) => rule(`linked ${family} ports`, [inside, linked(family)], ACCEPT)),
        rule('containers of the network may not talk to each other', [inside], DROP),
      ];
  if (network.internal)
    return [...closedRules(network, 'iifname'), ...(network.icc ? [] : [answers]), ...icc];
  const families = FAMILIES.filter((family) => network[family] !== undefined);
  const of = (...modes: FamilyIntent['mode'][]) =>
    families.filter((family) => modes.some((mode) => mode === network[family]?.mode));
  return [
    ...closedRules(network, 'iifname'),
    answers,
    ...(network.accepted
      ? [rule('marked by the host', [is('mark', markText(network.accepted))], ACCEPT)]
      : []),
    ...of('nat', 'nat-unprotected').map((family) =>
      rule(`published ${family} ports, by the host's address`, [translated, open(family)], ACCEPT),
    ),
    ...(network.direct ? of('nat') : []).map((family) =>
      rule(`published ${family} ports, directly`, [open(family)], ACCEPT),
    ),
    ...(network.trusted ?? []).flatMap((name) =>
      of('nat').map((family) =>
        rule(
          `published ${family} ports, directly from a trusted interface`,
          [is('iifname', name), open(family)],
          ACCEPT,
        ),
      ),
    ),
    ...icc,
    ...of('routed').flatMap((family) => [
      rule(`published ${family} ports`, [open(family)], ACCEPT),
      rule(`${family} is routed`, [is('nfproto', family), is('l4proto', WORDS[family].icmp)], ACCEPT),
    ]),
    ...of('nat-unprotected').map((family) =>
      rule(`${family} is not protected`, [is('nfproto', family)], ACCEPT),
    ),
    rule('not published', [], DROP),
  ];
}

function open(family: Family) {
  return { fields: destination(family), op: 'in', set: openSet(family) } as const;
}

function linked(family: Family) {
  return { fields: [WORDS[family].saddr, ...destination(family)], op: 'in', set: linkSet(family) } as const;
}

/** True where what leaves the network does not keep its source. */
export function hidesAddresses(network: NetworkIntent): boolean {
  return natRules(network).length > 0;
}

function natRules(network: NetworkIntent): Rule[] {
  if (network.internal) return [];
  return FAMILIES.flatMap((family) => familyNatRules(network.bridge, family, network[family]));
}

function familyNatRules(bridge: string, family: Family, settings: FamilyIntent | undefined): Rule[] {
  if (settings === undefined || settings.mode === 'routed' || settings.mode === 'isolated') return [];
  const source = is(WORDS[family].saddr, canonicalPrefix(settings.subnet));
  const hairpin = rule(
    `${family} published ports are reached from their own network too`,
    [is('oifname', bridge), translated, source],
    { kind: 'masquerade' },
  );
  if (settings.masquerade === false) return [hairpin];
  const hide = settings.masquerade === true ? undefined : canonical(settings.masquerade);
  return [
    hairpin,
    rule(
      `${family} addresses stay hidden`,
      [isNot('oifname', bridge), source],
      hide === undefined ? { kind: 'masquerade' } : { kind: 'snat-to', family, address: hide },
    ),
  ];
}

function portParts({ protocol, hostAddress, hostPort, address, port }: PublishedPort): Part[] {
  const family = familyOf(hostAddress) ?? 'ipv4';
  const target = [canonical(address), String(port)] as const;
  const parts = [element(openSet(family), [target[0], protocol, target[1]])];
  if (hostPort === undefined) return parts;
  const host = canonical(hostAddress);
  if (host === '0.0.0.0' || host === '::')
    return [...parts, element(anyMap(family), [protocol, String(hostPort)], target)];
  const key = [host, protocol, String(hostPort)];
  parts.push(element(hostMap(family), key, target));
  if (host.startsWith('127.')) parts.push(element(SETS.loopback, key));
  return parts;
}

function linkPart({ source, address, protocol, port }: LinkedPort): Part {
  const family = familyOf(address) ?? 'ipv4';
  return element(linkSet(family), [canonical(source), canonical(address), protocol, String(port)]);
}

function resolverParts({ address, udpPort, tcpPort }: ResolverIntent): Part[] {
  const host = canonical(address);
  const map = dnsMap(familyOf(address) ?? 'ipv4');
  return [
    element(map, [host, 'udp', '53'], [host, String(udpPort)]),
    element(map, [host, 'tcp', '53'], [host, String(tcpPort)]),
  ];
}

function serviceParts({ address, backends }: ServiceIntent): Part[] {
  const family = familyOf(address) ?? 'ipv4';
  const host = canonical(address);
  const name = chainName(`service${WORDS[family].digit}`, host);
  const draw = rule(`one of ${backends} backends of ${host}`, [], {
    kind: 'balance',
    family,
    map: backendMap(family),
    among: backends,
  });
  return [
    { kind: 'chain', chain: { name, rules: [draw] } },
    element(serviceMap(family), [host], { kind: 'goto', chain: name }),
  ];
}

function backendPart({ service, slot, address }: BackendIntent): Part {
  const key = [canonical(service), String(slot)];
  return element(backendMap(familyOf(service) ?? 'ipv4'), key, [canonical(address)]);
}
