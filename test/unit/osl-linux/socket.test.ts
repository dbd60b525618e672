import { constants } from 'node:os';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  encodeMessages,
  NETLINK_NETFILTER,
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseMessages,
} from '../../../src/osl/linux/netlink/message.ts';
import { NetlinkSocket } from '../../../src/osl/linux/netlink/socket.ts';

/** A kernel of our own behind the C library: it notes what is sent and answers as it is told to. */
const kernel = vi.hoisted(() => ({
  receiveBuffer: 4 << 20,
  sent: [] as { readonly bytes: number; readonly messages: readonly NetlinkMessage[] }[],
  answers: [] as (Buffer | number)[],
  closed: [] as number[],
  errno: 0,
  refuseOptions: false,
  answer: (_message: NetlinkMessage, _sends: number): readonly (Buffer | number)[] => [],
}));

vi.mock('../../../src/osl/linux/libc.ts', () => {
  const FD = 77;
  const fail = (name: 'EAGAIN' | 'EPERM', number?: number) => {
    kernel.errno = number ?? constants.errno[name];
    return -1;
  };
  const send = (_fd: number, bytes: Buffer) => {
    const messages = parseMessages(Buffer.from(bytes));
    kernel.sent.push({ bytes: bytes.length, messages });
    for (const message of messages) kernel.answers.push(...kernel.answer(message, kernel.sent.length));
    return bytes.length;
  };
  const recv = (_fd: number, buffer: Buffer, room: number) => {
    const next = kernel.answers.shift();
    if (next === undefined) return fail('EAGAIN');
    if (typeof next === 'number') return fail('EPERM', next);
    next.copy(buffer, 0, 0, Math.min(room, next.length));
    return next.length;
  };
  type Done = (failure: unknown, result: number) => void;
  const later = (result: () => number, done: Done) => setImmediate(() => done(null, result()));
  const libc = {
    errno: () => kernel.errno,
    socket: () => FD,
    connect: () => 0,
    close: (fd: number) => kernel.closed.push(fd),
    send: Object.assign(send, {
      async: (fd: number, bytes: Buffer, _length: number, _flags: number, done: Done) =>
        later(() => send(fd, bytes), done),
    }),
    recv: Object.assign(recv, {
      async: (fd: number, buffer: Buffer, room: number, _flags: number, done: Done) =>
        later(() => recv(fd, buffer, room), done),
    }),
  };
  return {
    libc: () => libc,
    check: (result: number) => result,
    getOption: () => kernel.receiveBuffer,
    trySetOption: () => 0,
    setOption: () => {
      if (kernel.refuseOptions) throw new Error('refused');
    },
  };
});

beforeEach(() => {
  Object.assign(kernel, { receiveBuffer: 4 << 20, errno: 0, refuseOptions: false, answer: () => [] });
  for (const list of [kernel.sent, kernel.answers, kernel.closed]) list.length = 0;
});

const table: NetlinkRequest = { type: 1, flags: 0, payload: Buffer.alloc(0), operation: 'list things' };

function numbered(count: number, size = 4): NetlinkRequest[] {
  return Array.from({ length: count }, (_, i) => {
    const payload = Buffer.alloc(size);
    payload.writeUInt32LE(i);
    return { ...table, payload, operation: `thing ${i}` };
  });
}

function message(to: NetlinkMessage, type: number, payload: Buffer, flags = 0): Buffer {
  return encodeMessages([{ type, flags, payload }], to.sequence, 0);
}

const ack = (to: NetlinkMessage) => message(to, NLMSG_ERROR, Buffer.alloc(20));
const done = (to: NetlinkMessage, flags = 0) => message(to, NLMSG_DONE, Buffer.alloc(4), flags);
const item = (to: NetlinkMessage, text: string, flags = 0) => message(to, 16, Buffer.from(text), flags);

const open = () => NetlinkSocket.open(NETLINK_NETFILTER);

describe.each(['sync', 'async'] as const)('a dump, %s', (mode) => {
  it.each([
    ['its first piece', 0],
    ['its last piece', 1],
    ['its end', 2],
  ])('is read again when the kernel says at %s that the table changed', async (_, at) => {
    const flag = (piece: number, sends: number) => (sends < 3 && piece === at ? NLM_F_DUMP_INTR : 0);
    kernel.answer = (to, sends) => [
      item(to, `a${sends}`, flag(0, sends)),
      item(to, `b${sends}`, flag(1, sends)),
      done(to, flag(2, sends)),
    ];
    expect((await open().dump(table, { mode })).map(String)).toEqual(['a3', 'b3']);
    expect(kernel.sent).toHaveLength(3);
  });

  it('of a table that never rests ends with an error that says so', async () => {
    kernel.answer = (to) => [item(to, 'a', NLM_F_DUMP_INTR), done(to)];
    await expect(open().dump(table, { mode })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      operation: 'list things',
    });
    expect(kernel.sent).toHaveLength(50);
  });

  it('in pieces larger than there is room for is whole', async () => {
    // Larger than what any dump before it can have grown the room to.
    const size = mode === 'sync' ? 300_000 : 900_000;
    const large = Buffer.alloc(size, 7);
    kernel.answer = (to) => [item(to, 'small'), message(to, 16, large), done(to)];
    const [small, whole] = await open().dump(table, { mode });
    expect(String(small)).toBe('small');
    expect(whole?.equals(large)).toBe(true);
  });

  it('that the kernel refuses is asked for once', async () => {
    const refusal = Buffer.alloc(20);
    refusal.writeInt32LE(-constants.errno.EPERM);
    kernel.answer = (to) => [message(to, NLMSG_ERROR, refusal)];
    await expect(open().dump(table, { mode })).rejects.toMatchObject({ code: 'FORBIDDEN', errno: 'EPERM' });
    expect(kernel.sent).toHaveLength(1);
  });
});

