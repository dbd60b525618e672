/**
 * DNS messages as bytes (RFC 1035 section 4), as far as a forwarding server reads and writes them itself: the
 * header, the question, and where the records are. Messages that are only passed on are never taken apart, so
 * types and options that are unknown here come through unchanged.
 */

export const TYPE = { A: 1, SOA: 6, PTR: 12, AAAA: 28, SRV: 33, OPT: 41 } as const;
export const CLASS_IN = 1;
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export const FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, CD: 0x0010 } as const;

const HEADER = 12;
const OPCODE = 0x7800;
/** What a client without EDNS can take by UDP (RFC 1035 4.2.1). */
const PLAIN_UDP = 512;
const OPT_LENGTH = 11;
/** What we can take ourselves, as DNS Flag Day 2020 advises. */
const OUR_UDP_SIZE = 1232;

export interface Query {
  readonly kind: 'query';
  readonly id: number;
  readonly flags: number;
  /** Lower case, without the root's dot. A label that holds a dot itself can't be mistaken for two. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The offset behind the question. */
  readonly end: number;
  readonly edns: { readonly size: number; readonly version: number } | undefined;
}

/** A message that gets an error, or (`ignore`) no answer: a response, or too short to have an id. */
export type Unusable =
  | { readonly kind: 'ignore' }
  | { readonly kind: 'error'; readonly rcode: number; readonly end: number };

const IGNORE: Unusable = { kind: 'ignore' };

/** Reads a query. Never throws, whatever the bytes are. */
export function parseQuery(bytes: Buffer): Query | Unusable {
  if (bytes.length < HEADER) return IGNORE;
  const flags = u16(bytes, 2);
  if ((flags & FLAG.QR) !== 0) return IGNORE;
  if ((flags & OPCODE) !== 0) return { kind: 'error', rcode: RCODE.NOTIMP, end: HEADER };
  if (u16(bytes, 4) !== 1) return { kind: 'error', rcode: RCODE.FORMERR, end: HEADER };
  const nameEnd = skipPlainName(bytes, HEADER);
  if (nameEnd === undefined || nameEnd + 4 > bytes.length)
    return { kind: 'error', rcode: RCODE.FORMERR, end: HEADER };
  const end = nameEnd + 4;
  const edns = findEdns(bytes, end);
  if (edns === 'malformed') return { kind: 'error', rcode: RCODE.FORMERR, end };
  return {
    kind: 'query',
    id: u16(bytes, 0),
    flags,
    name: readName(bytes, HEADER, nameEnd),
    type: u16(bytes, nameEnd),
    class: u16(bytes, nameEnd + 2),
    end,
    edns,
  };
}

/** The most bytes that the client takes by UDP. */
export function udpLimit(query: Query): number {
  return Math.max(PLAIN_UDP, query.edns?.size ?? 0);
}

/** An answer without records. `extended` is the upper part of the response code (RFC 6891 6.1.3). */
export function emptyReply(query: Buffer, end: number, rcode: number, edns: boolean, extended = 0): Buffer {
  return startReply(query, end, rcode, 0, 0, edns, extended).reply;
}

/** An answer of A or AAAA records; those that don't fit into `limit` bytes are left out, and TC is set. */
export function addressReply(
  message: Buffer,
  query: Query,
  addresses: readonly Uint8Array[],
  ttl: number,
  limit: number,
): Buffer {
  const size = 12 + (addresses[0]?.length ?? 0);
  const room = limit - query.end - (query.edns === undefined ? 0 : OPT_LENGTH);
  const count = Math.min(addresses.length, Math.max(0, Math.floor(room / size)));
  const { reply, offset } = startReply(
    message,
    query.end,
    RCODE.NOERROR,
    count,
    count * size,
    query.edns !== undefined,
  );
  if (count < addresses.length) reply[2] = (reply[2] ?? 0) | (FLAG.TC >> 8);
  let at = offset;
  for (let i = 0; i < count; i++) {
    const address = addresses[i];
    if (address === undefined) continue;
    put16(reply, at, 0xc000 | HEADER);
    put16(reply, at + 2, query.type);
    put16(reply, at + 4, CLASS_IN);
    reply.writeUInt32BE(ttl, at + 6);
    put16(reply, at + 10, address.length);
    reply.set(address, at + 12);
    at += size;
  }
  return reply;
}

/** Header, question and (at the end) OPT of an answer, with `room` bytes between them for records. */
function startReply(
  query: Buffer,
  end: number,
  rcode: number,
  answers: number,
  room: number,
  edns: boolean,
  extended = 0,
): { reply: Buffer; offset: number } {
  const reply = Buffer.allocUnsafe(end + room + (edns ? OPT_LENGTH : 0));
  query.copy(reply, 0, 0, end);
  const asked = u16(query, 2);
  put16(reply, 2, FLAG.QR | FLAG.RA | (asked & (OPCODE | FLAG.RD | FLAG.CD)) | rcode);
  put16(reply, 4, end > HEADER ? 1 : 0);
  put16(reply, 6, answers);
  put16(reply, 8, 0);
  put16(reply, 10, edns ? 1 : 0);
  if (edns) {
    const at = end + room;
    reply.fill(0, at);
    reply[at + 2] = TYPE.OPT;
    put16(reply, at + 3, OUR_UDP_SIZE);
    reply[at + 5] = extended;
  }
  return { reply, offset: end };
}

export interface RecordPlace {
  readonly section: 'answer' | 'authority' | 'additional';
  readonly start: number;
  readonly type: number;
  readonly ttl: number;
  readonly ttlAt: number;
  readonly dataAt: number;
  readonly end: number;
}

