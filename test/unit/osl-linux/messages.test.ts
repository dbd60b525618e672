import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { Answers } from '../../../src/osl/linux/netlink/answers.ts';
import { attributeMap, Writer } from '../../../src/osl/linux/netlink/attributes.ts';
import {
  encodeMessages,
  type NetlinkRequest,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseMessages,
  replyError,
} from '../../../src/osl/linux/netlink/message.ts';

const CAPPED_WITH_TEXT = 0x300;

function request(operation: string): NetlinkRequest {
  return { type: 16, flags: 0, payload: Buffer.alloc(16), operation };
}

/** An acknowledgement as the kernel sends it: the error number, the echoed header, and extended text. */
function ack(sequence: number, errno = 0, text?: string): Buffer {
  const head = Buffer.alloc(20);
  head.writeInt32LE(-errno);
  const writer = new Writer().bytes(head);
  if (text !== undefined) writer.attrString(1, text);
  const flags = text === undefined ? 0x100 : CAPPED_WITH_TEXT;
  return encodeMessages([{ type: NLMSG_ERROR, flags, payload: writer.finish() }], sequence, 0);
}

function data(sequence: number, payload: Buffer, flags = 0): Buffer {
  return encodeMessages([{ type: 16, flags, payload }], sequence, 0);
}

function answers(count: number, first = 100): Answers {
  const requests = Array.from({ length: count }, (_, i) => request(`request ${i}`));
  return new Answers(requests, first, Buffer.alloc(0));
}

describe('messages', () => {
  it('come back as they went, whatever their length', () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 50 }).map((each) => Buffer.from(each)));
    fc.assert(
      fc.property(payloads, fc.nat(0xffff), (all, type) => {
        const encoded = encodeMessages(
          all.map((payload) => ({ type, flags: 4, payload })),
          7,
          1,
        );
        const parsed = parseMessages(encoded);
        expect(parsed.map(({ payload }) => payload.toString('hex'))).toEqual(
          all.map((each) => each.toString('hex')),
        );
        expect(parsed.map(({ sequence }) => sequence)).toEqual(all.map((_, i) => 7 + i));
        expect(parsed.every((each) => each.type === type && each.flags === 5)).toBe(true);
      }),
    );
  });

  it('survive random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          for (const message of parseMessages(Buffer.from(bytes))) replyError(message, 'x');
        } catch (error) {
          expect(error).toBeInstanceOf(LibnetworkError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('answers', () => {
  it('belong to requests by their number, however they are packed, and end with the last one', () => {
    const collected = answers(3);
    collected.accept(Buffer.concat([ack(100), ack(101, 17, 'File exists by that name')]));
    expect(collected.done).toBe(false);
    collected.accept(data(102, Buffer.from('late')));
    expect(collected.done).toBe(false);
    collected.accept(ack(102));
    expect(collected.done).toBe(true);
    expect(collected.replies[2]?.payloads.map(String)).toEqual(['late']);
    expect(collected.replies.map(({ error }) => error?.errno)).toEqual([undefined, 'EEXIST', undefined]);
    expect(collected.replies[1]?.error).toMatchObject({
      code: 'ALREADY_EXISTS',
      operation: 'request 1',
      kernelMessage: 'File exists by that name',
      message: 'request 1: EEXIST (File exists by that name)',
    });
  });

  it('to abandoned requests are dropped, and an acknowledgement counts once', () => {
    const collected = answers(1);
    collected.accept(Buffer.concat([ack(99), data(99, Buffer.from('old')), ack(101)]));
    expect(collected.done).toBe(false);
    collected.accept(Buffer.concat([ack(100), ack(100, 1)]));
    expect(collected.done).toBe(true);
    expect(collected.replies).toEqual([{ error: undefined, payloads: [] }]);
  });

  it('of a dump end with DONE, which may carry an error, and tell of an interruption', () => {
    const collected = answers(1);
    collected.accept(data(100, Buffer.from('part'), NLM_F_DUMP_INTR));
    const done = Buffer.alloc(4);
    done.writeInt32LE(-16);
    collected.accept(encodeMessages([{ type: NLMSG_DONE, flags: 2, payload: done }], 100, 0));
    expect([collected.done, collected.interrupted]).toEqual([true, true]);
    expect(collected.replies[0]?.error).toMatchObject({ code: 'CONFLICT', errno: 'EBUSY' });
  });

  it('keep their payloads when the buffer they came in is used again', () => {
    const collected = answers(1);
    const datagram = data(100, Buffer.from('first'));
    collected.accept(datagram);
    datagram.fill(0);
    expect(String(collected.replies[0]?.payloads[0])).toBe('first');
  });
});

describe('attributes', () => {
  it('come back as they went, beyond the room that was expected', () => {
    const values = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 30 });
    fc.assert(
      fc.property(values, (all) => {
        const writer = new Writer(4);
        for (const [type, value] of all.entries()) writer.attrBytes(type, value);
        const read = attributeMap(writer.finish());
        expect([...read.values()].map((each) => each.toString('hex'))).toEqual(
          all.map((each) => Buffer.from(each).toString('hex')),
        );
      }),
    );
  });

  it('nest, and are padded with zeros', () => {
    const bytes = new Writer()
      .nest(1, (inner) => inner.attrU8(2, 7).attrString(3, 'veth').attrU16BE(4, 4789).flag(5))
      .finish();
    const outer = attributeMap(bytes).get(1) ?? Buffer.alloc(0);
    const inner = attributeMap(outer);
    expect([...inner.keys()]).toEqual([2, 3, 4, 5]);
    expect(inner.get(3)).toEqual(Buffer.from('veth\0'));
    expect(inner.get(4)?.readUInt16BE()).toBe(4789);
    expect(bytes.length % 4).toBe(0);
    expect(outer.subarray(5, 8)).toEqual(Buffer.alloc(3));
  });
});
