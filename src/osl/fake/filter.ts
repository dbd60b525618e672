/** The packet filter: evaluates the tables of a namespace (`firewall/model.ts`) for one packet at one hook. */
import { type Address, contains, formatAddress, parseAddress, parsePrefix } from '../../ip.ts';
import {
  type Action,
  type Chain,
  type ConnectionBit,
  type ConnectionField,
  type Element,
  type ElementSet,
  type Field,
  type Hook,
  isOver,
  type Match,
  type Rule,
  type Table,
} from '../firewall/model.ts';
import { stateOf, statusOf, type Tracked } from './conntrack.ts';
import { localAddress } from './local.ts';
import { type Interfaces, isEcho, type Packet } from './packet.ts';
import type { NetnsState } from './state.ts';

/** Everything a rule can ask for. */
export interface Question extends Interfaces {
  readonly netns: NetnsState;
  readonly packet: Packet;
  readonly tracked: Tracked;
}

export type Answer =
  | { readonly kind: 'accept' }
  | { readonly kind: 'drop'; readonly rule: string }
  | { readonly kind: 'dnat'; readonly address: Address; readonly port: number }
  | { readonly kind: 'snat'; readonly address: Address | 'masquerade' };

const ACCEPT: Answer = { kind: 'accept' };

/** The base chains of a hook and type, in the order of their priorities. */
export function chainsAt(
  tables: readonly Table[],
  hook: Hook['hook'],
  type: Hook['type'],
): readonly { readonly table: Table; readonly chain: Chain; readonly hook: Hook }[] {
  return tables
    .flatMap((table) =>
      table.chains.flatMap((chain) =>
        chain.hook?.hook === hook && chain.hook.type === type ? [{ table, chain, hook: chain.hook }] : [],
      ),
    )
    .sort((a, b) => a.hook.priority - b.hook.priority);
}

/** What a base chain says of a packet. */
export function judge(table: Table, chain: Chain, question: Question): Answer {
  const answer = walkChain(table, chain, question, 0);
  if (answer !== undefined) return answer;
  return chain.hook?.policy === 'drop' ? { kind: 'drop', rule: `policy of ${chain.name}` } : ACCEPT;
}

/** Chains that jump in a circle are refused by the kernel; this is its limit (NFT_JUMP_STACK_SIZE). */
const MAX_DEPTH = 16;

/** `undefined` where the chain ends without a verdict, or returns. */
function walkChain(table: Table, chain: Chain, question: Question, depth: number): Answer | undefined {
  for (const rule of chain.rules) {
    if (!rule.match.every((match) => matches(table, match, question))) continue;
    const outcome = act(table, rule, question);
    if (outcome === undefined) continue;
    if (outcome.kind === 'return') return undefined;
    if (!('chain' in outcome)) return outcome;
    const next = table.chains.find((candidate) => candidate.name === outcome.chain);
    const answer = next && depth < MAX_DEPTH ? walkChain(table, next, question, depth + 1) : undefined;
    if (answer !== undefined || outcome.kind === 'goto') return answer;
  }
  return undefined;
}

type Outcome =
  | Answer
  | { readonly kind: 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string };

function act(table: Table, rule: Rule, question: Question): Outcome | undefined {
  const { action } = rule;
  switch (action.kind) {
    case 'vmap':
    case 'dnat':
      return fromMap(table, rule, action, question);
    case 'balance':
      return draw(table, action, question);
    case 'snat-to': {
      const address = parseAddress(action.address);
      return address && address.family === question.packet.source.family
        ? { kind: 'snat', address }
        : undefined;
    }
    case 'masquerade':
      return { kind: 'snat', address: 'masquerade' };
    case 'drop':
      return { kind: 'drop', rule: rule.comment };
    case 'label':
      question.tracked.flow.labels.add(action.bit);
      return undefined;
    default:
      return action;
  }
}

function fromMap(
  table: Table,
  rule: Rule,
  action: Action & { readonly kind: 'vmap' | 'dnat' },
  question: Question,
): Outcome | undefined {
  const value = lookUp(table, action.map, action.fields, question)?.value;
  if (value === undefined) return undefined;
  if ('kind' in value) return value.kind === 'drop' ? { kind: 'drop', rule: rule.comment } : value;
  const address = parseAddress(value[0]);
  return address === undefined ? undefined : { kind: 'dnat', address, port: Number(value[1]) };
}

