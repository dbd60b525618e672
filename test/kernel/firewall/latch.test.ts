import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import type { Firewall, Intent, PolicyIntent } from '../../../src/osl/firewall/firewall.ts';
import { latchOf } from '../../../src/osl/firewall/latch.ts';
import { whyNoLatch } from '../../../src/osl/linux/nftables/latch.ts';
import { inNamespace } from '../../../src/osl/linux/window.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { port } from '../../unit/firewall/intents.ts';
import { type Engine, hasNft, nowhere, TABLE, whyNotEngine } from './support.ts';
import { addressOf, HOST, networkIntents, OUTSIDE, published, type World, withWorld } from './world.ts';

const FAMILIES = ['ipv4', 'ipv6'] as const;
const ANY = { ipv4: '0.0.0.0', ipv6: '::' } as const;
const PORT = 5000;
/** Longer than any repair takes: the repair must wait for the thread that this one holds up. */
const GAP_MS = 200;
const PATIENCE_MS = 20_000;
/**
 * What a flush may let through: the one packet that is within the rules at that very instant. It has its label, and
 * finds the sets behind it empty. Of the sender's thousand a second no other passes, however long the gap is.
 */
const INSIDE = 1;

/** The engines, each with a way to flush what it made. */
const FLUSHES: readonly { readonly engine: Engine; readonly command: string }[] = [
  { engine: 'nftables', command: 'nft flush ruleset' },
  { engine: 'nftables', command: `nft delete table inet ${TABLE}` },
];

const lacking = canUseKernel ? await whyNoLatch() : undefined;
const why = !canUseKernel
  ? whyNot
  : hasNft
    ? (lacking?.message ?? '')
    : 'there is no nft program to flush with';

/** A process that sends the time to all targets, about each ms, from a port of its own each time. */
async function sender(from: Namespace, targets: readonly (readonly [address: string, port: number])[]) {
  const script = `
    const { createSocket } = require('node:dgram');
    const targets = ${JSON.stringify(targets)};
    process.stdin.on('end', () => process.exit(0)).resume();
    const send = () => {
      for (const [address, port] of targets) {
        const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
        socket.on('error', () => socket.close());
        socket.send(String(Date.now()), port, address, () => socket.close());
      }
      setTimeout(send, 1);
    };
    send();
    console.log('sending');`;
  return started(from, script);
}

/** A process with a server that echoes. */
async function echo(at: Namespace, tcpPort: number) {
  const script = `
    process.stdin.on('end', () => process.exit(0)).resume();
    require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
      .listen(${tcpPort}, '::', () => console.log('listening'));`;
  return started(at, script);
}

/** A process that talks to such a server, each ms, and at its end says what became of its connection. */
async function talker(from: Namespace, address: string, tcpPort: number) {
  const script = `
    let heard = 0, failure;
    const socket = require('node:net').connect(${tcpPort}, '${address}', () => console.log('talking'));
    socket.on('data', (data) => { heard += data.length; });
    socket.on('error', (error) => { failure = String(error); });
    socket.on('close', () => { failure ??= 'closed'; });
    const talk = setInterval(() => socket.write('x'), 1);
    process.stdin.on('end', () => {
      clearInterval(talk);
      const before = heard;
      socket.write('x');
      const wait = setInterval(() => {
        if (heard === before && failure === undefined) return;
        clearInterval(wait);
        console.log(failure ?? 'alive');
        process.exit(0);
      }, 10);
    }).resume();`;
  return started(from, script);
}

async function started(at: Namespace, script: string) {
  const child = at.spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('no pipes');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  await lines.next();
  return {
    /** Ends it, and returns its last line. */
    end: async () => {
      const exit = once(child, 'exit');
      stdin.end();
      const { value } = await lines.next();
      await exit;
      return value as string | undefined;
    },
  };
}

/** What comes to a port: the times of sending. */
async function listener(at: Namespace, address: string, udpPort = PORT) {
  const times: number[] = [];
  const socket = await at.bindUdp(address, udpPort);
  socket.onMessage((data) => times.push(Number(data)));
  return { times, close: () => socket.close() };
}

