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
const GAP_MS = 400;
const PATIENCE_MS = 20_000;
/** Were there a gap of some instants, a packet of a flood would be in it at one flush of two. */
const FLOODED_FLUSHES = 12;

/** The engines, each with ways to flush all that it made. */
const FLUSHES: readonly { readonly engine: Engine; readonly command: string }[] = [
  { engine: 'nftables', command: 'nft flush ruleset' },
  { engine: 'nftables', command: `nft delete table inet ${TABLE}` },
  { engine: 'nftables', command: `nft flush table inet ${TABLE}` },
  { engine: 'iptables-nft', command: 'nft flush ruleset' },
  { engine: 'iptables-nft', command: 'PROGRAM -F' },
  { engine: 'iptables-legacy', command: 'PROGRAM -F' },
];

/** Who sends and who must not hear of it, where one chain alone is flushed. */
const INTO = { from: 'outside', to: 'nat-2' } as const;
const OUT_OF = { from: 'nat-2', to: 'outside' } as const;
const OUT_OF_INTERNAL = { from: 'internal-2', to: 'outside' } as const;
const CHAINS: readonly {
  readonly engine: Engine;
  readonly command: string;
  readonly from: string;
  readonly to: string;
}[] = [
  { engine: 'nftables', command: `nft flush chain inet ${TABLE} forward`, ...INTO },
  { engine: 'nftables', command: `nft flush chain inet ${TABLE} in-nat`, ...INTO },
  { engine: 'nftables', command: `nft delete element inet ${TABLE} to-bridge { "br-nat" }`, ...INTO },
  { engine: 'nftables', command: `nft flush set inet ${TABLE} bridges`, ...INTO },
  { engine: 'nftables', command: `nft flush chain inet ${TABLE} out-nat`, ...OUT_OF },
  { engine: 'nftables', command: `nft flush chain inet ${TABLE} out-internal`, ...OUT_OF_INTERNAL },
  { engine: 'nftables', command: `nft flush chain inet ${TABLE} nat-postrouting`, ...OUT_OF },
  { engine: 'nftables', command: `nft flush chain inet ${TABLE} nat-nat`, ...OUT_OF },
  ...(['iptables-nft', 'iptables-legacy'] as const).flatMap((engine) => [
    { engine, command: 'PROGRAM -F FORWARD', ...INTO },
    { engine, command: 'PROGRAM -F DOCKER-FORWARD', ...INTO },
    { engine, command: 'PROGRAM -F DOCKER-BRIDGE', ...INTO },
    { engine, command: 'PROGRAM -F DOCKER', ...INTO },
    { engine, command: 'PROGRAM -F DOCKER-INTERNAL', ...OUT_OF_INTERNAL },
    { engine, command: 'PROGRAM -t nat -F', ...INTO },
  ]),
];

/** Both families' programs of an engine, or the one command of nftables. */
function commandsOf(engine: Engine, command: string): readonly string[] {
  if (!command.startsWith('PROGRAM')) return [command];
  const programs = [engine, engine.replace('iptables', 'ip6tables')];
  return programs.map((program) => command.replace('PROGRAM', program));
}

const lacking = canUseKernel ? await whyNoLatch() : undefined;
const why = !canUseKernel
  ? whyNot
  : hasNft
    ? (lacking?.message ?? '')
    : 'there is no nft program to flush with';

/** A process that sends the time to all targets, about each ms, each time from a port that it has not used before. */
async function sender(from: Namespace, targets: readonly (readonly [address: string, port: number])[]) {
  const script = `
    const { createSocket } = require('node:dgram');
    const targets = ${JSON.stringify(targets)};
    process.stdin.on('end', () => process.exit(0)).resume();
    let own = 10_000;
    const send = () => {
      for (const [address, port] of targets) {
        const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
        socket.on('error', () => socket.close());
        socket.bind(own++, () => socket.send(String(Date.now()), port, address, () => socket.close()));
      }
      setTimeout(send, 1);
    };
    send();
    console.log('sending');`;
  return started(from, script);
}

/**
 * A process that sends to all targets, one after the other, as fast as it can. A connection that is refused stays a new
 * one with each packet; once one of them passes, all of them do.
 */
