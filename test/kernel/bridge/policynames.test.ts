/** Untrusted code that may connect to what one name stands for, and to nothing else outside. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NetworkController } from '../../../src/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, greet, isClosed, neighbour } from '../../unit/drivers/setting.ts';
import { askFromHere, run, serve } from '../resolver/setting.ts';

const REGISTRY = '192.0.2.2';

async function confined(
  { osl, path, directory }: TestHost,
  firewall: 'nftables' | 'iptables',
  work: (inside: Namespace) => Promise<void>,
): Promise<void> {
  const outside = await neighbour(osl, path('outside'));
  await outside.apply([{ op: 'addAddress', link: 'uplink', address: '192.0.2.3/24' }]);
  for (const port of [443, 80]) await greet(outside, '0.0.0.0', port, 'the registry');
  const server = await serve(outside, REGISTRY, REGISTRY);
  const instance = `n${process.pid}`;
  // The servers of the host are asked by the host: the policy is about what the container itself sends.
  const hostResolvConf = join(directory, 'resolv.conf');
  await writeFile(hostResolvConf, `nameserver ${REGISTRY}\n`);
  const options = { osl, runDir: directory, instance, firewall, hostResolvConf };
  const controller = await NetworkController.open(options);
  const network = await controller.createNetwork({
    name: 'front',
    dns: { allow: ['registry.example'] },
    policy: [
      {
        from: { labels: { trust: 'none' } },
        to: { names: ['registry.example'] },
        ports: [{ protocol: 'tcp', port: 443 }],
        action: 'allow',
      },
      { from: { labels: { trust: 'none' } }, to: 'outside', action: 'deny' },
    ],
  });
  const endpoint = await network.createEndpoint({ name: 'guest', labels: { trust: 'none' } });
  const sandbox = await controller.createSandbox({ containerId: 'c1' });
  await endpoint.join(sandbox);
  const inside = await osl.openNamespace(sandbox.namespacePath ?? '');
  try {
    await work(inside);
  } finally {
    server.close();
    await sandbox.delete();
    await network.delete();
    await controller.close();
  }
}

describe.skipIf(!canUseKernel).each(['nftables', 'iptables'] as const)(
  `names that a policy allows on the real kernel, by %s ${whyNot}`,
  (engine) => {
    it('open the way when they are asked for, and no other way', async () => {
      await withTestHost(async (test) => {
        await confined(test, engine, async (inside) => {
          expect(await isClosed(inside, REGISTRY, 443)).toBe(true);
          expect((await askFromHere(inside, 'elsewhere.example')).answers).toEqual([]);
          expect(await isClosed(inside, REGISTRY, 443)).toBe(true);
          expect((await askFromHere(inside, 'registry.example')).answers).toMatchObject([{ data: REGISTRY }]);
          // At once: the answer waited for the way to be open.
          expect(await ask(inside, REGISTRY, 443)).toBe('the registry');
          expect(await isClosed(inside, REGISTRY, 80)).toBe(true);
          expect(await isClosed(inside, '192.0.2.3', 443)).toBe(true);
        });
      });
    });

    it('are ended by the kernel, and are back with the rules after a flush', async () => {
      await withTestHost(async (test) => {
        await confined(test, engine, async (inside) => {
          await askFromHere(inside, 'registry.example');
          const rules = () => run(test.host, 'nft', ['list', 'ruleset']);
          const allowed = /192\.0\.2\.2 timeout \S+ expires/;
          expect(await rules()).toMatch(allowed);
          await run(test.host, 'nft', ['flush', 'ruleset']);
          await expect.poll(rules, { timeout: 10_000, interval: 20 }).toMatch(allowed);
          await expect.poll(rules, { timeout: 10_000, interval: 20 }).toMatch(/chain policy-out-/);
          expect(await ask(inside, REGISTRY, 443)).toBe('the registry');
          expect(await isClosed(inside, REGISTRY, 80)).toBe(true);
        });
      });
    });
  },
);