/** Flushes, holds the repair up, and returns when it began and ended. */
async function flush(world: World, repaired: () => number, command: string) {
  const before = repaired();
  const [file = '', ...args] = command.split(' ');
  const began = inNamespace(world.hostFd, () => {
    execFileSync(file, args);
    return Date.now();
  });
  // The thread that repairs is busy: the gap lasts as long.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, GAP_MS);
  const ended = Date.now();
  await expect.poll(repaired, { timeout: PATIENCE_MS, interval: 5 }).toBeGreaterThan(before);
  return { began, ended };
}

const within = (times: readonly number[], { began, ended }: { began: number; ended: number }) =>
  times.filter((time) => time > began + 1 && time < ended).length;

async function inWorld(
  intents: readonly Intent[],
  engine: Engine,
  latch: boolean,
  work: (world: World, repaired: () => number) => Promise<void>,
) {
  let repairs = 0;
  const options = { latch, onRepaired: () => repairs++ };
  await withWorld(intents, (world) => work(world, () => repairs), engine, options);
}

describe.each(FLUSHES)(`$engine, after $command${why && ` (skipped: ${why})`}`, ({ engine, command }) => {
  const whyEngine = why || whyNotEngine(engine);
  describe.skipIf(whyEngine !== '')(whyEngine || 'and until the rules are back', () => {
    it.each([
      [true, 'nothing that they refuse comes through'],
      [false, 'everything comes through, were there no latch'],
    ])(
      'with a latch: %s, %s',
      async (latch) => {
        await inWorld(networkIntents(), engine, latch, async (world, repaired) => {
          await world.firewall.apply([{ remove: { kind: 'network', id: 'other' } }]);
          const closed = await Promise.all(
            FAMILIES.map((family) => listener(world.at('nat-2'), ANY[family], PORT)),
          );
          const foreign = await listener(world.at('other-2'), ANY.ipv4);
          const sending = await sender(world.at('outside'), [
            ...FAMILIES.map((family) => [addressOf(family, 'nat', 2), PORT] as const),
            [addressOf('ipv4', 'other', 2), PORT],
          ]);
          await expect.poll(() => foreign.times.length, { timeout: PATIENCE_MS }).toBeGreaterThan(10);
          const gaps = [];
          for (let round = 0; round < 3; round++) {
            const gap = await flush(world, repaired, command);
            gaps.push(gap);
            // What waits to be read is read first, or the next gap's would find no room.
            await expect
              .poll(() => (foreign.times.at(-1) ?? 0) > gap.ended, { timeout: PATIENCE_MS })
              .toBe(true);
          }
          await sending.end();
          for (const gap of gaps) expect(within(foreign.times, gap)).toBeGreaterThan(0);
          const came = closed.map(({ times }) => times.length > gaps.length * INSIDE);
          expect(came).toEqual(FAMILIES.map(() => !latch));
          for (const each of [...closed, foreign]) each.close();
        });
      },
      60_000,
    );

    it('connections that were let in before go on, translated as they were', async () => {
      const intents = [
        ...networkIntents(),
        published(
          'nat-2',
          ...FAMILIES.map((family) =>
            port({
              hostAddress: ANY[family],
              hostPort: 8080,
              address: addressOf(family, 'nat', 2),
              port: 8000,
            }),
          ),
        ),
      ];
      await inWorld(intents, engine, true, async (world, repaired) => {
        const servers = [await echo(world.at('nat-2'), 8000), await echo(world.at('outside'), 8001)];
        const talkers = [];
        for (const family of FAMILIES) {
          talkers.push(await talker(world.at('outside'), HOST[family], 8080));
          talkers.push(await talker(world.at('nat-3'), OUTSIDE[family], 8001));
        }
        for (let round = 0; round < 2; round++) await flush(world, repaired, command);
        const ends = await Promise.all(talkers.map((each) => each.end()));
        expect(ends).toEqual(talkers.map(() => 'alive'));
        for (const server of servers) await server.end();
      });
    }, 60_000);

    it('a policy refuses what it refused: to outside, to the host, and from it', async () => {
      const policy: PolicyIntent = {
        kind: 'policy',
        id: 'nat',
        bridge: 'br-nat',
        rules: [{ action: 'deny', comment: 'nobody', from: undefined, to: undefined, ports: undefined }],
      };
      await inWorld([...networkIntents(), policy], engine, true, async (world, repaired) => {
        const outside = await listener(world.at('outside'), ANY.ipv4);
        const host = await listener(world.host, ANY.ipv4);
        const inside = await listener(world.at('nat-2'), ANY.ipv4);
        const control = await listener(world.at('other-2'), ANY.ipv4);
        const senders = [
          await sender(world.at('nat-2'), [
            [OUTSIDE.ipv4, PORT],
            [HOST.ipv4, PORT],
          ]),
          await sender(world.host, [
            [addressOf('ipv4', 'nat', 2), PORT],
            [addressOf('ipv4', 'other', 2), PORT],
          ]),
        ];
        await expect.poll(() => control.times.length, { timeout: PATIENCE_MS }).toBeGreaterThan(10);
        const gap = await flush(world, repaired, command);
        for (const each of senders) await each.end();
        expect(within(control.times, gap)).toBeGreaterThan(0);
        for (const { times } of [outside, host, inside]) expect(times.length).toBeLessThanOrEqual(INSIDE);
        for (const each of [outside, host, inside, control]) each.close();
      });
    }, 60_000);
  });
});