async function flooding(from: Namespace, targets: readonly (readonly [address: string, port: number])[]) {
  const script = `
    const { createSocket } = require('node:dgram');
    process.stdin.on('end', () => process.exit(0)).resume();
    for (const [address, port] of ${JSON.stringify(targets)}) {
      const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4').on('error', () => {});
      socket.connect(port, address, () => {
        const send = () => {
          for (let i = 0; i < 50; i++) socket.send(String(Date.now()), () => {});
          setImmediate(send);
        };
        send();
      });
    }
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

function run(world: World, engine: Engine, command: string): void {
  inNamespace(world.hostFd, () => {
    for (const each of commandsOf(engine, command)) {
      const [file = '', ...args] = each.split(' ');
      execFileSync(file, args, { stdio: 'pipe' });
    }
  });
}

/** Flushes, holds the repair up, and returns when it began and ended. */
async function flush(world: World, repaired: () => number, engine: Engine, command: string) {
  const before = repaired();
  run(world, engine, command);
  const began = Date.now();
  // The thread that repairs is busy: the gap lasts as long.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, GAP_MS);
  const ended = Date.now();
  await expect.poll(repaired, { timeout: PATIENCE_MS, interval: 5 }).toBeGreaterThan(before);
  return { began, ended };
}

/** Between a stamp and the packet's way are some ms, so that the end of the gap does not count. */
const EDGE_MS = 50;
const within = (times: readonly number[], { began, ended }: { began: number; ended: number }) =>
  times.filter((time) => time > began + 1 && time < ended - EDGE_MS).length;

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
            const gap = await flush(world, repaired, engine, command);
            gaps.push(gap);
            // What waits to be read is read first, or the next gap's would find no room.
            await expect
              .poll(() => (foreign.times.at(-1) ?? 0) > gap.ended, { timeout: PATIENCE_MS })
              .toBe(true);
          }
          await sending.end();
          for (const gap of gaps) expect(within(foreign.times, gap)).toBeGreaterThan(0);
          const came = closed.map(({ times }) => times.length > 0);
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
        for (let round = 0; round < 2; round++) await flush(world, repaired, engine, command);
        const ends = await Promise.all(talkers.map((each) => each.end()));
        expect(ends).toEqual(talkers.map(() => 'alive'));
        for (const server of servers) await server.end();
      });
    }, 60_000);

    it('of a flood no packet comes through, at whatever instant the rules go', async () => {
      await inWorld(networkIntents(), engine, true, async (world, repaired) => {
        const closed = await Promise.all(
          FAMILIES.map((family) => listener(world.at('nat-2'), ANY[family], PORT)),
        );
        const open = await listener(world.at('open-2'), ANY.ipv4);
        const flood = await flooding(world.at('outside'), [
          ...FAMILIES.map((family) => [addressOf(family, 'nat', 2), PORT] as const),
          [addressOf('ipv4', 'open', 2), PORT],
        ]);
        await expect.poll(() => open.times.length, { timeout: PATIENCE_MS }).toBeGreaterThan(0);
        for (let round = 0; round < FLOODED_FLUSHES; round++) {
          const before = repaired();
          run(world, engine, command);
          await expect.poll(repaired, { timeout: PATIENCE_MS, interval: 5 }).toBeGreaterThan(before);
        }
        await flood.end();
        for (const { times } of closed) expect(times).toEqual([]);
        for (const each of [...closed, open]) each.close();
      });
    }, 60_000);
  });
});

for (const { engine, command, from, to } of CHAINS) {
  const whyEngine = why || whyNotEngine(engine);
  const title = `${engine}, after ${command} alone: until it is repaired, nothing new gets from ${from} to ${to}`;
  it.skipIf(whyEngine !== '')(
    whyEngine ? `${title} (skipped: ${whyEngine})` : title,
    async () => {
      await inWorld(networkIntents(), engine, true, async (world, repaired) => {
        await world.firewall.apply([{ remove: { kind: 'network', id: 'other' } }]);
        const heard = await Promise.all(FAMILIES.map((family) => listener(world.at(to), ANY[family], PORT)));
        const foreign = await listener(world.at('other-2'), ANY.ipv4, PORT + 1);
        const senders = [
          await sender(
            world.at(from),
            FAMILIES.map((family) => [
              to === 'outside' ? OUTSIDE[family] : addressOf(family, 'nat', 2),
              PORT,
            ]),
          ),
          await sender(world.at('outside'), [[addressOf('ipv4', 'other', 2), PORT + 1]]),
        ];
        await expect.poll(() => foreign.times.length, { timeout: PATIENCE_MS }).toBeGreaterThan(10);
        const gap = await flush(world, repaired, engine, command);
        for (const each of senders) await each.end();
        expect(within(foreign.times, gap)).toBeGreaterThan(0);
        for (const { times } of heard) expect(within(times, gap)).toBe(0);
        for (const each of [...heard, foreign]) each.close();
      });
    },
    60_000,
  );
}

/** Makes 127.0.0.0/8 the host's for somebody outside, and has the host take such packets. */
async function turnToHost(host: Namespace, outside: Namespace): Promise<void> {
  await host.setSysctl('net/ipv4/conf/up0/route_localnet', '1');
  await outside.setSysctl('net/ipv4/conf/eth0/route_localnet', '1');
  await outside.apply([
    { op: 'deleteAddress', link: 'lo', address: '127.0.0.1/8' },
    { op: 'addRoute', destination: '127.0.0.0/8', family: 'ipv4', gateway: HOST.ipv4, link: 'eth0' },
  ]);
}

const WEB = addressOf('ipv4', 'nat', 2);
/** What keeps packets out before they are translated, and where who would get round it sends to. */
const RAW: readonly (readonly [Engine, string, string])[] = [
  ['nftables', `nft flush chain inet ${TABLE} raw-prerouting`, '127.0.0.1'],
  ...(['iptables-nft', 'iptables-legacy'] as const).flatMap((engine) =>
    ['127.0.0.1', WEB].map((target) => [engine, 'PROGRAM -t raw -F', target] as const),
  ),
];
for (const [engine, command, target] of RAW) {
  const whyEngine = why || whyNotEngine(engine);
  const title = `${engine}, after ${command}: what is published on a loopback address is for the host alone at ${target}`;
  it.skipIf(whyEngine !== '').each([true, false])(
    `${title}, with a latch: %s${whyEngine && ` (skipped: ${whyEngine})`}`,
    async (latch) => {
      const place = { hostAddress: '127.0.0.1', hostPort: PORT, address: WEB, port: PORT } as const;
      const intents = [...networkIntents(), published('nat-2', { protocol: 'udp', ...place })];
      await inWorld(intents, engine, latch, async (world, repaired) => {
        const outside = world.at('outside');
        if (target === '127.0.0.1') await turnToHost(world.host, outside);
        const heard = await listener(world.at('nat-2'), ANY.ipv4);
        const open = await listener(world.at('open-2'), ANY.ipv4);
        const sending = await sender(outside, [
          [target, PORT],
          [addressOf('ipv4', 'open', 2), PORT],
        ]);
        await expect.poll(() => open.times.length, { timeout: PATIENCE_MS }).toBeGreaterThan(10);
        const gap = await flush(world, repaired, engine, command);
        await sending.end();
        expect(within(heard.times, gap) > 0).toBe(!latch);
        for (const each of [heard, open]) each.close();
      });
    },
    60_000,
  );
}

describe.each([
  ...FLUSHES.filter(({ engine }) => engine === 'nftables').map(({ command }) => command),
  ...['forward', 'input', 'postrouting', 'out-nat', 'in-nat', 'to-host-nat', 'from-host-nat'].map(
    (chain) => `nft flush chain inet ${TABLE} policy-${chain}`,
  ),
])(`a policy, after %s${why && ` (skipped: ${why})`}`, (command) => {
  it.skipIf(why !== '')(
    'refuses what it refused: to outside, to the host, and from it',
    async () => {
      const policy: PolicyIntent = {
        kind: 'policy',
        id: 'nat',
        bridge: 'br-nat',
        rules: [{ action: 'deny', comment: 'nobody', from: undefined, to: undefined, ports: undefined }],
      };
      await inWorld([...networkIntents(), policy], 'nftables', true, async (world, repaired) => {
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
        const gap = await flush(world, repaired, 'nftables', command);
        for (const each of senders) await each.end();
        expect(within(control.times, gap)).toBeGreaterThan(0);
        for (const { times } of [outside, host, inside]) expect(times).toEqual([]);
        for (const each of [outside, host, inside, control]) each.close();
      });
    },
    60_000,
  );
});

describe.skipIf(why !== '')(`a latch${why && ` (skipped: ${why})`}`, () => {
  const word = (target: string) => `-p tcp -d ${target} --dport 81 -j ACCEPT`;
  it.each<readonly [Engine, (target: string) => string]>([
    ['nftables', (target) => `nft add rule inet ${TABLE} user ip daddr ${target} tcp dport 81 accept`],
    ['iptables-nft', (target) => `iptables-nft -A DOCKER-USER ${word(target)}`],
    ['iptables-legacy', (target) => `iptables-legacy -A DOCKER-USER ${word(target)}`],
    // Before ours, which the latch would refuse were they not made to label what passes once more.
    ['iptables-nft', (target) => `iptables-nft -I FORWARD ${word(target)}`],
    ['iptables-legacy', (target) => `iptables-legacy -I FORWARD ${word(target)}`],
  ])(
    'leaves the last word to the user, with %s',
    async (engine, command) => {
      await inWorld(networkIntents(), engine, true, async (world) => {
        const target = addressOf('ipv4', 'nat', 2);
        run(world, engine, command(target));
        const ask = (asked: number) => world.ask(world.at('outside'), target, asked, false);
        await expect.poll(() => ask(81), { timeout: PATIENCE_MS }).toBe(`nat-2 sees ${OUTSIDE.ipv4}`);
        expect(await ask(80)).toBeUndefined();
      });
    },
    60_000,
  );

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
