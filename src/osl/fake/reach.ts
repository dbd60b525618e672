/** Would a packet get there, and its answer back? Asked by `reaches`, by pings, and by connections. */
import { type Address, formatAddress, parseAddress } from '../../ip.ts';
import { type FlowTables, trial } from './conntrack.ts';
import { nameOf } from './dump.ts';
import type { FakeKernel } from './kernel.ts';
import { type Arrival, answerTo, formatEnd, isEcho, Lost, type Packet } from './packet.ts';
import { socketFor } from './ports.ts';
import type { NetnsState, SocketState } from './state.ts';
import { flag } from './sysctls.ts';
import { type Outgoing, Walk } from './walk.ts';

export interface ReachOptions {
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp';
  /** Needed for all but `icmp`. */
  readonly port?: number;
  /** The source address; default: what the namespace chooses. */
  readonly fromAddress?: string;
  /** The source port, or the identifier of an echo; services draw by it. Default: one that nobody has. */
  readonly fromPort?: number;
}

export type ReachAnswer =
  | {
      readonly reaches: true;
      /** The namespace that answers. */
      readonly namespacePath: string;
      /** Where the packet was delivered, after all translation. */
      readonly address: string;
      readonly port: number;
      /** The sender as the target sees it. */
      readonly source: string;
      /** The links it went by, as `namespace link`. */
      readonly via: readonly string[];
    }
  | { readonly reaches: false; readonly why: string };

/** A port for questions; nothing listens there. */
const TRIAL_PORT = 61_000;

export function reaches(
  kernel: FakeKernel,
  netns: NetnsState,
  to: string,
  options: ReachOptions,
): ReachAnswer {
  const destination = parseAddress(to);
  const source = options.fromAddress === undefined ? undefined : parseAddress(options.fromAddress);
  if (destination === undefined) return { reaches: false, why: `${to} is no address` };
  const { fromPort = TRIAL_PORT } = options;
  const echo = destination.family === 'ipv4' ? 'icmp' : 'icmpv6';
  try {
    const { there } = exchange(kernel, trial(), netns, {
      protocol: options.protocol === 'icmp' ? echo : options.protocol,
      source,
      sourcePort: fromPort,
      destination,
      destinationPort: options.protocol === 'icmp' ? fromPort : (options.port ?? 0),
      bytes: 0,
    });
    return {
      reaches: true,
      namespacePath: nameOf(kernel, there.netns),
      address: formatAddress(there.packet.destination),
      port: there.packet.destinationPort,
      source: formatAddress(there.packet.source),
      via: there.via,
    };
  } catch (error) {
    if (error instanceof Lost) return { reaches: false, why: error.why };
    throw error;
  }
}

export interface Exchange {
  readonly there: Arrival;
  /** What took it; `undefined` for an echo. */
  readonly socket: SocketState | undefined;
}

/** A packet and its answer, both delivered, the answer to the one who asked and from the one who was asked. @throws Lost */
export function exchange(
  kernel: FakeKernel,
  tables: FlowTables,
  netns: NetnsState,
  outgoing: Outgoing,
  counting = false,
): Exchange {
  const there = new Walk(kernel, tables, counting).send(netns, outgoing);
  const socket = takerOf(kernel, there);
  const back = sendBack(kernel, tables, there.netns, answerTo(there.packet), counting);
  const expected =
    back.netns === netns && isFrom(back.packet, outgoing.destination, outgoing.destinationPort);
  if (!expected || back.packet.destinationPort !== outgoing.sourcePort) {
    const from = formatEnd(back.packet.source, back.packet.sourcePort, outgoing.protocol);
    throw new Lost(
      'silence',
      `the answer comes from ${from} to ${nameOf(kernel, back.netns)}, and nobody expects it`,
    );
  }
  return { there, socket };
}

function sendBack(
  kernel: FakeKernel,
  tables: FlowTables,
  netns: NetnsState,
  answer: Packet,
  counting: boolean,
): Arrival {
  try {
    return new Walk(kernel, tables, counting).send(netns, answer);
  } catch (error) {
    if (error instanceof Lost) throw new Lost('silence', `the answer does not come back: ${error.why}`);
    throw error;
  }
}

function isFrom(packet: Packet, address: Address, port: number): boolean {
  return packet.source.value === address.value && packet.sourcePort === port;
}

/** The socket that a packet was delivered to. @throws Lost when nothing takes it */
export function takerOf(kernel: FakeKernel, { netns, packet }: Arrival): SocketState | undefined {
  const { protocol, destination, destinationPort } = packet;
  const where = `${formatEnd(destination, destinationPort, protocol)} in ${nameOf(kernel, netns)}`;
  if (isEcho(protocol)) {
    if (protocol === 'icmp' && flag(netns, 'net/ipv4/icmp_echo_ignore_all'))
      throw new Lost('silence', `echoes are ignored by ${where}`);
    return undefined;
  }
  const socket = socketFor(netns, protocol, destination, destinationPort);
  if (socket === undefined) throw new Lost('refused', `nothing listens on ${protocol} ${where}`);
  if (!socket.listening)
    throw new Lost('silence', `${protocol} ${where} is only held: what comes is dropped`);
  return socket;
}
