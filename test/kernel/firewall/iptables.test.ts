import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FirewallReport, Intent } from '../../../src/osl/firewall/firewall.ts';
import { parseSave } from '../../../src/osl/firewall/iptables/text.ts';
import { detectIptables, run } from '../../../src/osl/linux/iptables/programs.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { after, change } from '../../unit/firewall/arbitraries.ts';
import { iptablesText } from '../../unit/firewall/golden.ts';
import { endpoint, network, port, resolver, SCENES } from '../../unit/firewall/intents.ts';
import { type Engine, hasNft, type Nowhere, nowhere, openFirewall, whyNotEngine } from './support.ts';

/** A second on a machine that is not busy. */
const WITHIN_MS = 10_000;
const NOTHING = { missing: [], orphaned: [] };
const VARIANTS = ['nft', 'legacy'] as const;
const INTENTS = [network(), endpoint('web', port()), resolver];

/** The tables that we write in as both programs tell them, however the variant orders them. */
function saved({ run }: Nowhere, variant: string) {
  const read = (program: string) => {
    const chains = [...parseSave(run(`${program}-${variant}-save`, []))];
    return Object.fromEntries(
      chains.filter(([, rules]) => rules.length > 0).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  };
  return { ipv4: read('iptables'), ipv6: read('ip6tables') };
}

function restore({ run }: Nowhere, variant: string, text: string): void {
  for (const program of ['iptables', 'ip6tables']) run(`${program}-${variant}-restore`, ['--noflush'], text);
}

async function settled<T>(
  place: Nowhere,
  engine: Engine,
  work: (firewall: Awaited<ReturnType<typeof openFirewall>>) => Promise<T>,
): Promise<T> {
  const firewall = await openFirewall(place.fd, engine);
  try {
    return await work(firewall);
  } finally {
    await firewall.close();
  }
}

describe.each(VARIANTS)('rules of iptables, %s', (variant) => {
  const engine = `iptables-${variant}` as const;
  const why = whyNot || whyNotEngine(engine);
  const sync = (place: Nowhere, intents: readonly Intent[], dryRun = false) =>
    settled(place, engine, (firewall) => firewall.sync(intents, { dryRun }));

  describe.skipIf(!canUseKernel || why !== '')(why ? `(skipped: ${why})` : 'in the kernel', () => {
    it.each(Object.entries(SCENES))('are the same by the engine and by the text: %s', async (_, scene) => {
      const ours = await nowhere(async (place) => {
        await sync(place, scene);
        expect(await sync(place, scene, true)).toEqual(NOTHING);
        return saved(place, variant);
      });
      const theirs = await nowhere(async (place) => {
        restore(place, variant, iptablesText(scene, true));
        expect(await sync(place, scene, true)).toEqual(NOTHING);
        return saved(place, variant);
      });
      expect(ours).toEqual(theirs);
    });

    it('change by the text of a preview as by the engine', async () => {
      const changes = [
        { set: network({ icc: false }) },
        { set: endpoint('more', port({ hostPort: 81, address: '10.9.0.3' })) },
        { remove: { kind: 'endpoint', id: 'web' } },
      ] as const;
      const [ours, theirs] = await Promise.all(
        [true, false].map((byEngine) =>
          nowhere((place) =>
            settled(place, engine, async (firewall) => {
              await firewall.sync(INTENTS);
              if (byEngine) await firewall.apply(changes);
              else restore(place, variant, await firewall.preview(changes));
              return saved(place, variant);
            }),
          ),
        ),
      );
      expect(ours).toEqual(theirs);
    });

    it('after any changes are those of the intents that are left', async () => {
      const steps = fc.array(fc.array(change, { maxLength: 5 }), { maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(steps, (list) =>
          nowhere(async (place) => {
            await settled(place, engine, async (firewall) => {
              for (const step of list) await firewall.apply(step);
            });
            expect(await sync(place, after(list.flat()), true)).toEqual(NOTHING);
          }),
        ),
        { numRuns: 8 },
      );
    });

    it('of the user and the policies stay as they are, through changes and destruction', async () => {
      await nowhere(async (place) => {
        const user = [
          '*filter',
          ':FORWARD DROP [0:0]',
          '-N DOCKER-USER',
          '-A DOCKER-USER -p tcp -m tcp --dport 22 -m comment --comment "of the user" -j DROP',
          '-A FORWARD -i eth7 -j ACCEPT',
          'COMMIT',
          '*nat',
          '-A POSTROUTING -o eth7 -j MASQUERADE',
          'COMMIT\n',
        ].join('\n');
        restore(place, variant, user);
        const before = saved(place, variant);
        await settled(place, engine, async (firewall) => {
          await firewall.sync(INTENTS);
          await firewall.apply([{ remove: { kind: 'network', id: 'a' } }]);
          await firewall.destroy();
        });
        const left = {
          ...before.ipv4,
          'filter FORWARD': ['-j DOCKER-USER', ...(before.ipv4['filter FORWARD'] ?? [])],
        };
        expect(saved(place, variant).ipv4).toEqual(left);
        expect(place.run(`iptables-${variant}-save`, [])).toContain(':FORWARD DROP');
      });
    });

    it('are none after everything is destroyed', async () => {
      await nowhere(async (place) => {
        await settled(place, engine, async (firewall) => {
          await firewall.sync(INTENTS);
          await firewall.destroy();
        });
        expect(saved(place, variant)).toEqual({ ipv4: {}, ipv6: {} });
        expect(place.run(`iptables-${variant}-save`, [])).not.toContain('DOCKER');
      });
    });

    it('that somebody flushed are back after a sync, which says what was missing', async () => {
      await nowhere(async (place) => {
        await sync(place, INTENTS);
        place.run(`iptables-${variant}`, ['-F', 'DOCKER']);
        const { missing, orphaned } = await sync(place, INTENTS);
        expect(missing).toHaveLength(3);
        expect(orphaned).toEqual([]);
        expect(await sync(place, INTENTS, true)).toEqual(NOTHING);
      });
    });

    it.each([
      // The old tables are not in nf_tables' ruleset.
      ...(variant === 'nft' && hasNft ? [['nft', 'flush ruleset'] as const] : []),
      [`iptables-${variant}`, '-F'] as const,
      [`ip6tables-${variant}`, '-F DOCKER-FORWARD'] as const,
      [`iptables-${variant}`, '-t nat -F'] as const,
    ])('are back within a second after %s %s', async (program, args) => {
      await nowhere(async (place) => {
        const repairs: FirewallReport[] = [];
        const firewall = await openFirewall(place.fd, engine, {
          onRepaired: (report) => repairs.push(report),
        });
        await firewall.sync(INTENTS);
        await firewall.apply([{ set: endpoint('web', port({ hostPort: 81 })) }]);
        const before = saved(place, variant);
        place.run(program, args.split(' '));
        await expect.poll(() => repairs.length, { timeout: WITHIN_MS, interval: 5 }).toBe(1);
        expect(saved(place, variant)).toEqual(before);
        await firewall.close();
      });
    });

    it('use an empty chain of the name that they need, and remove it with the last of them', async () => {
      await nowhere(async (place) => {
        place.run(`iptables-${variant}`, ['-t', 'nat', '-N', 'DOCKER_OUTPUT']);
        await settled(place, engine, async (firewall) => {
          await firewall.apply([{ set: resolver }]);
          await firewall.apply([{ remove: { kind: 'resolver', id: resolver.id } }]);
        });
        expect(saved(place, variant)).toEqual({ ipv4: {}, ipv6: {} });
      });
    });

    it('that are refused tell why', async () => {
      await nowhere(async ({ fd }) => {
        const text = '*filter\n-A NOWHERE -j DROP\nCOMMIT\n';
        const refused = run(fd, `iptables-${variant}-restore`, ['--noflush'], text);
        await expect(refused).rejects.toMatchObject({
          code: 'INTERNAL',
          kernelMessage: expect.stringMatching(/line/),
        });
      });
    });
  });
});

describe('the programs of iptables', () => {
  it('that are not installed are asked for by the name of their package', async () => {
    await expect(run(undefined, 'iptables-of-nobody', [])).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/install the package iptables/),
    });
  });

  const why = whyNotEngine('iptables-nft');
  it.skipIf(why !== '')(`tell their version and variant${why && ` (skipped: ${why})`}`, async () => {
    const { version, variant } = await detectIptables();
    expect(version).toMatch(/^\d+\.\d+/);
    expect(VARIANTS).toContain(variant);
  });

  const skip = whyNot || why;
  it.skipIf(!canUseKernel || skip !== '')(
    `serve a namespace as they are on this machine${skip && ` (skipped: ${skip})`}`,
    async () => {
      await withTestHost(async ({ host }) => {
        const firewall = await host.firewall({ engine: 'iptables', table: 'libnetwork-test' });
        await firewall.sync(INTENTS);
        expect(firewall.engine).toBe('iptables');
        expect(await firewall.sync(INTENTS, { dryRun: true })).toEqual(NOTHING);
        await firewall.close();
        await expect(firewall.apply([])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      });
    },
  );
});
