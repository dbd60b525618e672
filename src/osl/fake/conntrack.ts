/** Connections of a namespace, and their address translation (nf_conntrack_core.c, nf_nat_core.c). */
import type { Address } from '../../ip.ts';
import { fitsOneOf } from '../firewall/connections.ts';
import { PROTOCOL_NUMBERS } from '../firewall/model.ts';
import type { ConnectionFilter } from '../osl.ts';
import { type Packet, sameTuple, turned } from './packet.ts';
import type { Flow, NetnsState } from './state.ts';

/** Oldest flows go first; a test that needs more of them at once is not about addresses any more. */
const MAX_FLOWS = 4096;
const FIRST_FREE_PORT = 1024;

/** A packet's place in its connection. */
export interface Tracked {
  readonly flow: Flow;
  readonly direction: 'original' | 'reply';
  /** Not one packet of it has left this namespace's hooks yet. */
  readonly fresh: boolean;
}

/** Where a walk's connections are kept: with the namespace, or apart for a trial that leaves no trace. */
export interface FlowTables {
  flowsOf(netns: NetnsState): Flow[];
}

export const lasting: FlowTables = { flowsOf: (netns) => netns.flows };

/** Tables of their own, empty at first. */
export function trial(): FlowTables {
  const tables = new Map<NetnsState, Flow[]>();
  return {
    flowsOf: (netns) => {
      const flows = tables.get(netns) ?? [];
      tables.set(netns, flows);
      return flows;
    },
  };
}

export function track(flows: readonly Flow[], packet: Packet): Tracked {
  for (const flow of flows) {
    if (flow.protocol !== packet.protocol) continue;
    if (sameTuple(flow.original, packet)) return { flow, direction: 'original', fresh: false };
    if (sameTuple(flow.reply, packet)) {
      flow.answered = true;
      return { flow, direction: 'reply', fresh: false };
    }
  }
  const { source, sourcePort, destination, destinationPort } = packet;
  const original = { source, sourcePort, destination, destinationPort };
  const flow: Flow = {
    protocol: packet.protocol,
    original,
    reply: turned(original),
    destinationNat: false,
    sourceNat: false,
    destinationDecided: false,
    sourceDecided: false,
    answered: false,
    labels: new Set(),
  };
  return { flow, direction: 'original', fresh: true };
}

/** Keeps a connection whose packet was let through; its answers must be told from every other's. */
export function confirm(flows: Flow[], { flow, fresh }: Tracked): void {
  if (!fresh || flows.includes(flow)) return;
  flows.push(flow);
  if (flows.length > MAX_FLOWS) flows.shift();
}

/** Forgets the connections that fit one of the filters: how many. */
export function flushFlows(flows: Flow[], filters: readonly ConnectionFilter[]): number {
  const fits = fitsOneOf(filters);
  const numbers: Readonly<Record<string, number>> = PROTOCOL_NUMBERS;
  const kept = flows.filter(({ protocol, original, reply }) => {
    const addresses = [original.source, original.destination, reply.source, reply.destination];
    return !fits({ protocol: numbers[protocol] ?? 0, port: original.destinationPort, addresses });
  });
  const flushed = flows.length - kept.length;
  flows.splice(0, flows.length, ...kept);
  return flushed;
}

export function translateDestination(flow: Flow, address: Address, port: number | undefined): void {
  flow.reply = { ...flow.reply, source: address, sourcePort: port ?? flow.reply.sourcePort };
  flow.destinationNat = true;
  flow.destinationDecided = true;
}

/** Gives a connection another source, with a port that tells its answers apart. */
export function translateSource(flows: readonly Flow[], flow: Flow, address: Address): void {
  flow.reply = { ...flow.reply, destination: address };
  flow.sourceNat = true;
  flow.sourceDecided = true;
  makeUnique(flows, flow);
}

/** Without a rule the source stays, unless another connection's answers would look the same. */
export function keepSource(flows: readonly Flow[], flow: Flow): void {
  flow.sourceDecided = true;
  if (isUnique(flows, flow)) return;
  makeUnique(flows, flow);
  flow.sourceNat = true;
}

function makeUnique(flows: readonly Flow[], flow: Flow): void {
  for (let port = FIRST_FREE_PORT; !isUnique(flows, flow) && port <= 65535; port++)
    flow.reply = { ...flow.reply, destinationPort: port };
}

function isUnique(flows: readonly Flow[], flow: Flow): boolean {
  return !flows.some(
    (other) => other !== flow && other.protocol === flow.protocol && sameTuple(other.reply, flow.reply),
  );
}

/** The packet with its connection's destination, as it is between the destination hook and the source hook. */
export function withDestination(packet: Packet, { flow, direction }: Tracked): Packet {
  if (!(direction === 'original' ? flow.destinationNat : flow.sourceNat)) return packet;
  const target = turned(direction === 'original' ? flow.reply : flow.original);
  return { ...packet, destination: target.destination, destinationPort: target.destinationPort };
}

/** The packet with its connection's source, as it leaves the namespace. */
export function withSource(packet: Packet, { flow, direction }: Tracked): Packet {
  if (!(direction === 'original' ? flow.sourceNat : flow.destinationNat)) return packet;
  const target = turned(direction === 'original' ? flow.reply : flow.original);
  return { ...packet, source: target.source, sourcePort: target.sourcePort };
}

export function stateOf({ flow, direction }: Tracked): string {
  return direction === 'reply' || flow.answered ? 'established' : 'new';
}

export function statusOf({ flow, direction }: Tracked): readonly string[] {
  return [
    ...(flow.destinationNat ? ['dnat'] : []),
    ...(flow.sourceNat ? ['snat'] : []),
    ...(flow.answered || direction === 'reply' ? ['seen-reply'] : []),
  ];
}
