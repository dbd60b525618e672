/** The way of one packet through the rules of some intents: which rules it meets, and where it ends. Pure. */
import { type Address, contains, type Family, formatAddress, parseAddress, parsePrefix } from '../../ip.ts';
import type { Protocol } from '../osl.ts';
import type { Intent } from './firewall.ts';
import {
  type Chain,
  type ConnectionBit,
  type Field,
  type Hook,
  isOver,
  type Match,
  type Rule,
  type Table,
} from './model.ts';
import { renderRule } from './render.ts';
import { Ruleset } from './ruleset.ts';

/** The first packet of a connection. */
export interface TracedPacket {
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: Protocol | 'icmp' | 'icmpv6';
  readonly port?: number | undefined;
  /** The interface it comes in by; `undefined` where the host itself sends it. */
  readonly iif: string | undefined;
  /** The interface that leads to an address; `undefined` for the host's own addresses. */
  readonly route: (to: Address) => string | undefined;
}

export interface TraceStep {
  /** `prerouting`, `forward`, … */
  readonly hook: Hook['hook'];
  readonly chain: string;
  /** Why the rule is there. */
  readonly comment: string;
  /** The rule as `nft` writes it. */
  readonly rule: string;
  readonly outcome: string;
}

export interface Trace {
  readonly verdict: 'accept' | 'drop';
  /** Rules that fit, in the order in which the packet meets them. */
  readonly steps: readonly TraceStep[];
  /** Where it is after translation: `10.9.0.5:80`. */
  readonly destination: string;
  /** What its source becomes, where it is hidden. */
  readonly source: string;
}

type Way = 'through' | 'in' | 'out';
const HOOKS: Readonly<Record<Way, readonly Hook['hook'][]>> = {
  through: ['forward', 'postrouting'],
  in: ['input'],
  out: ['postrouting'],
};

/** @throws INVALID_ARGUMENT, CONFLICT for intents that can't be */
export function traceRules(intents: readonly Intent[], packet: TracedPacket): Trace {
  const table = Ruleset.of('libnetwork', intents).table();
  const walk = new Walk(table, packet);
  const first = packet.iif === undefined ? 'output' : 'prerouting';
  if (walk.pass(first)) {
    const isLocal = packet.route(walk.destination) === undefined;
    const way: Way = packet.iif === undefined ? (isLocal ? 'in' : 'out') : isLocal ? 'in' : 'through';
    for (const hook of HOOKS[way]) if (!walk.pass(hook)) break;
  }
  return walk.trace();
}

type Outcome = 'accept' | 'drop' | 'return' | undefined;
const MAX_DEPTH = 16;

class Walk {
  destination: Address;
  readonly #table: Table | undefined;
  readonly #packet: TracedPacket;
  readonly #steps: TraceStep[] = [];
  #port: number | undefined;
  #source: string;
  #isTranslated = false;
  #verdict: 'accept' | 'drop' = 'accept';
  #hook: Hook['hook'] = 'prerouting';
  readonly #label = new Set<ConnectionBit>();

  constructor(table: Table | undefined, packet: TracedPacket) {
    this.#table = table;
    this.#packet = packet;
    this.destination = packet.destination;
    this.#port = packet.port;
    this.#source = formatAddress(packet.source);
  }

  /** False when the packet ends at this hook. */
  pass(hook: Hook['hook']): boolean {
    this.#hook = hook;
    const chains = (this.#table?.chains ?? []).filter((chain) => chain.hook?.hook === hook);
    chains.sort((a, b) => (a.hook?.priority ?? 0) - (b.hook?.priority ?? 0));
    for (const chain of chains) {
      const outcome = this.#chain(chain, 0);
      if (outcome === 'drop' || (outcome !== 'accept' && chain.hook?.policy === 'drop')) {
        this.#verdict = 'drop';
        return false;
      }
    }
    return true;
  }

  trace(): Trace {
    const text = formatAddress(this.destination);
    const host = this.destination.family === 'ipv6' ? `[${text}]` : text;
    return {
      verdict: this.#verdict,
      steps: this.#steps,
      destination: this.#port === undefined ? text : `${host}:${this.#port}`,
      source: this.#source,
    };
  }

  #chain(chain: Chain, depth: number): Outcome {
    for (const rule of chain.rules) {
      if (!rule.match.every((match) => this.#matches(match))) continue;
      const outcome = this.#act(chain, rule, depth);
      if (outcome === 'return') return undefined;
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  }

  #act(chain: Chain, rule: Rule, depth: number): Outcome {
    const { action } = rule;
    switch (action.kind) {
      case 'accept':
      case 'drop':
      case 'return':
        this.#note(chain, rule, action.kind);
        return action.kind;
      case 'jump':
      case 'goto':
        return this.#jump(action.chain, depth, action.kind === 'goto');
      case 'masquerade':
        this.#source = 'the address of the outgoing interface';
        this.#note(chain, rule, `source becomes ${this.#source}`);
        return 'accept';
      case 'snat-to':
        if (parseAddress(action.address)?.family !== this.#family) return undefined;
        this.#source = action.address;
        this.#note(chain, rule, `source becomes ${action.address}`);
        return 'accept';
      case 'balance':
        return this.#draw(chain, rule, action.map, action.among);
      case 'label':
        this.#label.add(action.bit);
        return undefined;
      case 'dnat':
      case 'vmap':
        return this.#fromMap(chain, rule, action.map, action.fields, depth);
    }
  }

  #fromMap(chain: Chain, rule: Rule, map: string, fields: readonly Field[], depth: number): Outcome {
    const value = this.#lookUp(map, fields)?.value;
    if (value === undefined) return undefined;
    if (!('kind' in value)) {
      const address = parseAddress(value[0]);
      if (address === undefined) return undefined;
      this.destination = address;
      this.#port = Number(value[1]);
      this.#isTranslated = true;
      this.#note(chain, rule, `destination becomes ${value[0]}, port ${value[1]}`);
      return 'accept';
    }
    if (value.kind === 'jump' || value.kind === 'goto')
      return this.#jump(value.chain, depth, value.kind === 'goto');
    this.#note(chain, rule, value.kind);
    return value.kind;
  }

  /** Which one is drawn nobody can tell: the way shown is that to the first. */
  #draw(chain: Chain, rule: Rule, map: string, among: number): Outcome {
    const destination = formatAddress(this.destination);
    const set = this.#table?.sets.find((candidate) => candidate.name === map);
    const drawn = set?.elements.find(({ key }) => key[0] === destination && key[1] === '0')?.value;
    const address = drawn && 'length' in drawn ? parseAddress(drawn[0]) : undefined;
    if (address === undefined) return undefined;
    this.destination = address;
    this.#isTranslated = true;
    this.#note(chain, rule, `destination becomes one of ${among}, such as ${formatAddress(address)}`);
    return 'accept';
  }

  #jump(name: string, depth: number, isLast: boolean): Outcome {
    const next = this.#table?.chains.find((chain) => chain.name === name);
    const outcome = next && depth < MAX_DEPTH ? this.#chain(next, depth + 1) : undefined;
    return isLast ? (outcome ?? 'return') : outcome;
  }

