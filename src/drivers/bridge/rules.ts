/** A network's policy as the firewall is asked for it. Pure. */
import type { DriverEndpoint, PolicyPort, PolicyRule, PolicySelector } from '../../driverapi/driver.ts';
import { shortHash } from '../../ids.ts';
import { FAMILIES, overlaps, parseAddress, parsePrefix } from '../../ip.ts';
import type {
  MemberIntent,
  PolicyIntent,
  PolicyPeer,
  PolicyPortIntent,
} from '../../osl/firewall/firewall.ts';
import type { BridgeConfig } from './config.ts';
import { addressOf } from './intents.ts';

type EndpointSelector = Extract<PolicySelector, { labels: unknown } | { endpoint: unknown }>;
type Side = 'from' | 'to';

/** A set of endpoints, or of names, that rules ask for by one key. */
interface Group<T> {
  readonly key: string;
  readonly members: readonly T[];
}

/** What the firewall shows with a rule: `nft` takes 127 bytes. */
const MAX_COMMENT = 120;

export function policyIntent({ id, bridge, policy }: BridgeConfig): PolicyIntent {
  return {
    kind: 'policy',
    id,
    bridge,
    rules: policy.map((rule, i) => ({
      action: rule.action,
      comment: describe(rule, i),
      from: peers(rule, 'from'),
      to: peers(rule, 'to'),
      ports: rule.ports?.map(portIntent),
    })),
  };
}

/** The endpoint as a member of its network: what its rules know it by. */
export function memberIntent({ id, bridge, policy }: BridgeConfig, endpoint: DriverEndpoint): MemberIntent {
  const groups = policy.flatMap((rule) =>
    [endpointGroup(rule, 'from') ?? [], endpointGroup(rule, 'to') ?? []].flat(),
  );
  const sets = groups.filter(({ members }) => members.some((each) => isMeant(each, endpoint)));
  return {
    kind: 'member',
    id: endpoint.id,
    network: id,
    bridge,
    addresses: FAMILIES.flatMap((family) => addressOf(endpoint, family) ?? []),
    sets: [...new Set(sets.map(({ key }) => key))],
  };
}

/** The sets whose rules allow a name. */
export function namedSets({ policy }: BridgeConfig, name: string): readonly string[] {
  const groups = policy.flatMap((rule) => namesGroup(rule) ?? []);
  const fitting = groups.filter(({ members }) => members.some((pattern) => fits(pattern, name)));
  return [...new Set(fitting.map(({ key }) => key))];
}

/** True when the policy has something to say about what passes between two endpoints of the network. */
export function judgesInside(config: BridgeConfig): boolean {
  const canBeInside = (selectors: PolicyRule['from']) =>
    selectors === undefined || listOf(selectors).some((each) => isInside(config, each));
  return config.policy.some(({ from, to }) => canBeInside(from) && canBeInside(to));
}

function isInside(config: BridgeConfig, selector: PolicySelector): boolean {
  if (typeof selector !== 'string') return !('names' in selector);
  const address = parseAddress(selector);
  const prefix = address
    ? parsePrefix(`${selector}/${address.family === 'ipv4' ? 32 : 128}`)
    : parsePrefix(selector);
  return FAMILIES.some((family) => {
    const subnet = config[family]?.subnet;
    return subnet !== undefined && prefix !== undefined && overlaps(prefix, subnet);
  });
}

function listOf(selectors: PolicyRule['from']): readonly PolicySelector[] {
  if (selectors === undefined) return [];
  return isList(selectors) ? selectors : [selectors];
}

function isList(
  selectors: PolicySelector | readonly PolicySelector[],
): selectors is readonly PolicySelector[] {
  return Array.isArray(selectors);
}

function peers(rule: PolicyRule, side: Side): readonly PolicyPeer[] | undefined {
  if (rule[side] === undefined) return undefined;
  const plain = listOf(rule[side]).flatMap((each): PolicyPeer[] => {
    if (typeof each !== 'string') return [];
    return [each === 'outside' || each === 'host' ? { kind: each } : { kind: 'prefix', prefix: each }];
  });
  const endpoints = endpointGroup(rule, side);
  const names = side === 'to' ? namesGroup(rule) : undefined;
  return [
    ...(endpoints ? [{ kind: 'members' as const, set: endpoints.key }] : []),
    ...plain,
    ...(names ? [{ kind: 'names' as const, set: names.key }] : []),
  ];
}

function endpointGroup(rule: PolicyRule, side: Side): Group<EndpointSelector> | undefined {
  return group(
    listOf(rule[side]).flatMap((each): EndpointSelector[] =>
      typeof each === 'string' || 'names' in each ? [] : [each],
    ),
    (each) => JSON.stringify('endpoint' in each ? each.endpoint : Object.entries(each.labels).sort()),
  );
}

function namesGroup(rule: PolicyRule): Group<string> | undefined {
  const names = listOf(rule.to).flatMap((each) =>
    typeof each === 'object' && 'names' in each ? each.names : [],
  );
  return group(names, (name) => name.toLowerCase());
}

/** The same key for the same selectors, so that a set stays through a change of policy that keeps them. */
function group<T>(members: readonly T[], text: (member: T) => string): Group<T> | undefined {
  if (members.length === 0) return undefined;
  return { members, key: shortHash([...new Set(members.map(text))].sort().join('\n'), 8) };
}

function isMeant(selector: EndpointSelector, { name, labels = {} }: DriverEndpoint): boolean {
  if ('endpoint' in selector) return selector.endpoint === name;
  return Object.entries(selector.labels).every(([key, value]) => labels[key] === value);
}

function fits(pattern: string, name: string): boolean {
  const [wanted, given] = [pattern.toLowerCase(), name.toLowerCase().replace(/\.$/, '')];
  return wanted.startsWith('*.') ? given.endsWith(wanted.slice(1)) : given === wanted;
}

function portIntent({ protocol, port, portEnd }: PolicyPort): PolicyPortIntent {
  return port === undefined ? { protocol } : { protocol, first: port, last: portEnd ?? port };
}

function describe({ from, to, ports = [], action }: PolicyRule, index: number): string {
  const by = ports.map(({ protocol, port, portEnd }) =>
    port === undefined ? protocol : `${protocol} ${port}${portEnd === undefined ? '' : `-${portEnd}`}`,
  );
  const ends = `from ${show(from)} to ${show(to)}${by.length === 0 ? '' : ` by ${by.join(', ')}`}`;
  const text = `policy[${index}] ${action} ${ends}`.replace(/[^ -~]|["\\]/g, '?');
  return text.length > MAX_COMMENT ? `${text.slice(0, MAX_COMMENT - 3)}...` : text;
}

function show(selectors: PolicyRule['from']): string {
  if (selectors === undefined) return 'all';
  return listOf(selectors)
    .map((each) => {
      if (typeof each === 'string') return each;
      if ('names' in each) return each.names.join(' or ');
      if ('endpoint' in each) return `endpoint ${each.endpoint}`;
      return Object.entries(each.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(' and ');
    })
    .join(' or ');
}
