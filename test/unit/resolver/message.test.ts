import packet from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FAMILIES, type Family, formatAddress, fromBytes } from '../../../src/ip.ts';
import { Frames, frame } from '../../../src/resolver/frames.ts';
import {
  answers,
  emptyReply,
  findRecords,
  parseQuery,
  type Query,
  shorten,
} from '../../../src/resolver/message.ts';
import { encodeReply, reversedAddress } from '../../../src/resolver/reply.ts';

const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
const name = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.'));
const opt = (size: number): packet.OptAnswer => ({
  type: 'OPT',
  name: '.',
  udpPayloadSize: size,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
});
const question = (name: string, type: packet.RecordType, edns?: number) =>
  packet.encode({
    type: 'query',
    id: 4711,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type }],
    ...(edns === undefined ? {} : { additionals: [opt(edns)] }),
  });

function parsed(message: Buffer): Query {
  const query = parseQuery(message);
  if (query.kind !== 'query') throw new Error(`not a query: ${query.kind}`);
  return query;
}

function addressOf(family: Family) {
  const length = family === 'ipv4' ? 4 : 16;
  return fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((bytes) => formatAddress(fromBytes(bytes)));
}

describe('a query', () => {
  it('reads as the codec wrote it', () => {
    fc.assert(
      fc.property(
        name,
        fc.constantFrom('A', 'AAAA', 'PTR', 'SRV', 'TXT'),
        fc.option(fc.nat(65_535)),
        (n, type, edns) => {
          const query = parsed(question(n, type, edns ?? undefined));
          const numbers = { A: 1, AAAA: 28, PTR: 12, SRV: 33, TXT: 16 } as const;
          expect(query).toMatchObject({ id: 4711, name: n.toLowerCase(), type: numbers[type], class: 1 });
          // The codec writes 4096 for a size of 0.
          expect(query.edns?.size).toBe(edns === null ? undefined : edns || 4096);
        },
      ),
    );
  });

  it('keeps a dot within a label apart from one between two', () => {
    const message = Buffer.concat([
      Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3]),
      Buffer.from('a.b'),
      Buffer.from([0, 0, 1, 0, 1]),
    ]);
    expect(parsed(message).name).toBe('a\\.b');
  });

  it.each([
    ['a response', { type: 'response', questions: [{ type: 'A', name: 'a' }] }, { kind: 'ignore' }],
    ['no question', { type: 'query' }, { kind: 'error', rcode: 1 }],
    [
      'an update',
      { type: 'query', flags: 5 << 11, questions: [{ type: 'SOA', name: 'a' }] },
      { kind: 'error', rcode: 4 },
    ],
  ] as const)('refuses %s', (_what, sent, expected) => {
    const message = packet.encode({ ...sent, id: 1 } as packet.Packet);
    expect(parseQuery(message)).toMatchObject(expected);
  });

  it('refuses a question that is cut short, and an additional record that is', () => {
    const message = question('web.front', 'A', 1232);
    for (let length = 12; length < message.length; length++)
      expect(parseQuery(message.subarray(0, length)), `${length} bytes`).toMatchObject({
        kind: 'error',
        rcode: 1,
      });
    for (let length = 0; length < 12; length++)
      expect(parseQuery(message.subarray(0, length))).toEqual({ kind: 'ignore' });
  });

  it('refuses a pointer in the question, and a name longer than 255 bytes', () => {
    const header = Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    const pointer = Buffer.concat([header, Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
    expect(parseQuery(pointer)).toMatchObject({ kind: 'error', rcode: 1 });
    const long = question(Array(5).fill('x'.repeat(60)).join('.'), 'A');
    expect(parseQuery(long)).toMatchObject({ kind: 'error', rcode: 1 });
  });

  it('never makes the reader throw, whatever the bytes', () => {
    const bytes = fc.uint8Array({ maxLength: 600 }).map((array) => Buffer.from(array));
    const spoilt = fc.tuple(name, fc.nat(80), fc.nat(255)).map(([n, at, byte]) => {
      const message = question(n, 'A', 1232);
      message[at % message.length] = byte;
      return message;
    });
    fc.assert(
      fc.property(fc.oneof(bytes, spoilt), fc.nat(700), (message, limit) => {
        const query = parseQuery(message);
        if (query.kind !== 'ignore') expect(emptyReply(message, query.end, 1, false).length).toBe(query.end);
        findRecords(message);
        answers(message, message, message.length);
        expect(shorten(Buffer.from(message), 12, limit).length).toBeLessThanOrEqual(
          Math.max(limit, Math.min(12, message.length)),
        );
      }),
      { numRuns: 2000 },
    );
  });
});