describe.skipIf(why !== '')(`a latch${why && ` (skipped: ${why})`}`, () => {
  it('leaves the last word to the user', async () => {
    await inWorld(networkIntents(), 'nftables', true, async (world) => {
      const target = addressOf('ipv4', 'nat', 2);
      const rule = [
        'add',
        'rule',
        'inet',
        TABLE,
        'user',
        'ip',
        'daddr',
        target,
        'tcp',
        'dport',
        '81',
        'accept',
      ];
      inNamespace(world.hostFd, () => execFileSync('nft', rule));
      expect(await world.ask(world.at('outside'), target, 81, true)).toBe(`nat-2 sees ${OUTSIDE.ipv4}`);
      expect(await world.ask(world.at('outside'), target, 80, false)).toBeUndefined();
    });
  }, 60_000);

  it('is there for as long as there are networks, and nobody else can change it', async () => {
    await nowhere(async (place) => {
      const tables = () => place.run('nft', ['list', 'tables']).match(/\S+$/gm) ?? [];
      const firewall: Firewall = await place.firewall();
      expect(tables()).toEqual([]);
      await firewall.sync(networkIntents());
      expect(tables()).toContain(latchOf(TABLE));
      for (const command of ['delete table', 'flush table'])
        expect(() => place.run('nft', [`${command} inet ${latchOf(TABLE)}`])).toThrow(/not permitted/);
      place.run('nft', ['flush', 'ruleset']);
      expect(tables()).toEqual([latchOf(TABLE)]);
      await firewall.apply(networkIntents().map(({ id }) => ({ remove: { kind: 'network', id } })));
      expect(tables()).toEqual([]);
      await firewall.sync(networkIntents());
      await firewall.close();
      expect(tables()).toEqual([TABLE]);
    });
  });

  it("is left to the handle that has it, and is the next one's from its next change on", async () => {
    await nowhere(async (place) => {
      const tables = () => place.run('nft', ['list', 'tables']).match(/\S+$/gm) ?? [];
      const [network, ...others] = networkIntents();
      if (network === undefined) throw new Error('no networks');
      const first = await place.firewall();
      await first.sync(others);
      const told: (string | undefined)[] = [];
      const second = await place.firewall({ onUnlatched: ({ errno }) => told.push(errno) });
      await second.sync(others);
      await first.close();
      expect(tables()).toEqual([TABLE]);
      await second.apply([{ set: network }]);
      expect(tables()).toEqual([TABLE, latchOf(TABLE)]);
      const third = await place.firewall({ onUnlatched: ({ errno }) => told.push(errno) });
      await third.sync(others);
      expect(told).toEqual(['EPERM']);
    });
  });
});
