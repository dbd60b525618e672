import { LibnetworkError } from '../../../errors.ts';
import { errnoName, kernelError } from '../../errno.ts';

/** linux/netlink.h */
export const NETLINK_ROUTE = 0;
export const NETLINK_XFRM = 6;
export const NETLINK_NETFILTER = 12;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_DUMP = 0x300;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
export const HEADER_LENGTH = 16;

/** A request without its header: sequence numbers, REQUEST and ACK flags are the socket's business. */
export interface NetlinkRequest {
  readonly type: number;
  /** Beside REQUEST and ACK, such as `NLM_F_CREATE | NLM_F_EXCL`. */
  readonly flags: number;
  readonly payload: Buffer;
  /** What it does, for error messages: `addAddress eth0 10.9.0.5/24`. */
  readonly operation: string;
}

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

/** Netlink aligns messages and attributes to four bytes. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

/** Requests as one buffer, numbered from `firstSequence` on, with `flags` added to each. */
export function encodeMessages(
  requests: readonly Pick<NetlinkRequest, 'type' | 'flags' | 'payload'>[],
  firstSequence: number,
  flags: number,
): Buffer {
  let total = 0;
  for (const request of requests) total += HEADER_LENGTH + align(request.payload.length);
  const out = Buffer.alloc(total);
  let at = 0;
  let sequence = firstSequence;
  for (const request of requests) {
    const length = HEADER_LENGTH + request.payload.length;
    out.writeUInt32LE(length, at);
    out.writeUInt16LE(request.type, at + 4);
    out.writeUInt16LE(request.flags | flags, at + 6);
    out.writeUInt32LE(sequence >>> 0, at + 8);
    request.payload.copy(out, at + HEADER_LENGTH);
    at += align(length);
    sequence++;
  }
  return out;
}

/** Where a message's payload is in its datagram. */
type VisitMessage = (type: number, flags: number, sequence: number, start: number, end: number) => void;

/** Visits the messages of one datagram, without copying. @throws INTERNAL for a length that can't be */
export function eachMessage(datagram: Buffer, visit: VisitMessage): void {
  let at = 0;
  while (at < datagram.length) {
    const length = at + HEADER_LENGTH <= datagram.length ? datagram.readUInt32LE(at) : 0;
    if (length < HEADER_LENGTH || at + length > datagram.length) throw malformed(at);
    const type = datagram.readUInt16LE(at + 4);
    const flags = datagram.readUInt16LE(at + 6);
    visit(type, flags, datagram.readUInt32LE(at + 8), at + HEADER_LENGTH, at + length);
    at += align(length);
  }
}

/** The messages of one datagram; their payloads share its memory. @throws INTERNAL for a length that can't be */
export function parseMessages(datagram: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  eachMessage(datagram, (type, flags, sequence, start, end) => {
    messages.push({ type, flags, sequence, payload: datagram.subarray(start, end) });
  });
  return messages;
}

/** Asks for an acknowledgement of the last of many encoded messages, which starts at `at`. */
export function askForAck(bytes: Buffer, at: number): void {
  bytes.writeUInt16LE(bytes.readUInt16LE(at + 6) | NLM_F_ACK, at + 6);
}

/**
 * What an NLMSG_ERROR or NLMSG_DONE message says: `undefined` for success (error number 0), else the kernel's
 * error with its extended text (Documentation/userspace-api/netlink/intro.rst).
 */
export function replyError(message: NetlinkMessage, operation: string): LibnetworkError | undefined {
  const { payload } = message;
  const number = payload.length >= 4 ? payload.readInt32LE() : 0;
  if (number === 0) return undefined;
  return kernelError(operation, errnoName(number), extendedText(message));
}

function extendedText({ type, flags, payload }: NetlinkMessage): string | undefined {
  if ((flags & NLM_F_ACK_TLVS) === 0) return undefined;
  const echoed =
    type === NLMSG_DONE || payload.length < 20
      ? 0
      : flags & NLM_F_CAPPED
        ? HEADER_LENGTH
        : payload.readUInt32LE(4);
  for (let at = align(4 + echoed); at + 4 <= payload.length; ) {
    const length = payload.readUInt16LE(at);
    if (length < 4 || at + length > payload.length) return undefined;
    if (payload.readUInt16LE(at + 2) === NLMSGERR_ATTR_MSG)
      return payload.toString('utf8', at + 4, at + length).replace(/\0.*$/s, '');
    at += align(length);
  }
  return undefined;
}

function malformed(at: number): LibnetworkError {
  return new LibnetworkError('INTERNAL', `malformed netlink message at byte ${at} of a datagram`);
}