describe('an answer of addresses', () => {
  it.each(FAMILIES)('decodes to the records put in: %s', (family) => {
    const type = family === 'ipv4' ? 'A' : 'AAAA';
    fc.assert(
      fc.property(
        name,
        fc.array(addressOf(family), { minLength: 1, maxLength: 10 }),
        fc.boolean(),
        (n, list, edns) => {
          const message = question(n, type, edns ? 4096 : undefined);
          const reply = encodeReply(
            message,
            parsed(message),
            { kind: 'addresses', addresses: list },
            600,
            4096,
          );
          const decoded = packet.decode(reply);
          expect(decoded).toMatchObject({
            id: 4711,
            type: 'response',
            rcode: 'NOERROR',
            flag_ra: true,
            flag_rd: true,
          });
          expect(decoded.flag_aa).toBe(false);
          expect(decoded.questions).toEqual([{ name: n, type, class: 'IN' }]);
          expect(decoded.answers?.map((it) => 'data' in it && it.data)).toEqual(list);
          expect(decoded.answers?.every((it) => it.name === n && 'ttl' in it && it.ttl === 600)).toBe(true);
          expect(decoded.additionals?.length).toBe(edns ? 1 : 0);
          expect(packet.decode.bytes).toBe(reply.length);
        },
      ),
    );
  });

  it('leaves out what does not fit and says so', () => {
    const message = question('web', 'A', 1232);
    const addresses = Array.from({ length: 200 }, (_, i) => `10.0.0.${i}`);
    fc.assert(
      fc.property(fc.integer({ min: 60, max: 4000 }), (limit) => {
        const reply = encodeReply(message, parsed(message), { kind: 'addresses', addresses }, 600, limit);
        const decoded = packet.decode(reply);
        expect(reply.length).toBeLessThanOrEqual(limit);
        expect(limit - reply.length < 16 || decoded.answers?.length === 200).toBe(true);
        expect(decoded.flag_tc).toBe(decoded.answers?.length !== 200);
      }),
    );
  });
});

describe('an answer of names', () => {
  it('carries PTR records', () => {
    const message = question('5.0.9.10.in-addr.arpa', 'PTR');
    const reply = packet.decode(
      encodeReply(message, parsed(message), { kind: 'names', names: ['Web.front'] }, 600, 512),
    );
    expect(reply.answers).toMatchObject([
      { type: 'PTR', name: '5.0.9.10.in-addr.arpa', data: 'Web.front', ttl: 600 },
    ]);
  });

  it('is SERVFAIL for a name that DNS cannot carry', () => {
    const message = question('5.0.9.10.in-addr.arpa', 'PTR');
    const names = [`${'x'.repeat(64)}.front`];
    const reply = packet.decode(encodeReply(message, parsed(message), { kind: 'names', names }, 600, 512));
    expect(reply).toMatchObject({ rcode: 'SERVFAIL', answers: [] });
  });
});

