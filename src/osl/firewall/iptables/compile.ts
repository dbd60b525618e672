/**
 * From intents to the rules of iptables, in the chains and the order of Docker 28, as with its userland proxy off.
 * Where a rule differs from Docker's, it is so that both of our engines let the same packets pass; the comment of
 * each such place says which.
 */
import { invalid } from '../../../errors.ts';
import { FAMILIES, type Family, familyOf } from '../../../ip.ts';
import { CHAINS } from '../connectionlabels.ts';
import type {
  EndpointIntent,
  Intent,
  LinkIntent,
  NetworkIntent,
  PacketMark,
  PublishedPort,
  ResolverIntent,
} from '../firewall.ts';
import type { LabelBit } from '../model.ts';
import { canonical, canonicalPrefix, markText } from '../names.ts';
import {
  type ChainKey,
  FIRST,
  labelText,
  OWN_CHAINS,
  USER_CHAIN,
  USER_JUMP,
  type WantedRule,
  type WantedRules,
} from './rules.ts';

const WORDS = {
  ipv4: { host: '/32', icmp: 'icmp', loopback: '' },
  ipv6: { host: '/128', icmp: 'ipv6-icmp', loopback: '! -d ::1/128 ' },
} as const;

export interface CompileOptions {
  /** The comment that tells our rules from others'. */
  readonly stamp: string;
  /** Makes Docker's chains also when no network asks for them: somebody else's rules are in them. */
  readonly chains?: boolean;
  /** With rules that label connections for the latch (`latch.ts`); default: false. */
  readonly labels?: boolean;
}

/** The rules of these intents. @throws INVALID_ARGUMENT for a bridge that iptables would take for several */
export function compileIptables(intents: readonly Intent[], options: CompileOptions): WantedRules {
  return new Map(
    FAMILIES.map((family) => {
      const rules = new Rules(options);
      const networks = new Map<string, NetworkIntent>();
      for (const intent of intents) if (intent.kind === 'network') networks.set(intent.id, intent);
      if (options.chains || intents.some(({ kind }) => USERS.has(kind))) addLayout(rules, family);
      for (const intent of intents) {
        // Policies and services are nf_tables', beside this engine (`layered.ts`).
        if (intent.kind === 'policy' || intent.kind === 'member' || intent.kind === 'allowed') continue;
        if (intent.kind === 'service' || intent.kind === 'backend') continue;
        rules.owner = `${intent.kind} ${intent.id}`;
        if (intent.kind === 'resolver') addResolver(rules, family, intent);
        else refuseWildcard(intent.bridge);
        if (intent.kind === 'endpoint') addEndpoint(rules, family, intent, networks.get(intent.network));
        if (intent.kind === 'network') addNetwork(rules, family, intent);
        if (intent.kind === 'link') addLink(rules, family, intent, networks.get(intent.network));
      }
      return [family, rules.chains] as const;
    }),
  );
}

/** Who needs Docker's chains of bridges. */
const USERS: ReadonlySet<Intent['kind']> = new Set(['network', 'endpoint', 'link']);

function refuseWildcard(bridge: string): void {
  if (bridge.endsWith('+'))
    throw invalid('bridge', bridge, 'iptables takes a name that ends in + for all that begin so');
}

/** Collects rules by chain; equal ones of several owners are there once. */
class Rules {
  readonly chains = new Map<ChainKey, WantedRule[]>();
  readonly #seen = new Set<string>();
  readonly #stamp: string;
  readonly #labels: boolean;
  owner = 'layout';

  constructor({ stamp, labels = false }: CompileOptions) {
    this.#stamp = stamp;
    this.#labels = labels;
  }

  chain(key: ChainKey): WantedRule[] {
    const rules = this.chains.get(key) ?? [];
    this.chains.set(key, rules);
    return rules;
  }

