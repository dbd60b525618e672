import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Intent } from '../../../src/osl/firewall/firewall.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { port } from '../../unit/firewall/intents.ts';
import { ENGINES, type Engine, whyNotEngine } from './support.ts';
import {
  addressOf,
  HOST,
  NOT_THERE_MS,
  networkIntents,
  OUTSIDE,
  openWorld,
  published,
  type World,
  withWorld,
} from './world.ts';

type Family = 'ipv4' | 'ipv6';
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
const ANY = { ipv4: '0.0.0.0', ipv6: '::' } as const;

/** Host ports: 8080 to nat-2, 8443 on one address to nat-3, 8081 on loopback to nat-3, and one for each other mode. */
const INTENTS: readonly Intent[] = [
  ...networkIntents(),
  published('nat-2', ...publish('nat', 2, 8080)),
  published(
    'nat-3',
    ...FAMILIES.map((family) =>
      port({ hostAddress: HOST[family], hostPort: 8443, address: addressOf(family, 'nat', 3) }),
    ),
    port({ hostAddress: '127.0.0.1', hostPort: 8081, address: addressOf('ipv4', 'nat', 3), port: 81 }),
  ),
  published('quiet-2', ...publish('quiet', 2, 8090)),
  published('routed-2', ...publish('routed', 2, undefined)),
  published('open-2', ...publish('open', 2, 8095)),
];

function publish(network: string, host: number, hostPort: number | undefined) {
  return FAMILIES.map((family) =>
    port({ hostAddress: ANY[family], hostPort, address: addressOf(family, network, host) }),
  );
}

/** From where, to which address and port, and what is answered; `undefined` when nothing is. */
type Probe = readonly [from: string, address: string, port: number, answer: string | undefined];

async function expectAll(world: World, probes: readonly Probe[]): Promise<void> {
  const answers = await Promise.all(
    probes.map(async ([from, address, port, answer]) => {
      const place = from === 'host' ? world.host : world.at(from);
      return [from, address, port, await world.ask(place, address, port, answer !== undefined)];
    }),
  );
  expect(answers).toEqual(probes);
}

describe.each(ENGINES)('packets with the engine %s', (engine) => {
  const why = whyNot || whyNotEngine(engine);
  describe.skipIf(!canUseKernel || why !== '')(why ? `(skipped: ${why})` : 'in the kernel', () =>
    packetPromises(engine),
  );
});