describe('an answer of services', () => {
  const targets = Array.from({ length: 20 }, (_, i) => ({
    target: `web${i}.front`,
    port: 8000 + i,
    addresses: [`10.9.0.${i}`, `fd00::${i + 1}`],
  }));

  it('carries SRV records and the addresses of their targets', () => {
    const message = question('_http._tcp.web', 'SRV', 4096);
    const answer = { kind: 'service', targets: targets.slice(0, 2) } as const;
    const reply = packet.decode(encodeReply(message, parsed(message), answer, 600, 4096));
    expect(reply.answers).toMatchObject([
      { type: 'SRV', data: { port: 8000, priority: 0, weight: 0, target: 'web0.front' } },
      { type: 'SRV', data: { port: 8001, target: 'web1.front' } },
    ]);
    expect(reply.additionals?.map((it) => it.type)).toEqual(['A', 'AAAA', 'A', 'AAAA', 'OPT']);
  });

  it('leaves out addresses before targets', () => {
    const message = question('_http._tcp.web', 'SRV');
    for (const limit of [200, 512, 900, 1500]) {
      const encoded = encodeReply(message, parsed(message), { kind: 'service', targets }, 600, limit);
      const reply = packet.decode(encoded);
      expect(encoded.length).toBeLessThanOrEqual(limit);
      expect(reply.flag_tc).toBe(reply.answers?.length !== 20);
      if (reply.flag_tc) expect(reply.additionals).toEqual([]);
    }
  });
});

describe('a message of another server', () => {
  const message = (count: number, edns: boolean) =>
    packet.encode({
      type: 'response',
      id: 1,
      questions: [{ type: 'A', name: 'many.example' }],
      answers: Array.from({ length: count }, (_, i) => ({
        type: 'A',
        name: 'many.example',
        ttl: 1,
        data: `10.0.0.${i}`,
      })),
      authorities: [{ type: 'NS', name: 'example', data: 'ns.example' }],
      ...(edns ? { additionals: [opt(4096)] } : {}),
    });

  it('is shortened at a record, its OPT kept', () => {
    for (const edns of [true, false])
      for (let limit = 60; limit < 1000; limit += 7) {
        const whole = message(30, edns);
        const short = shorten(whole, 30, limit);
        const decoded = packet.decode(short);
        expect(short.length).toBeLessThanOrEqual(limit);
        expect(packet.decode.bytes).toBe(short.length);
        expect(decoded.flag_tc).toBe(whole.length > limit);
        expect(decoded.additionals?.length).toBe(edns ? 1 : 0);
      }
  });

  it('answers a question only when it repeats it', () => {
    const query = question('many.Example', 'A');
    const end = parsed(query).end;
    expect(answers(message(1, false), query, end)).toBe(true);
    expect(answers(message(1, false), question('many.exbmple', 'A'), end)).toBe(false);
    expect(answers(message(1, false), question('many.example', 'AAAA'), end)).toBe(false);
    expect(answers(query, query, end)).toBe(false);
  });
});

describe('reverse names', () => {
  it('stand for addresses of both families', () => {
    expect(reversedAddress('5.0.9.10.in-addr.arpa')).toBe('10.9.0.5');
    expect(reversedAddress(`5.${'0.'.repeat(27)}0.0.d.f.ip6.arpa`)).toBe('fd00::5');
    for (const wrong of [
      '9.10.in-addr.arpa',
      '256.0.9.10.in-addr.arpa',
      'in-addr.arpa',
      '5.0.ip6.arpa',
      'web',
    ])
      expect(reversedAddress(wrong)).toBeUndefined();
  });
});

describe('frames of a stream', () => {
  it('come out as they went in, however the stream is cut', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (list, cuts) => {
        const stream = Buffer.concat(list.map(frame));
        const frames = new Frames();
        const found: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const step = cuts[i % cuts.length] ?? 1;
          found.push(...frames.push(stream.subarray(at, at + step)));
          at += step;
        }
        expect(found.map((it) => [...it])).toEqual(list.map((it) => [...it]));
      }),
    );
  });
});