/** Where the records of a message are; `undefined` for bytes that are no whole message. */
export function findRecords(bytes: Buffer): readonly RecordPlace[] | undefined {
  const start = skipQuestions(bytes);
  return start === undefined ? undefined : recordsFrom(bytes, start);
}

/**
 * A message that fits into `limit` bytes: records are left out from the end, the OPT record kept, and TC is set
 * (RFC 2181 section 9). One that can't be taken apart is cut to its header and question.
 */
export function shorten(message: Buffer, end: number, limit: number): Buffer {
  if (message.length <= limit) return message;
  const records = findRecords(message) ?? [];
  const opt = records.find((record) => record.type === TYPE.OPT && end + record.end - record.start <= limit);
  const room = limit - (opt === undefined ? 0 : opt.end - opt.start);
  const kept = records.filter((record) => record.end <= room && record !== opt);
  const last = kept.at(-1)?.end ?? end;
  // An OPT that stands between kept records stays there; mostly it is the last.
  const tail = opt !== undefined && opt.start >= last ? message.subarray(opt.start, opt.end) : undefined;
  const cut = Buffer.concat([message.subarray(0, last), ...(tail === undefined ? [] : [tail])]);
  const count = (section: RecordPlace['section']) =>
    kept.filter((record) => record.section === section).length;
  put16(cut, 2, u16(cut, 2) | FLAG.TC);
  put16(cut, 6, count('answer'));
  put16(cut, 8, count('authority'));
  put16(cut, 10, count('additional') + (tail === undefined ? 0 : 1));
  return cut;
}

/** True when a message answers a query: a response with the same question, or an error without any. */
export function answers(reply: Buffer, query: Buffer, end: number): boolean {
  if (reply.length < HEADER || (u16(reply, 2) & FLAG.QR) === 0) return false;
  if (u16(reply, 4) === 0) return rcodeOf(reply) !== RCODE.NOERROR;
  if (u16(reply, 4) !== 1 || reply.length < end) return false;
  for (let at = HEADER; at < end; at++) if (lower(reply[at] ?? 0) !== lower(query[at] ?? 0)) return false;
  return true;
}

export function rcodeOf(message: Buffer): number {
  return (message[3] ?? 0) & 15;
}

export function isTruncated(message: Buffer): boolean {
  return (u16(message, 2) & FLAG.TC) !== 0;
}

export function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte | 32 : byte;
}

function findEdns(bytes: Buffer, from: number): Query['edns'] | 'malformed' {
  if (u16(bytes, 6) + u16(bytes, 8) + u16(bytes, 10) === 0) return undefined;
  const records = recordsFrom(bytes, from);
  if (records === undefined) return 'malformed';
  const opts = records.filter((record) => record.type === TYPE.OPT);
  const [opt] = opts;
  if (opt === undefined) return undefined;
  // One OPT at most, of the root's name (RFC 6891 6.1.1).
  if (opts.length > 1 || bytes[opt.start] !== 0) return 'malformed';
  return { size: u16(bytes, opt.start + 3), version: bytes[opt.ttlAt + 1] ?? 0 };
}

function skipQuestions(bytes: Buffer): number | undefined {
  if (bytes.length < HEADER) return undefined;
  let at = HEADER;
  for (let left = u16(bytes, 4); left > 0; left--) {
    const end = skipName(bytes, at);
    if (end === undefined || end + 4 > bytes.length) return undefined;
    at = end + 4;
  }
  return at;
}

function recordsFrom(bytes: Buffer, from: number): readonly RecordPlace[] | undefined {
  const records: RecordPlace[] = [];
  let at = from;
  for (const [section, count] of [
    ['answer', u16(bytes, 6)],
    ['authority', u16(bytes, 8)],
    ['additional', u16(bytes, 10)],
  ] as const) {
    for (let left = count; left > 0; left--) {
      const name = skipName(bytes, at);
      if (name === undefined || name + 10 > bytes.length) return undefined;
      const end = name + 10 + u16(bytes, name + 8);
      if (end > bytes.length) return undefined;
      const ttlAt = name + 4;
      const ttl = bytes.readUInt32BE(ttlAt);
      records.push({ section, start: at, type: u16(bytes, name), ttl, ttlAt, dataAt: name + 10, end });
      at = end;
    }
  }
  return records;
}

/** The offset behind a name, which may end in a pointer (RFC 1035 4.1.4). */
function skipName(bytes: Uint8Array, from: number): number | undefined {
  let at = from;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if ((length & 0xc0) === 0xc0) return at + 2 <= bytes.length ? at + 2 : undefined;
    if ((length & 0xc0) !== 0) return undefined;
    at += length + 1;
  }
}

/** The offset behind a name without pointers of at most 255 bytes. */
function skipPlainName(bytes: Uint8Array, from: number): number | undefined {
  let at = from;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > 63) return undefined;
    at += length + 1;
    if (at - from > 255) return undefined;
    if (length === 0) return at;
  }
}

/** The text of a plain name. A dot or backslash within a label is written behind a backslash. */
function readName(bytes: Buffer, from: number, end: number): string {
  let name = '';
  for (let at = from; at < end - 1; ) {
    const length = bytes[at] ?? 0;
    const label = bytes.toString('utf8', at + 1, at + 1 + length);
    name += (at === from ? '' : '.') + (/[.\\]/.test(label) ? label.replace(/[.\\]/g, '\\$&') : label);
    at += length + 1;
  }
  return name.toLowerCase();
}