  #note(chain: Chain, rule: Rule, outcome: string): void {
    const { comment } = rule;
    this.#steps.push({ hook: this.#hook, chain: chain.name, comment, rule: renderRule(rule), outcome });
  }

  #matches(match: Match): boolean {
    if ('set' in match) {
      if (match.fields.some((field) => this.#read(field) === undefined)) return false;
      return (this.#lookUp(match.set, match.fields) !== undefined) === (match.op === 'in');
    }
    // The first packet of a connection: neither established nor related.
    if (match.field === 'ct state') return match.values.includes('new') === (match.op === '==');
    if (match.field === 'ct status')
      return (this.#isTranslated && match.values.includes('dnat')) === (match.op === '==');
    if (match.field === 'ct label')
      return match.values.some((bit) => this.#label.has(bit)) === (match.op === '==');
    const value = this.#read(match.field);
    if (value === undefined) return false;
    if (match.op === 'range')
      return Number(value) >= Number(match.values[0]) && Number(value) <= Number(match.values[1]);
    return match.values.some((wanted) => isOne(value, wanted)) === (match.op === '==');
  }

  #lookUp(name: string, fields: readonly Field[]) {
    const set = this.#table?.sets.find((candidate) => candidate.name === name);
    const key = fields.map((field) => this.#read(field)).join(' . ');
    return set?.elements.find((element) => element.key.join(' . ') === key && !isOver(element));
  }

  get #family(): Family {
    return this.destination.family;
  }

  /** `undefined` where the packet has no such field, which no rule matches. */
  #read(field: Field): string | undefined {
    const isEgress = this.#hook === 'forward' || this.#hook === 'postrouting' || this.#hook === 'output';
    switch (field) {
      case 'nfproto':
        return this.#family;
      case 'iifname':
        return this.#hook === 'postrouting' || this.#hook === 'output' ? '' : (this.#packet.iif ?? '');
      case 'oifname':
        return isEgress ? (this.#packet.route(this.destination) ?? 'lo') : '';
      case 'ip saddr':
      case 'ip6 saddr':
        return this.#addressOf(field.startsWith('ip6'), this.#packet.source);
      case 'ip daddr':
      case 'ip6 daddr':
        return this.#addressOf(field.startsWith('ip6'), this.destination);
      case 'ct original ip daddr':
        return this.#addressOf(false, this.#packet.destination);
      case 'l4proto':
        return this.#packet.protocol;
      case 'dport':
        return this.#port === undefined ? undefined : String(this.#port);
      case 'mark':
        // Nobody gives packets marks here.
        return undefined;
      case 'fib daddr type':
        return this.#packet.route(this.destination) === undefined ? 'local' : 'unicast';
      case 'fib saddr type':
        return this.#packet.route(this.#packet.source) === undefined ? 'local' : 'unicast';
    }
  }

  #addressOf(isIpv6: boolean, address: Address): string | undefined {
    return isIpv6 === (address.family === 'ipv6') ? formatAddress(address) : undefined;
  }
}

function isOne(value: string, wanted: string): boolean {
  if (value === wanted) return true;
  const address = wanted.includes('/') ? parseAddress(value) : undefined;
  const prefix = address === undefined ? undefined : parsePrefix(wanted);
  return address !== undefined && prefix !== undefined && contains(prefix, address);
}
