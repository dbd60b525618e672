import { describe, expect, it } from 'vitest';
import type { Firewall, FirewallOptions, Intent } from '../../../src/osl/firewall/firewall.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { port } from '../../unit/firewall/intents.ts';
import { FirewallDaemon, whyNoFirewalld } from './firewalld/daemon.ts';
import { whyNotEngine } from './support.ts';
import { addressOf, HOST, networkIntents, OUTSIDE, published, type World, withWorld } from './world.ts';

const TABLE = 'libnetwork-firewalld';
const TIMEOUT = 240_000;
const FAMILIES = ['ipv4', 'ipv6'] as const;
const ANY = { ipv4: '0.0.0.0', ipv6: '::' } as const;
const NETWORKS = networkIntents();
const INTENTS: readonly Intent[] = [
  ...NETWORKS,
  published(
    'nat-2',
    ...FAMILIES.map((family) => port({ hostAddress: ANY[family], address: addressOf(family, 'nat', 2) })),
  ),
  published(
    'routed-2',
    ...FAMILIES.map((family) =>
      port({ hostAddress: ANY[family], hostPort: undefined, address: addressOf(family, 'routed', 2) }),
    ),
  ),
];
const BRIDGES = NETWORKS.map(({ bridge }) => bridge).sort();

/** What passes, and what does not, of a world's packets. */
async function answers({ at, ask, host }: World): Promise<Record<string, string | undefined>> {
  const probes = FAMILIES.flatMap(
    (family) =>
      [
        ['out of a network', at('nat-2'), OUTSIDE[family], 80, true],
        ['to a published port', at('outside'), HOST[family], 8080, true],
        ['to a routed port', at('outside'), addressOf(family, 'routed', 2), 80, true],
        ['within a network', at('nat-3'), addressOf(family, 'nat', 2), 80, true],
        ['from the host', host, addressOf(family, 'nat', 2), 80, true],
        ['to a port that is not published', at('outside'), addressOf(family, 'nat', 2), 81, false],
        ['from another network', at('other-2'), addressOf(family, 'nat', 2), 80, false],
        ['out of an internal network', at('internal-2'), OUTSIDE[family], 80, false],
      ] as const,
  ).map(async ([title, from, address, number, hoped], i) => {
    const family = i < 8 ? 'ipv4' : 'ipv6';
    return [
      `${family} ${title}`,
      (await ask(from, address, number, hoped))?.replace(/ sees .*/, ''),
    ] as const;
  });
  return Object.fromEntries(await Promise.all(probes));
}

/** What should pass: what our own rules say, whatever the daemon thinks. */
const EXPECTED = Object.fromEntries(
  FAMILIES.flatMap((family) => [
    [`${family} out of a network`, 'outside'],
    [`${family} to a published port`, 'nat-2'],
    [`${family} to a routed port`, 'routed-2'],
    [`${family} within a network`, 'nat-2'],
    [`${family} from the host`, 'nat-2'],
    [`${family} to a port that is not published`, undefined],
    [`${family} from another network`, undefined],
    [`${family} out of an internal network`, undefined],
  ]),
);

/** A world whose host has a message bus, and what closes it. */
async function withDaemon(
  work: (
    world: World,
    daemon: FirewallDaemon,
    open: (options?: Partial<FirewallOptions>) => Promise<Firewall>,
  ) => Promise<void>,
  engine: 'nftables' | 'iptables',
): Promise<void> {
  await withWorld([], async (world) => {
    const daemon = new FirewallDaemon(world.host, world.host.path.replace(/\/[^/]*$/, ''));
    const opened: Firewall[] = [];
    try {
      await daemon.openBus();
      await work(world, daemon, async (options) => {
        const firewalld = { bus: daemon.bus };
        const firewall = await world.host.firewall({ engine, table: TABLE, firewalld, ...options });
        opened.push(firewall);
        return firewall;
      });
    } finally {
      for (const firewall of opened) await firewall.close();
      await daemon.close();
    }
  });
}

