/** A packet at one netfilter hook of a namespace: its tables, connection tracking, and address translation. */
import { type Address, formatAddress } from '../../ip.ts';
import { addressesOf } from './addresses.ts';
import {
  confirm,
  type FlowTables,
  keepSource,
  type Tracked,
  track,
  translateDestination,
  translateSource,
  withDestination,
  withSource,
} from './conntrack.ts';
import { type Answer, chainsAt, judge } from './filter.ts';
import { tablesOf } from './netns.ts';
import { type Interfaces, Lost, type Packet } from './packet.ts';
import type { LinkState, NetnsState } from './state.ts';

export type HookName = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

/** A packet inside a namespace, with its connection once it is tracked. */
export interface Passing {
  readonly packet: Packet;
  readonly tracked: Tracked | undefined;
}

const DNAT_PRIORITY = -100;
const SNAT_PRIORITY = 100;

/**
 * Takes a packet through a hook: filter chains in the order of their priorities, NAT at its own; returns it as it
 * leaves. @throws Lost when a rule drops it
 */
export function passHook(
  tables: FlowTables,
  netns: NetnsState,
  hook: HookName,
  interfaces: Interfaces,
  passing: Passing,
  where: string,
): { readonly packet: Packet; readonly tracked: Tracked } {
  const flows = tables.flowsOf(netns);
  const rulesets = tablesOf(netns);
  const tracked = passing.tracked ?? track(flows, passing.packet);
  let packet = passing.packet;
  const filter = (from: number, to: number): void => {
    for (const {
      table,
      chain,
      hook: { priority },
    } of chainsAt(rulesets, hook, 'filter')) {
      if (priority < from || priority >= to) continue;
      const answer = judge(table, chain, { netns, packet, tracked, ...interfaces });
      if (answer.kind === 'drop') throw new Lost('silence', `dropped by rule "${answer.rule}" in ${where}`);
    }
  };
  const natAt = hook === 'prerouting' || hook === 'output' ? DNAT_PRIORITY : SNAT_PRIORITY;
  filter(-Infinity, natAt);
  if (hook !== 'forward') {
    if (tracked.fresh) decideNat(netns, flows, hook, interfaces, packet, tracked);
    packet = natAt === DNAT_PRIORITY ? withDestination(packet, tracked) : withSource(packet, tracked);
  }
  filter(natAt, Infinity);
  if (hook === 'input' || hook === 'postrouting') confirm(flows, tracked);
  return { packet, tracked };
}

/** Asks the NAT chains about a new connection, once for its destination and once for its source. */
function decideNat(
  netns: NetnsState,
  flows: Parameters<typeof translateSource>[0],
  hook: HookName,
  interfaces: Interfaces,
  packet: Packet,
  tracked: Tracked,
): void {
  const { flow } = tracked;
  const forDestination = hook === 'prerouting' || hook === 'output';
  if (forDestination ? flow.destinationDecided : flow.sourceDecided) return;
  const answer = askNat(netns, hook, interfaces, packet, tracked);
  if (answer?.kind === 'dnat' && forDestination) translateDestination(flow, answer.address, answer.port);
  else if (forDestination) flow.destinationDecided = true;
  else if (answer?.kind === 'snat')
    translateSource(flows, flow, sourceOf(answer.address, interfaces.oif, packet));
  else keepSource(flows, flow);
}

function askNat(
  netns: NetnsState,
  hook: HookName,
  interfaces: Interfaces,
  packet: Packet,
  tracked: Tracked,
): Answer | undefined {
  for (const { table, chain } of chainsAt(tablesOf(netns), hook, 'nat')) {
    const answer = judge(table, chain, { netns, packet, tracked, ...interfaces });
    if (answer.kind === 'dnat' || answer.kind === 'snat') return answer;
  }
  return undefined;
}

/** Masquerading takes the address of the link that the packet leaves by. */
function sourceOf(address: Address | 'masquerade', oif: LinkState | undefined, packet: Packet): Address {
  if (address !== 'masquerade') return address;
  const { family } = packet.destination;
  const own = oif === undefined ? [] : addressesOf(oif, family);
  const best = own.find((a) => a.scope === 'global') ?? own[0];
  if (best === undefined)
    throw new Lost(
      'silence',
      `${oif?.name} has no ${family} address to hide ${formatAddress(packet.source)} behind`,
    );
  return best.address;
}