  /** @param match what packets it is for, as iptables-save orders it; empty for all */
  add(key: ChainKey, match: string, target: string, rank = LATE): void {
    const comment = `-m comment --comment ${this.#stamp}`;
    this.addText(key, [match, comment, `-j ${target}`].filter((part) => part !== '').join(' '), rank);
  }

  /** Notes on new connections that the chain is there, and lets them go on. */
  label(key: ChainKey, match: string, bit: LabelBit, rank: number): void {
    if (!this.#labels) return;
    const comment = `-m comment --comment ${this.#stamp}`;
    this.addText(key, [match, labelText(bit), comment].filter((part) => part !== '').join(' '), rank);
  }

  addText(key: ChainKey, text: string, rank: number): void {
    if (this.#seen.has(`${key} ${text}`)) return;
    this.#seen.add(`${key} ${text}`);
    this.chain(key).push({ text, rank, owner: this.owner });
  }
}

/** IPv6 finds its neighbours by messages that are not tracked. Docker refuses them with all the rest. */
const NEIGHBOURS = '-p ipv6-icmp -m conntrack --ctstate UNTRACKED';

/** Ranks of what comes before the rest of a chain. */
const EARLY = 0;
/** Behind what the user says. */
const RETURNED = 0.5;
/** Behind what closes internal networks, before what judges the others. */
const MARKED = 1.5;
const LATE = 9;

function markMatch(mark: PacketMark): string {
  return `-m mark --mark ${markText(mark)}`;
}

/** What all networks share. `DOCKER-USER` comes first, so that what the user says goes. */
function addLayout(rules: Rules, family: Family): void {
  for (const key of OWN_CHAINS) if (!key.includes('_')) rules.chain(key);
  rules.chain(USER_CHAIN);
  rules.label(USER_JUMP.chain, '', CHAINS.forward, FIRST);
  rules.addText(USER_JUMP.chain, USER_JUMP.text, EARLY);
  rules.label(USER_JUMP.chain, '', CHAINS.returned, RETURNED);
  rules.label('filter DOCKER-INTERNAL', '', CHAINS.internal, FIRST);
  rules.label('filter DOCKER', '', CHAINS.docker, FIRST);
  rules.add('filter FORWARD', '', 'DOCKER-FORWARD');
  for (const [rank, chain] of ['DOCKER-CT', 'DOCKER-INTERNAL', 'DOCKER-BRIDGE'].entries())
    rules.add('filter DOCKER-FORWARD', '', chain, rank);
  const local = '-m addrtype --dst-type LOCAL';
  rules.add('nat PREROUTING', local, 'DOCKER');
  // Answers to ::1 cannot come from another interface.
  rules.add('nat OUTPUT', `${WORDS[family].loopback}${local}`, 'DOCKER');
}

/** True when nothing passes between the bridge and another interface. */
function isClosed(network: NetworkIntent, family: Family): boolean {
  return network.internal || network[family]?.mode === 'isolated';
}

function addNetwork(rules: Rules, family: Family, network: NetworkIntent): void {
  const { bridge } = network;
  // Docker has no such rule; its bridges route no loopback addresses unless its proxy is off.
  if (family === 'ipv4') rules.add('raw PREROUTING', `-d 127.0.0.0/8 -i ${bridge}`, 'DROP');
  if (isClosed(network, family)) addClosed(rules, family, network);
  else addOpen(rules, family, network);
}

function addClosed(rules: Rules, family: Family, { bridge, icc }: NetworkIntent): void {
  // By interface alone: by subnet, as Docker does it for IPv4, a forged source address gets in.
  rules.add('filter DOCKER-INTERNAL', `! -i ${bridge} -o ${bridge}`, 'DROP');
  rules.add('filter DOCKER-INTERNAL', `-i ${bridge} ! -o ${bridge}`, 'DROP');
  rules.label('filter DOCKER-INTERNAL', `-o ${bridge}`, CHAINS.docker, LATE);
  const inside = `-i ${bridge} -o ${bridge}`;
  if (!icc && family === 'ipv6') rules.add('filter DOCKER-FORWARD', `${inside} ${NEIGHBOURS}`, 'ACCEPT');
  rules.add('filter DOCKER-FORWARD', inside, icc ? 'ACCEPT' : 'DROP');
}

/** A family that the network does not have is judged too: its containers have link-local addresses all the same. */
function addOpen(rules: Rules, family: Family, network: NetworkIntent): void {
  const { bridge } = network;
  const inside = `-i ${bridge} -o ${bridge}`;
  const mode = network[family]?.mode ?? 'nat';
  rules.add('filter DOCKER-CT', `-o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED`, 'ACCEPT');
  rules.add('filter DOCKER-BRIDGE', `-o ${bridge}`, 'DOCKER');
  // Docker puts it before all networks, internal ones too.
  if (network.accepted) {
    const marked = `-o ${bridge} ${markMatch(network.accepted)}`;
    rules.label('filter DOCKER-FORWARD', marked, CHAINS.docker, MARKED);
    rules.add('filter DOCKER-FORWARD', marked, 'ACCEPT', MARKED);
  }
  if (mode === 'routed') rules.add('filter DOCKER', `-o ${bridge} -p ${WORDS[family].icmp}`, 'ACCEPT');
  rules.add('filter DOCKER', `! -i ${bridge} -o ${bridge}`, mode === 'nat-unprotected' ? 'ACCEPT' : 'DROP');
  if (network.icc) rules.add('filter DOCKER-FORWARD', `-i ${bridge}`, 'ACCEPT');
  else {
    // Published ports are reached from their own network too, by the host's address. Docker leaves that to its proxy.
    rules.add('filter DOCKER-FORWARD', `${inside} -m conntrack --ctstate DNAT`, 'ACCEPT');
    if (family === 'ipv6') rules.add('filter DOCKER-FORWARD', `${inside} ${NEIGHBOURS}`, 'ACCEPT');
    rules.add('filter DOCKER-FORWARD', inside, 'DROP');
    rules.add('filter DOCKER-FORWARD', `-i ${bridge} ! -o ${bridge}`, 'ACCEPT');
  }
  if (mode !== 'routed') addNat(rules, family, network);
}

function addNat(rules: Rules, family: Family, { bridge, ...network }: NetworkIntent): void {
  const settings = network[family];
  if (settings === undefined) return;
  const source = `-s ${canonicalPrefix(settings.subnet)}`;
  const { masquerade } = settings;
  if (masquerade !== false) {
    const target = masquerade === true ? 'MASQUERADE' : `SNAT --to-source ${canonical(masquerade)}`;
    rules.add('nat POSTROUTING', `${source} ! -o ${bridge}`, target);
  }
  // Docker has one such rule for each published port, for the container itself alone.
  rules.add('nat POSTROUTING', `${source} -o ${bridge} -m conntrack --ctstate DNAT`, 'MASQUERADE');
  if (family === 'ipv4') rules.add('nat POSTROUTING', `-s 127.0.0.0/8 -o ${bridge}`, 'MASQUERADE');
}

function addEndpoint(
  rules: Rules,
  family: Family,
  { bridge, ports }: EndpointIntent,
  network: NetworkIntent | undefined,
): void {
  if (network !== undefined && isClosed(network, family)) return;
  const { mode = 'nat', masquerade = true } = network?.[family] ?? {};
  for (const port of ports) {
    if ((familyOf(port.hostAddress) ?? 'ipv4') !== family) continue;
    const container = `-d ${canonical(port.address)}${WORDS[family].host}`;
    const protocol = (number: number) => `-p ${port.protocol} -m ${port.protocol} --dport ${number}`;
    // Where addresses are not hidden, answers come to them: there only what was translated is let in, instead.
    const plain = mode === 'nat' && masquerade === false;
    const isDirect = network?.direct === true;
    for (const name of mode === 'nat' ? (network?.trusted ?? []) : []) {
      if (plain)
        rules.add(
          'filter DOCKER',
          `${container} -i ${name} -o ${bridge} ${protocol(port.port)}`,
          'ACCEPT',
          EARLY,
        );
      else rules.add('raw PREROUTING', `${container} -i ${name}`, 'ACCEPT');
    }
    if (mode === 'nat' && network?.accepted)
      rules.add('raw PREROUTING', `${container} ${markMatch(network.accepted)}`, 'ACCEPT');
    if (mode === 'nat' && !plain && !isDirect)
      rules.add('raw PREROUTING', `${container} ! -i ${bridge}`, 'DROP');
    if (mode !== 'nat-unprotected')
      rules.add(
        'filter DOCKER',
        `${container} ! -i ${bridge} -o ${bridge} ${protocol(port.port)}${plain && !isDirect ? ' -m conntrack --ctstate DNAT' : ''}`,
        'ACCEPT',
        EARLY,
      );
    if (port.hostPort !== undefined) addTranslation(rules, family, port, protocol(port.hostPort));
  }
}

/** Docker knows links for IPv4 alone, and none in internal networks. */
function addLink(
  rules: Rules,
  family: Family,
  { bridge, ports }: LinkIntent,
  network: NetworkIntent | undefined,
): void {
  const closed = network !== undefined && isClosed(network, family);
  const [chain, rank] = closed
    ? (['filter DOCKER-FORWARD', MARKED] as const)
    : (['filter DOCKER', EARLY] as const);
  for (const { protocol, source, address, port } of ports) {
    if (familyOf(address) !== family) continue;
    const between = (from: string, to: string) =>
      `-s ${canonical(from)}${WORDS[family].host} -d ${canonical(to)}${WORDS[family].host} -i ${bridge} -o ${bridge}`;
    const at = (end: string) => `-p ${protocol} -m ${protocol} --${end} ${port}`;
    rules.add(chain, `${between(source, address)} ${at('dport')}`, 'ACCEPT', rank);
    rules.add(chain, `${between(address, source)} ${at('sport')}`, 'ACCEPT', rank);
  }
}

function addTranslation(rules: Rules, family: Family, port: PublishedPort, protocol: string): void {
  const host = canonical(port.hostAddress);
  const anywhere = host === '0.0.0.0' || host === '::';
  const address = anywhere ? '' : `-d ${host}${WORDS[family].host} `;
  // A link-local source cannot be routed.
  const routable = family === 'ipv6' ? '! -s fe80::/10 ' : '';
  const to = canonical(port.address);
  const target = `DNAT --to-destination ${family === 'ipv6' ? `[${to}]` : to}:${port.port}`;
  rules.add('nat DOCKER', `${routable}${address}${protocol}`, target, anywhere ? LATE : EARLY);
  if (host.startsWith('127.')) rules.add('raw PREROUTING', `${address}! -i lo ${protocol}`, 'DROP');
}

function addResolver(rules: Rules, family: Family, { address, udpPort, tcpPort }: ResolverIntent): void {
  if (familyOf(address) !== family) return;
  const host = canonical(address);
  const self = `${host}${WORDS[family].host}`;
  const shown = family === 'ipv6' ? `[${host}]` : host;
  rules.add('nat OUTPUT', `-d ${self}`, 'DOCKER_OUTPUT');
  if (family === 'ipv4') rules.add('nat POSTROUTING', `-d ${self}`, 'DOCKER_POSTROUTING');
  for (const [protocol, port] of [
    ['tcp', tcpPort],
    ['udp', udpPort],
  ] as const) {
    const dns = `-d ${self} -p ${protocol} -m ${protocol} --dport 53`;
    rules.add('nat DOCKER_OUTPUT', dns, `DNAT --to-destination ${shown}:${port}`);
    // Answers find back by connection tracking; these are here as Docker has them. IPv6 knows no address without one.
    if (family === 'ipv4')
      rules.add(
        'nat DOCKER_POSTROUTING',
        `-s ${self} -p ${protocol} -m ${protocol} --sport ${port}`,
        'SNAT --to-source :53',
      );
  }
}