describe.each(['sync', 'async'] as const)('many requests, %s', (mode) => {
  it('are never more in flight than their answers have room', async () => {
    kernel.receiveBuffer = 256 * 1024;
    kernel.answer = (to) => [item(to, `${to.payload.readUInt32LE()}`), ack(to)];
    const socket = open();
    const replies = await socket.request(numbered(100), { mode });
    expect(replies.map(({ payloads }) => String(payloads[0]))).toEqual(numbered(100).map((_, i) => `${i}`));
    const most = Math.max(...kernel.sent.map(({ messages }) => messages.length));
    expect(most).toBe(socket.maxAnswers);
    expect(most).toBe(8);
  });

  it('go in sends that the kernel takes, however long they are', async () => {
    kernel.answer = (to) => [ack(to)];
    const replies = await open().request(numbered(50, 20_000), { mode });
    expect(replies).toHaveLength(50);
    for (const { bytes } of kernel.sent) expect(bytes).toBeLessThanOrEqual(160 * 1024);
    expect(kernel.sent.flatMap(({ messages }) => messages)).toHaveLength(50);
  });

  it('get what belongs to them, when answers that nobody waits for lie before', async () => {
    const socket = open();
    kernel.answer = () => [constants.errno.ENOBUFS];
    await expect(socket.dump(table, { mode })).rejects.toMatchObject({ errno: 'ENOBUFS' });
    kernel.answer = (to) => [
      item({ ...to, sequence: to.sequence - 1 }, 'late'),
      ack({ ...to, sequence: to.sequence - 1 }),
      item(to, 'right'),
      ack(to),
    ];
    const [reply] = await socket.request([table], { mode });
    expect(reply?.payloads.map(String)).toEqual(['right']);
  });

  it('ask for one acknowledgement, of the last, which says that the others have ended', async () => {
    kernel.answer = (to) => (to.flags & NLM_F_ACK ? [ack(to)] : []);
    const replies = await open().request(numbered(3), { mode });
    expect(replies.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    expect(kernel.sent[0]?.messages.map(({ flags }) => flags & NLM_F_ACK)).toEqual([0, 0, NLM_F_ACK]);
  });

  it('end with an error when the kernel leaves the last one unanswered', async () => {
    kernel.answer = (to) => (to.payload.readUInt32LE() === 2 ? [] : [ack(to)]);
    await expect(open().request(numbered(3), { mode })).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

describe('a caller who gives up', () => {
  it('before the request is sent has sent nothing', async () => {
    kernel.answer = (to) => [ack(to)];
    const socket = open();
    const aborted = AbortSignal.abort(new Error('enough'));
    await expect(socket.request([table], { signal: aborted })).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(socket.dump(table, { signal: aborted })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(kernel.sent).toEqual([]);
  });

  it('while it waits for its turn has sent nothing, and those behind it are served', async () => {
    kernel.answer = (to) => [item(to, `${kernel.sent.length}`), ack(to)];
    const socket = open();
    const controller = new AbortController();
    const first = socket.request([table], { mode: 'async' });
    const second = socket.request([table], { signal: controller.signal });
    const third = socket.request([table]);
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await first)[0]?.payloads.map(String)).toEqual(['1']);
    expect((await third)[0]?.payloads.map(String)).toEqual(['2']);
  });

  it('between two readings of a table that changes reads no third', async () => {
    const controller = new AbortController();
    kernel.answer = (to, sends) => {
      if (sends === 2) controller.abort();
      return [item(to, 'a', NLM_F_DUMP_INTR), done(to)];
    };
    const dump = open().dump(table, { signal: controller.signal });
    await expect(dump).rejects.toMatchObject({ code: 'ABORTED' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(kernel.sent).toHaveLength(2);
  });
});

describe('the descriptor of a socket', () => {
  it('is closed once, and when the socket could not be set up', async () => {
    const socket = open();
    socket.close();
    socket.close();
    await socket.idle();
    expect(kernel.closed).toEqual([77]);
    kernel.refuseOptions = true;
    expect(open).toThrow('refused');
    expect(kernel.closed).toEqual([77, 77]);
  });
});
