/** What we read and write of DNS ourselves, beside what `dns-packet` makes of the same bytes. */
import packet from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyReply, findRecords, parseQuery, type Query, RCODE } from '../../../src/resolver/message.ts';
import { encodeReply } from '../../../src/resolver/reply.ts';

const TYPES = ['A', 'AAAA', 'PTR', 'SRV', 'TXT', 'MX', 'CNAME', 'SOA', 'NS'] as const;
const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,63}$/);
const name = fc
  .array(label, { minLength: 1, maxLength: 5 })
  .map((labels) => labels.join('.'))
  .filter((it) => it.length <= 253);
const type = fc.constantFrom(...TYPES);
const opt = (size: number) =>
  ({ type: 'OPT', name: '.', udpPayloadSize: size, options: [] }) as unknown as packet.OptAnswer;

const query = fc
  .record({
    id: fc.nat(65_535),
    name,
    type,
    isRecursive: fc.boolean(),
    size: fc.option(fc.integer({ min: 1, max: 65_535 })),
  })
  .map(({ id, name: asked, type: of, isRecursive, size }) =>
    packet.encode({
      type: 'query',
      id,
      flags: isRecursive ? packet.RECURSION_DESIRED : 0,
      questions: [{ name: asked, type: of }],
      additionals: size === null ? [] : [opt(size)],
    }),
  );

/** A query with some bytes changed, and bytes that are none. */
const anything = fc.oneof(
  fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(query, fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 3 }), fc.nat(20))
    .map(([message, changes, cut]) => {
      const spoilt = Buffer.from(message);
      for (const [at, byte] of changes) spoilt[at % spoilt.length] = byte;
      return spoilt.subarray(0, spoilt.length - (cut < 10 ? 0 : cut - 10));
    }),
);

function decoded(message: Buffer): packet.DecodedPacket | undefined {
  try {
    return packet.decode(message);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

const plain = (text: string): string => text.replaceAll('\\', '').toLowerCase();

describe('a question', () => {
  it('that is taken is what the codec takes it for', () => {
    let agreed = 0;
    fc.assert(
      fc.property(anything, (message) => {
        const query = parseQuery(message);
        const theirs = decoded(message);
        if (query.kind !== 'query' || theirs === undefined) return;
        const [question, more] = theirs.questions ?? [];
        agreed++;
        expect(more).toBeUndefined();
        expect(theirs).toMatchObject({ id: query.id, type: 'query', opcode: 'QUERY' });
        // The codec shows the root as a dot, and reads each byte of a name as UTF-8, as we do.
        expect(question?.name === '.' ? '' : plain(question?.name ?? '')).toBe(plain(query.name));
        const known = TYPES.find((it) => it === question?.type);
        if (known !== undefined && question?.class === 'IN')
          expect(message.subarray(query.end - 4, query.end)).toEqual(
            packet.encode({ questions: [{ name: '.', type: known }] }).subarray(-4),
          );
        const [theirOpt] = (theirs.additionals ?? []).filter((it) => it.type === 'OPT');
        expect(query.edns?.size).toBe(theirOpt?.udpPayloadSize);
      }),
      { numRuns: 5000 },
    );
    expect(agreed).toBeGreaterThan(500);
  });

  it('of the codec is always taken', () => {
    fc.assert(
      fc.property(query, (message) => {
        expect(parseQuery(message).kind).toBe('query');
      }),
    );
  });
});

describe('an answer of our own', () => {
  const parsed = (message: Buffer): Query => {
    const it = parseQuery(message);
    if (it.kind !== 'query') throw new Error(it.kind);
    return it;
  };

  it('without records is, byte for byte, what the codec writes', () => {
    fc.assert(
      fc.property(query, fc.constantFrom(...Object.values(RCODE)), (message, rcode) => {
        const asked = parsed(message);
        const { id, questions } = packet.decode(message);
        const edns = asked.edns !== undefined;
        const flags = packet.RECURSION_AVAILABLE | (asked.flags & packet.RECURSION_DESIRED) | rcode;
        const theirs = packet.encode({
          type: 'response',
          id,
          flags,
          questions,
          additionals: edns ? [opt(1232)] : [],
        });
        expect(emptyReply(message, asked.end, rcode, edns).equals(theirs)).toBe(true);
      }),
    );
  });

  it('with addresses is shorter than what the codec writes by the names it does not repeat, and the same', () => {
    const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((it) => it.join('.'));
    fc.assert(
      fc.property(name, fc.array(v4, { minLength: 1, maxLength: 30 }), fc.nat(86_400), (asked, list, ttl) => {
        const message = packet.encode({ type: 'query', id: 7, questions: [{ type: 'A', name: asked }] });
        const ours = encodeReply(
          message,
          parsed(message),
          { kind: 'addresses', addresses: list },
          ttl,
          65_535,
        );
        const { id, questions } = packet.decode(message);
        const answers = list.map((data) => ({ type: 'A', name: asked, ttl, data }) as const);
        const flags = packet.RECURSION_AVAILABLE;
        const theirs = packet.encode({ type: 'response', id, flags, questions, answers });
        expect(packet.decode(ours)).toEqual(packet.decode(theirs));
        // A name is written as its text and two bytes more; ours points to the question's in two.
        expect(theirs.length - ours.length).toBe(list.length * asked.length);
        expect(findRecords(ours)?.length).toBe(list.length);
      }),
    );
  });
});