const skip = whyNot || whyNotEngine('iptables-nft') || whyNoFirewalld;
describe.skipIf(!canUseKernel || skip !== '')(`beside firewalld${skip && ` (skipped: ${skip})`}`, () => {
  describe.each(['nftables', 'iptables'] as const)('the engine %s', (engine) => {
    it('lets pass what should, before and after a reload and a restart', { timeout: TIMEOUT }, async () => {
      await withDaemon(async (world, daemon, open) => {
        await daemon.start();
        // Our own rules do not stop the daemon's.
        const alone = await open({ firewalld: 'off' });
        await alone.sync(INTENTS);
        const refused = await answers(world);
        expect(refused['ipv4 out of a network']).toBeUndefined();
        expect(refused['ipv6 to a routed port']).toBeUndefined();
        await alone.close();

        const firewall = await open();
        await firewall.sync(INTENTS);
        expect(await daemon.members()).toEqual(BRIDGES);
        expect(await answers(world)).toEqual(EXPECTED);
        const holdsAgain = async () => {
          await expect.poll(() => daemon.members(), { timeout: 20_000 }).toEqual(BRIDGES);
          await expect.poll(() => answers(world), { timeout: 60_000 }).toEqual(EXPECTED);
          const left = await firewall.sync(INTENTS, { dryRun: true });
          expect(left).toEqual({ missing: [], orphaned: [] });
        };
        await daemon.cmd('--reload');
        await holdsAgain();
        await daemon.stop();
        await expect.poll(() => answers(world), { timeout: 60_000 }).toEqual(EXPECTED);
        await daemon.start();
        await holdsAgain();
      }, engine);
    });
  });

  it('bridges join and leave with their networks, and with the daemon', { timeout: TIMEOUT }, async () => {
    await withDaemon(async (_world, daemon, open) => {
      const [first, second] = NETWORKS;
      if (!first || !second) throw new Error('two networks');
      const firewall = await open();
      // Nobody is there to be told.
      await firewall.apply([{ set: first }]);
      await daemon.start();
      await expect.poll(() => daemon.members().catch(() => []), { timeout: 20_000 }).toEqual([first.bridge]);
      expect(await firewall.preview([{ set: second }])).toMatch(
        new RegExp(`^# firewalld: ${second.bridge} joins the zone libnetwork\n`),
      );
      await firewall.apply([{ set: second }]);
      expect(await daemon.members()).toEqual([first.bridge, second.bridge].sort());
      await firewall.apply([{ remove: { kind: 'network', id: first.id } }]);
      expect(await daemon.members()).toEqual([second.bridge]);
      await firewall.destroy();
      expect(await daemon.members()).toEqual([]);
    }, 'nftables');
  });

  it('a bridge that somebody has put into another zone is a conflict', { timeout: TIMEOUT }, async () => {
    await withDaemon(async (_world, daemon, open) => {
      const [first] = NETWORKS;
      if (!first) throw new Error('a network');
      await daemon.start();
      const inHome = async (what: 'add' | 'remove') => {
        await daemon.cmd('--permanent', '--zone=home', `--${what}-interface=${first.bridge}`);
        await daemon.cmd('--reload');
      };
      await inHome('add');
      const firewall = await open();
      await expect(firewall.apply([{ set: first }])).rejects.toMatchObject({
        code: 'CONFLICT',
        holder: 'zone home',
      });
      expect(firewall.intents()).toEqual([]);
      await inHome('remove');
      await firewall.apply([{ set: first }]);
      expect(await daemon.members()).toEqual([first.bridge]);
    }, 'nftables');
  });

  it('a bus that nobody answers at is an error when it was asked for', async () => {
    await withWorld([], async ({ host }) => {
      const bus = 'unix:path=/nowhere/bus';
      const opening = host.firewall({ engine: 'nftables', table: TABLE, firewalld: { bus } });
      await expect(opening).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });
  });
});