/** The drawn number is the source port's remainder: those of connections follow each other, so all have their turn. */
function draw(
  table: Table,
  { map, among }: Action & { readonly kind: 'balance' },
  { packet }: Question,
): Outcome | undefined {
  const set = table.sets.find((candidate) => candidate.name === map);
  const key = [formatAddress(packet.destination), String(packet.sourcePort % among)];
  const value = set && indexOf(set).get(key.join(' . '))?.value;
  const address = value && 'length' in value ? parseAddress(value[0]) : undefined;
  return address && { kind: 'dnat', address, port: packet.destinationPort };
}

function matches(table: Table, match: Match, question: Question): boolean {
  if ('set' in match) {
    if (match.fields.some((field) => read(field, question) === undefined)) return false;
    return (lookUp(table, match.set, match.fields, question) !== undefined) === (match.op === 'in');
  }
  if (match.field === 'ct state' || match.field === 'ct status' || match.field === 'ct label')
    return match.values.some((bit) => hasBit(match.field, bit, question.tracked)) === (match.op === '==');
  const value = read(match.field, question);
  if (value === undefined) return false;
  if (match.op === 'range')
    return Number(value) >= Number(match.values[0]) && Number(value) <= Number(match.values[1]);
  return match.values.some((wanted) => isOne(value, wanted)) === (match.op === '==');
}

function hasBit(field: ConnectionField, bit: ConnectionBit, tracked: Tracked): boolean {
  if (field === 'ct state') return bit === stateOf(tracked);
  if (field === 'ct status') return statusOf(tracked).includes(bit);
  return tracked.flow.labels.has(bit);
}

function isOne(value: string, wanted: string): boolean {
  if (value === wanted) return true;
  const address = wanted.includes('/') ? parseAddress(value) : undefined;
  const prefix = address === undefined ? undefined : parsePrefix(wanted);
  return address !== undefined && prefix !== undefined && contains(prefix, address);
}

/** The text of a field; `undefined` where the packet has no such field, which no rule matches. */
function read(field: Field, question: Question): string | undefined {
  const { packet, netns } = question;
  const { family } = packet.destination;
  switch (field) {
    case 'nfproto':
      return family;
    case 'iifname':
      return question.iif?.name ?? '';
    case 'oifname':
      return question.oif?.name ?? '';
    case 'ip saddr':
      return family === 'ipv4' ? formatAddress(packet.source) : undefined;
    case 'ip daddr':
      return family === 'ipv4' ? formatAddress(packet.destination) : undefined;
    case 'ip6 saddr':
      return family === 'ipv6' ? formatAddress(packet.source) : undefined;
    case 'ip6 daddr':
      return family === 'ipv6' ? formatAddress(packet.destination) : undefined;
    case 'ct original ip daddr': {
      const { destination } = question.tracked.flow.original;
      return destination.family === 'ipv4' ? formatAddress(destination) : undefined;
    }
    case 'l4proto':
      return packet.protocol;
    case 'dport':
      return isEcho(packet.protocol) ? undefined : String(packet.destinationPort);
    case 'mark':
      // Nobody gives packets marks here.
      return undefined;
    case 'fib daddr type':
      return localAddress(netns, packet.destination) === undefined ? 'unicast' : 'local';
    case 'fib saddr type':
      return localAddress(netns, packet.source) === undefined ? 'unicast' : 'local';
  }
}

/** Sets are immutable data, so their index is made once. */
const indexes = new WeakMap<ElementSet, Map<string, Element>>();

function lookUp(
  table: Table,
  name: string,
  fields: readonly Field[],
  question: Question,
): Element | undefined {
  const set = table.sets.find((candidate) => candidate.name === name);
  if (set === undefined) return undefined;
  const key = fields.map((field) => read(field, question));
  if (key.some((part) => part === undefined)) return undefined;
  const element = indexOf(set).get(key.join(' . '));
  return element === undefined || isOver(element) ? undefined : element;
}

function indexOf(set: ElementSet): ReadonlyMap<string, Element> {
  let index = indexes.get(set);
  if (index === undefined) {
    index = new Map(set.elements.map((element) => [element.key.join(' . '), element]));
    indexes.set(set, index);
  }
  return index;
}
