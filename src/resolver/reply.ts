import packet from 'dns-packet';
import { formatAddress, fromBytes, parseAddress, toBytes } from '../ip.ts';
import { addressReply, CLASS_IN, emptyReply, type Query, RCODE, TYPE } from './message.ts';
import type { NameSource, ServiceTarget } from './names.ts';

/** What a sandbox's own names say to a question. */
export type LocalAnswer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  /** The name is known, but not with such records: NOERROR with none, which stops a client's search. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'names'; readonly names: readonly string[] }
  | { readonly kind: 'service'; readonly targets: readonly ServiceTarget[] };

const EMPTY: LocalAnswer = { kind: 'empty' };

/** Answers from the names alone; `undefined` for what is not known here. */
export function answerLocally(query: Query, names: NameSource, sandbox: string): LocalAnswer | undefined {
  if (query.class !== CLASS_IN) return undefined;
  if (query.type === TYPE.A) return addresses(names.lookup(sandbox, query.name, 'ipv4'));
  if (query.type === TYPE.AAAA) return addresses(names.lookup(sandbox, query.name, 'ipv6'));
  if (query.type === TYPE.PTR) {
    const address = reversedAddress(query.name);
    const found = address === undefined ? undefined : names.reverse(sandbox, address);
    if (found !== undefined) return { kind: 'names', names: found };
  }
  if (query.type === TYPE.SRV) {
    const targets = names.service?.(sandbox, query.name);
    if (targets !== undefined && targets.length > 0) return { kind: 'service', targets };
  }
  return names.lookup(sandbox, query.name, 'ipv4') === undefined ? undefined : EMPTY;
}

function addresses(found: ReturnType<NameSource['lookup']>): LocalAnswer | undefined {
  if (found === undefined) return undefined;
  return found === 'no-such-type' || found.length === 0 ? EMPTY : { kind: 'addresses', addresses: found };
}

/** The message that carries a local answer, in at most `limit` bytes. */
export function encodeReply(
  message: Buffer,
  query: Query,
  answer: LocalAnswer,
  ttl: number,
  limit: number,
): Buffer {
  if (answer.kind === 'addresses') {
    const length = query.type === TYPE.A ? 4 : 16;
    const all = answer.addresses.map(bytesOf).filter((bytes) => bytes.length === length);
    return addressReply(message, query, all, ttl, limit);
  }
  if (answer.kind === 'empty') return emptyReply(message, query.end, RCODE.NOERROR, query.edns !== undefined);
  const { answers, additionals } = recordsOf(query, answer, ttl);
  const names = [...answers, ...additionals].flatMap((it) => [it.name, targetOf(it)]);
  // A name may be longer than DNS can carry; then there is no right answer.
  if (!names.every(isEncodable))
    return emptyReply(message, query.end, RCODE.SERVFAIL, query.edns !== undefined);
  return encodeFitting(message, query, answers, additionals, limit);
}

function recordsOf(
  query: Query,
  answer: Exclude<LocalAnswer, { kind: 'addresses' | 'empty' }>,
  ttl: number,
): { answers: packet.Answer[]; additionals: packet.StringAnswer[] } {
  if (answer.kind === 'names')
    return {
      answers: answer.names.map((data) => ({ type: 'PTR', name: query.name, ttl, data })),
      additionals: [],
    };
  return {
    answers: answer.targets.map(({ target, port }) => ({
      type: 'SRV',
      name: query.name,
      ttl,
      data: { priority: 0, weight: 0, port, target },
    })),
    additionals: answer.targets.flatMap(({ target, addresses: all }) =>
      all.map((data) => ({ type: data.includes(':') ? 'AAAA' : 'A', name: target, ttl, data }) as const),
    ),
  };
}

/** Leaves out additional records first, then answers with TC set. */
function encodeFitting(
  message: Buffer,
  query: Query,
  answers: packet.Answer[],
  additionals: packet.Answer[],
  limit: number,
): Buffer {
  const room = limit - query.end - 11;
  let size = 0;
  const take = (record: packet.Answer) => {
    size += packet.encodingLength({ answers: [record] }) - 12;
    return size <= room;
  };
  const kept = answers.filter(take);
  const extra = kept.length === answers.length ? additionals.filter(take) : [];
  const body = packet.encode({ type: 'response', answers: kept, additionals: extra });
  const head = emptyReply(message, query.end, RCODE.NOERROR, query.edns !== undefined);
  const reply = Buffer.concat([head.subarray(0, query.end), body.subarray(12), head.subarray(query.end)]);
  if (kept.length < answers.length) reply[2] = (reply[2] ?? 0) | 2;
  reply.writeUInt16BE(kept.length, 6);
  reply.writeUInt16BE(extra.length + (query.edns === undefined ? 0 : 1), 10);
  return reply;
}

function targetOf(record: packet.Answer): string {
  if (record.type === 'PTR') return record.data;
  return record.type === 'SRV' ? record.data.target : '';
}

/** Labels of 1 to 63 bytes, 253 in all (RFC 1035 2.3.4). */
function isEncodable(name: string): boolean {
  return (
    Buffer.byteLength(name) <= 253 &&
    (name === '' || name.split('.').every((label) => label !== '' && Buffer.byteLength(label) <= 63))
  );
}

/** The address that a reverse name stands for: `5.0.9.10.in-addr.arpa` is 10.9.0.5. */
export function reversedAddress(name: string): string | undefined {
  if (name.endsWith('.in-addr.arpa')) {
    const text = name.slice(0, -'.in-addr.arpa'.length).split('.').reverse().join('.');
    const address = parseAddress(text);
    return address?.family === 'ipv4' ? formatAddress(address) : undefined;
  }
  const nibbles = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (nibbles === undefined) return undefined;
  return formatAddress(
    fromBytes(Buffer.from(nibbles.replaceAll('.', '').split('').reverse().join(''), 'hex')),
  );
}

/** Addresses as bytes, remembered: the same few are asked for again and again. */
const known = new Map<string, Uint8Array>();
const KNOWN_LIMIT = 10_000;

function bytesOf(address: string): Uint8Array {
  const found = known.get(address);
  if (found !== undefined) return found;
  const parsed = parseAddress(address);
  const bytes = parsed === undefined ? new Uint8Array(0) : toBytes(parsed);
  if (known.size >= KNOWN_LIMIT) known.clear();
  known.set(address, bytes);
  return bytes;
}
