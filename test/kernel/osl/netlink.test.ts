import { openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  decodeLink,
  encodeDeleteLink,
  encodeGetLink,
  encodeNewLink,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
} from '../../../src/osl/linux/netlink/link.ts';
import {
  encodeMessages,
  NETLINK_ROUTE,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  NLMSG_ERROR,
} from '../../../src/osl/linux/netlink/message.ts';
import { NetlinkSocket, type NetlinkSocketOptions } from '../../../src/osl/linux/netlink/socket.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

const all: NetlinkRequest = {
  type: RTM_GETLINK,
  flags: 0,
  payload: encodeGetLink({}, true),
  operation: 'list',
};

function find(name: string): NetlinkRequest {
  return { type: RTM_GETLINK, flags: 0, payload: encodeGetLink({ name }, true), operation: `find ${name}` };
}

function make(name: string): NetlinkRequest {
  const payload = encodeNewLink({ name }, { kind: 'ifb' });
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, payload, operation: `make ${name}` };
}

function remove(name: string): NetlinkRequest {
  return { type: RTM_DELLINK, flags: 0, payload: encodeDeleteLink({ name }), operation: `remove ${name}` };
}

async function withSocket(
  work: (socket: NetlinkSocket, another: () => NetlinkSocket) => Promise<void>,
  options?: NetlinkSocketOptions,
): Promise<void> {
  await withTestHost(async ({ path }) => {
    const fd = openSync(path('host'), 'r');
    const open = () => NetlinkSocket.open(NETLINK_ROUTE, fd, options);
    const sockets = [open()];
    const another = () => {
      const socket = open();
      sockets.push(socket);
      return socket;
    };
    try {
      for (const socket of sockets) return await work(socket, another);
    } finally {
      for (const socket of sockets) socket.close();
    }
  });
}

describe.skipIf(!canUseKernel)(`a netlink socket ${whyNot}`, () => {
  it.each(['sync', 'async'] as const)('reads a table that comes in many pieces, %s', async (mode) => {
    await withSocket(async (socket) => {
      const names = Array.from({ length: 150 }, (_, i) => `ifb-${i}`);
      for (const { error } of await socket.request(names.map(make))) expect(error).toBeUndefined();
      const found = (await socket.dump(all, { mode })).map((payload) => decodeLink(payload).name);
      expect(found).toEqual(['lo', ...names]);
    });
  });

  it('lists every lasting link exactly once while others come and go', async () => {
    await withSocket(async (socket, another) => {
      const names = Array.from({ length: 60 }, (_, i) => `ifb-${i}`);
      await socket.request(names.map(make));
      const churn = another();
      let ended = false;
      const churning = (async () => {
        for (let i = 0; !ended; i++) {
          await churn.request([make(`tmp-${i}`)]);
          await churn.request([remove(`tmp-${i}`)], { mode: 'async' });
        }
      })();
      for (let i = 0; i < 20; i++) {
        const found = (await socket.dump(all, { mode: 'async' })).map((payload) => decodeLink(payload).name);
        expect(found.filter((name) => !name.startsWith('tmp'))).toEqual(['lo', ...names]);
      }
      ended = true;
      await churning;
    });
  });

  it.each(['sync', 'async'] as const)(
    'gets an answer to each of many requests, with little room, %s',
    async (mode) => {
      await withSocket(
        async (socket) => {
          const requests = Array.from({ length: 500 }, (_, i) => find(i % 3 ? 'lo' : 'never'));
          const replies = await socket.request(requests, { mode });
          for (const [i, reply] of replies.entries()) {
            expect(reply.error?.errno).toBe(i % 3 ? undefined : 'ENODEV');
            expect(reply.payloads).toHaveLength(i % 3 ? 1 : 0);
          }
        },
        { receiveBuffer: 40_000 },
      );
    },
  );

  it('keeps the answers of callers apart', async () => {
    await withSocket(async (socket) => {
      await socket.request([make('ifb-a')]);
      const calls = Array.from({ length: 200 }, async (_, i) => {
        const mode = i % 5 ? undefined : 'async';
        if (i % 7 === 0) return (await socket.dump(all, { mode })).length;
        const name = i % 2 ? 'lo' : 'ifb-a';
        const [reply] = await socket.request([find(name)], { mode });
        return reply?.payloads[0] && decodeLink(reply.payloads[0]).name === name;
      });
      const answers = await Promise.all(calls);
      expect(answers).toEqual(answers.map((_, i) => (i % 7 === 0 ? 2 : true)));
    });
  });

  it('gives the kernel’s own words for a refusal', async () => {
    await withSocket(async (socket) => {
      const payload = encodeNewLink({ name: 'vx' }, { kind: 'vxlan', id: 0x1000000, port: 4789 });
      const [reply] = await socket.request([
        { type: RTM_NEWLINK, flags: NLM_F_CREATE, payload, operation: 'make vx' },
      ]);
      expect(reply?.error).toMatchObject({
        errno: 'ERANGE',
        kernelMessage: 'VXLAN ID must be lower than 16777216',
        operation: 'make vx',
      });
    });
  });

  it('lends its lower door to protocols with their own rules', async () => {
    await withSocket(async (socket) => {
      const first = socket.sequence(2);
      const bytes = encodeMessages([find('lo'), find('never')], first, NLM_F_REQUEST | NLM_F_ACK);
      const messages = await socket.exchange(bytes);
      expect(messages.map(({ sequence, type }) => [sequence - first, type === NLMSG_ERROR])).toEqual([
        [0, false],
        [0, true],
        [1, true],
      ]);
      const [one] = await socket.exchange(bytes, () => true);
      expect(one?.type).toBe(RTM_NEWLINK);
      expect((await socket.request([find('lo')]))[0]?.payloads).toHaveLength(1);
    });
  });

  it('ends what is under way when it closes, and refuses what waits and what comes', async () => {
    await withSocket(async (socket) => {
      const running = socket.request([find('lo')], { mode: 'async' });
      const waiting = socket.request([find('lo')]);
      socket.close();
      expect((await running)[0]?.payloads).toHaveLength(1);
      await expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      await expect(socket.dump(all)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });
  });

  it('lets a caller give up, and serves the next one', async () => {
    await withSocket(async (socket) => {
      const controller = new AbortController();
      const running = socket.request([find('lo')], { mode: 'async', signal: controller.signal });
      const waiting = socket.request([find('lo')], { signal: controller.signal });
      controller.abort();
      for (const call of await Promise.allSettled([running, waiting]))
        expect(call).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED' } });
      expect((await socket.request([find('lo')]))[0]?.payloads).toHaveLength(1);
    });
  });
});
