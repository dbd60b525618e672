import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';
import { FIRST_SEED } from '../../support/seed.ts';

const worker = fileURLToPath(new URL('./worker.mjs', import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL('../../../dist/index.js', import.meta.url)));
const reason = isBuilt ? whyNot : 'needs npm run build';

/** How often the process is killed. */
const KILLS = Number(process.env.LIBNETWORK_KILLS ?? 50);
const SEED = Number(process.env.LIBNETWORK_SEED ?? FIRST_SEED);

/** Starts a controller in its own process and waits until it has opened; what it found beside its records. */
async function start(host: Namespace, directory: string, seed: number, mode: 'churn' | 'clean') {
  const args = [worker, `${directory}/data`, `${directory}/run`, String(seed), mode];
  const child = host.spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  if (!child.stdout || !child.stderr) throw new Error('no pipes');
  let complaints = '';
  child.stderr.on('data', (data: Buffer) => {
    complaints += data.toString();
  });
  const exit = once(child, 'exit');
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exit.then(() => [undefined]),
  ]);
  if (typeof line !== 'string') throw new Error(`the controller died at start (seed ${seed}): ${complaints}`);
  const { leaks } = JSON.parse(line) as { leaks: string[] };
  return { child, exit, leaks, complaints: () => complaints };
}

async function stray({ osl, host, directory }: TestHost): Promise<unknown> {
  const links = (await host.links()).map((link) => link.name).filter((name) => name !== 'lo');
  const namespaces = await osl.listNamespaces(`${directory}/run/default/netns`);
  const firewall = await host.firewall({ engine: 'nftables', table: 'libnetwork-default' });
  const { orphaned: rules } = await firewall.sync([], { dryRun: true });
  await firewall.close();
  return { links, namespaces, rules };
}

describe.skipIf(!canUseKernel || !isBuilt)(`a controller killed at random moments ${reason}`, () => {
  it(`leaves nothing behind after ${KILLS} times kill -9 under load (seed ${SEED})`, {
    timeout: 60_000 + KILLS * 5_000,
  }, async () => {
    await withTestHost(async (test) => {
      const { host, directory, osl } = test;
      try {
        for (let round = 0; round < KILLS; round++) {
          const { child, exit, leaks, complaints } = await start(host, directory, SEED + round, 'churn');
          expect(leaks, `found at start ${round} (seed ${SEED + round})`).toEqual([]);
          // Any moment will do: the seed decides what the process does, the clock when it dies.
          await sleep(10 + ((SEED + round * 7919) % 150));
          expect(child.exitCode, `it ended by itself in round ${round}: ${complaints()}`).toBeNull();
          child.kill('SIGKILL');
          await exit;
        }
        const last = await start(host, directory, SEED + KILLS, 'clean');
        expect(last.leaks).toEqual([]);
        await last.exit;
        expect(last.complaints()).toBe('');
        expect(await stray(test)).toEqual({ links: [], namespaces: [], rules: [] });
      } finally {
        for (const path of await osl.listNamespaces(`${directory}/run/default/netns`))
          await osl.deleteNamespace(path);
      }
    });
  });
});