function packetPromises(engine: Engine): void {
  const inWorld = <T>(intents: readonly Intent[], work: (world: World) => Promise<T>) =>
    withWorld(intents, work, engine);

  for (const netfilter of [true, false])
    describe(`with bridged packets ${netfilter ? 'seen by' : 'hidden from'} the IP hooks`, () => {
      let world: Awaited<ReturnType<typeof openWorld>>;
      let possible = false;
      beforeAll(async () => {
        world = await openWorld(INTENTS, engine);
        possible = await world.setBridgeNetfilter(netfilter);
      });
      afterAll(() => world.close());

      const scene = (name: string, probes: (family: Family) => readonly Probe[]) =>
        it(name, async ({ skip }) => {
          if (!possible) skip('this kernel has no br_netfilter');
          await expectAll(world, FAMILIES.flatMap(probes));
        });

      scene('pass between containers of a network, with their own addresses', (family) => [
        ['nat-3', addressOf(family, 'nat', 2), 81, `nat-2 sees ${addressOf(family, 'nat', 3)}`],
        [
          'internal-3',
          addressOf(family, 'internal', 2),
          80,
          `internal-2 sees ${addressOf(family, 'internal', 3)}`,
        ],
        ['host', addressOf(family, 'nat', 2), 81, `nat-2 sees ${addressOf(family, 'nat', 1)}`],
      ]);

      scene('do not pass between networks, nor from outside to what is not published', (family) => [
        ['nat-2', addressOf(family, 'other', 2), 80, undefined],
        ['other-2', addressOf(family, 'nat', 2), 80, undefined],
        ['other-2', addressOf(family, 'nat', 2), 81, undefined],
        ['outside', addressOf(family, 'nat', 2), 81, undefined],
        ['outside', addressOf(family, 'other', 2), 80, undefined],
      ]);

      scene('leave with the address of the host', (family) => [
        ['nat-2', OUTSIDE[family], 80, `outside sees ${HOST[family]}`],
        ['quiet-2', OUTSIDE[family], 80, `outside sees ${HOST[family]}`],
        ['routed-2', OUTSIDE[family], 80, `outside sees ${addressOf(family, 'routed', 2)}`],
      ]);

      scene('reach a published port by any address of the host, whoever asks', (family) => [
        ['outside', HOST[family], 8080, `nat-2 sees ${OUTSIDE[family]}`],
        ['host', HOST[family], 8080, `nat-2 sees ${HOST[family]}`],
        ['host', addressOf(family, 'nat', 1), 8080, `nat-2 sees ${addressOf(family, 'nat', 1)}`],
        ['other-2', HOST[family], 8080, `nat-2 sees ${addressOf(family, 'nat', 1)}`],
        ['other-2', addressOf(family, 'other', 1), 8080, `nat-2 sees ${addressOf(family, 'nat', 1)}`],
        ['nat-3', addressOf(family, 'nat', 1), 8080, `nat-2 sees ${addressOf(family, 'nat', 1)}`],
        ['nat-2', addressOf(family, 'nat', 1), 8080, `nat-2 sees ${addressOf(family, 'nat', 1)}`],
        ['nat-2', HOST[family], 8080, `nat-2 sees ${addressOf(family, 'nat', 1)}`],
      ]);

      scene('reach a port that is published on one address by that one only', (family) => [
        ['outside', HOST[family], 8443, `nat-3 sees ${OUTSIDE[family]}`],
        ['other-2', addressOf(family, 'other', 1), 8443, undefined],
        ['host', addressOf(family, 'nat', 1), 8443, undefined],
      ]);

      scene('do not reach a published port past the host, by the address of the container', (family) => [
        ['outside', addressOf(family, 'nat', 2), 80, undefined],
        ['other-2', addressOf(family, 'nat', 2), 80, undefined],
      ]);

      scene('neither enter nor leave an internal network', (family) => [
        ['internal-2', OUTSIDE[family], 80, undefined],
        ['internal-2', HOST[family], 8080, undefined],
        ['internal-2', addressOf(family, 'nat', 2), 80, undefined],
        ['outside', addressOf(family, 'internal', 2), 80, undefined],
        ['nat-2', addressOf(family, 'internal', 2), 80, undefined],
        ['routed-2', addressOf(family, 'internal', 2), 80, undefined],
      ]);

      scene('reach published ports of a network whose containers may not talk to each other', (family) => [
        ['outside', HOST[family], 8090, `quiet-2 sees ${OUTSIDE[family]}`],
        ['quiet-3', HOST[family], 8090, `quiet-2 sees ${addressOf(family, 'quiet', 1)}`],
        ['quiet-2', HOST[family], 8090, `quiet-2 sees ${addressOf(family, 'quiet', 1)}`],
        ['outside', addressOf(family, 'quiet', 2), 80, undefined],
        // Bridged packets are judged only where the IP hooks see them.
        ...(netfilter ? [['quiet-3', addressOf(family, 'quiet', 2), 80, undefined] as const] : []),
      ]);

      scene('are routed to what is opened in routed mode, and to everything without protection', (family) => [
        ['outside', addressOf(family, 'routed', 2), 80, `routed-2 sees ${OUTSIDE[family]}`],
        ['other-2', addressOf(family, 'routed', 2), 80, `routed-2 sees ${addressOf(family, 'routed', 1)}`],
        ['outside', addressOf(family, 'routed', 2), 81, undefined],
        ['outside', addressOf(family, 'open', 2), 80, `open-2 sees ${OUTSIDE[family]}`],
        ['outside', addressOf(family, 'open', 2), 81, `open-2 sees ${OUTSIDE[family]}`],
        ['outside', HOST[family], 8095, `open-2 sees ${OUTSIDE[family]}`],
      ]);
    });

  it('from 127.0.0.1 reach published ports, and from ::1 are left to a proxy', async () => {
    await inWorld(INTENTS, (world) =>
      expectAll(world, [
        ['host', '127.0.0.1', 8080, `nat-2 sees ${addressOf('ipv4', 'nat', 1)}`],
        ['host', '127.0.0.1', 8081, `nat-3 sees ${addressOf('ipv4', 'nat', 1)}`],
        ['host', '::1', 8080, undefined],
      ]),
    );
  });

  it('to a port published on 127.0.0.1 come from the host alone, also when a neighbour forges the address', async () => {
    await inWorld(INTENTS, async (world) => {
      for (const [name, gateway] of [
        ['outside', HOST.ipv4],
        ['other-2', addressOf('ipv4', 'other', 1)],
      ] as const) {
        const place = world.at(name);
        await place.setSysctl('net/ipv4/conf/eth0/route_localnet', '1');
        await place.apply([
          { op: 'deleteAddress', link: 'lo', address: '127.0.0.1/8' },
          { op: 'addRoute', family: 'ipv4', destination: '127.0.0.0/8', gateway },
        ]);
      }
      await world.host.listenTcp('127.0.0.1', 9999, (stream) => stream.end('the host\n'));
      await expectAll(world, [
        ['outside', '127.0.0.1', 8081, undefined],
        ['other-2', '127.0.0.1', 8081, undefined],
        ['other-2', '127.0.0.1', 9999, undefined],
        ['outside', HOST.ipv4, 8080, `nat-2 sees ${OUTSIDE.ipv4}`],
      ]);
    });
  });

  it('of echo requests pass where they should: within, out, and to routed networks', async () => {
    await inWorld(INTENTS, async (world) => {
      const echo = async (from: string, address: string, timeoutMs?: number) =>
        (await world.at(from).ping(address, timeoutMs === undefined ? {} : { timeoutMs })) !== undefined;
      for (const family of FAMILIES) {
        expect(await echo('nat-2', addressOf(family, 'nat', 3))).toBe(true);
        expect(await echo('nat-2', OUTSIDE[family])).toBe(true);
        expect(await echo('outside', addressOf(family, 'routed', 2))).toBe(true);
        expect(await echo('outside', addressOf(family, 'open', 2))).toBe(true);
        expect(await echo('outside', addressOf(family, 'nat', 2), NOT_THERE_MS)).toBe(false);
        expect(await echo('other-2', addressOf(family, 'nat', 2), NOT_THERE_MS)).toBe(false);
      }
    });
  });

  it('of UDP reach a published port, and the answer comes from the address that was asked', async () => {
    const udp = port({ protocol: 'udp', hostPort: 8053, address: addressOf('ipv4', 'nat', 2), port: 53 });
    await inWorld([...networkIntents(), published('nat-2', udp)], async (world) => {
      const server = await world.at('nat-2').bindUdp('0.0.0.0', 53);
      server.onMessage((data, from) => server.send(Buffer.from(`${data} from ${from.address}`), from));
      const client = await world.at('outside').bindUdp('0.0.0.0', 0);
      const answer = new Promise((resolve) =>
        client.onMessage((data, from) => resolve([data.toString(), from])),
      );
      client.send(Buffer.from('hello'), { address: HOST.ipv4, port: 8053 });
      expect(await answer).toMatchObject([`hello from ${OUTSIDE.ipv4}`, { address: HOST.ipv4, port: 8053 }]);
      client.close();
      server.close();
    });
  });

  it.each(FAMILIES)(
    'never leave an internal network, not even those that expect no answer: %s',
    async (family) => {
      await inWorld(INTENTS, async (world) => {
        const listener = await world.at('outside').bindUdp(ANY[family], 9000);
        const heard: string[] = [];
        const last = new Promise<void>((resolve) => {
          listener.onMessage((data) => {
            heard.push(data.toString());
            if (data.toString() === 'nat-2') resolve();
          });
        });
        for (const name of ['internal-2', 'internal-3', 'nat-2']) {
          const socket = await world.at(name).bindUdp(ANY[family], 0);
          socket.send(Buffer.from(name), { address: OUTSIDE[family], port: 9000 });
        }
        await last;
        expect(heard).toEqual(['nat-2']);
        listener.close();
      });
    },
  );

  it('of other bridges are not judged', async () => {
    await inWorld(INTENTS, async (world) => {
      await world.firewall.apply([{ remove: { kind: 'network', id: 'other' } }]);
      await expectAll(world, [
        ['outside', addressOf('ipv4', 'other', 2), 81, `other-2 sees ${OUTSIDE.ipv4}`],
        ['outside', addressOf('ipv6', 'other', 2), 81, `other-2 sees ${OUTSIDE.ipv6}`],
        ['outside', addressOf('ipv4', 'nat', 2), 81, undefined],
      ]);
    });
  });
}
