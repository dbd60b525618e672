/** Packets as the fake kernel walks them: a header, and what the namespace that has it knows about it. */
import { type Address, type Family, formatAddress } from '../../ip.ts';
import type { LinkState, NetnsState, Tuple } from './state.ts';

export type PacketProtocol = 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6';

/** An echo request's identifier stands in for its ports. */
export interface Packet extends Tuple {
  readonly protocol: PacketProtocol;
  /** For the statistics of links. */
  readonly bytes: number;
}

export interface Interfaces {
  readonly iif: LinkState | undefined;
  readonly oif: LinkState | undefined;
}

export function familyOfPacket(packet: Packet): Family {
  return packet.destination.family;
}

export function isEcho(protocol: string): boolean {
  return protocol === 'icmp' || protocol === 'icmpv6';
}

export function answerTo(packet: Packet): Packet {
  return { ...packet, ...turned(packet) };
}

/** A tuple as its answer has it. */
export function turned(tuple: Tuple): Tuple {
  return {
    source: tuple.destination,
    sourcePort: tuple.destinationPort,
    destination: tuple.source,
    destinationPort: tuple.sourcePort,
  };
}

export function sameTuple(a: Tuple, b: Tuple): boolean {
  return (
    a.sourcePort === b.sourcePort &&
    a.destinationPort === b.destinationPort &&
    sameAddress(a.source, b.source) &&
    sameAddress(a.destination, b.destination)
  );
}

function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value;
}

/** `10.9.0.5:80`, `[fd00::5]:80`, without the port for echoes. */
export function formatEnd(address: Address, port: number, protocol: string): string {
  const text = formatAddress(address);
  if (isEcho(protocol)) return text;
  return address.family === 'ipv6' ? `[${text}]:${port}` : `${text}:${port}`;
}

/** The end of a packet that does not arrive, and why; thrown through the walk and caught at its start. */
export class Lost extends Error {
  override readonly name = 'Lost';
  readonly why: string;
  readonly reason: LostReason;

  constructor(reason: LostReason, why: string) {
    super(why);
    this.reason = reason;
    this.why = why;
  }
}

/** What a sender would see: no way out, nobody at the next hop, a refusal, or nothing at all. */
export type LostReason = 'no route' | 'no neighbour' | 'refused' | 'silence';

/** A packet that came to its end. */
export interface Arrival {
  readonly netns: NetnsState;
  readonly packet: Packet;
  /** The links it went by, each as `namespace link`. */
  readonly via: readonly string[];
}
