import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('../../build/bench/hosts/main.js', import.meta.url));
const isBuilt = existsSync(program);

/** What a new endpoint costs the hosts of a simulated cluster. */
async function simulate(hosts: number, networks: number): Promise<Record<string, number>> {
  const size = ['--hosts', `${hosts}`, '--endpoints', `${hosts * 4}`, '--networks', `${networks}`];
  const args = ['--expose-gc', program, '--json', '--joins', '4', ...size];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as Record<string, number>;
}

describe.skipIf(!isBuilt)(
  `many hosts in memory ${isBuilt ? '' : '(not built: npm run build:examples)'}`,
  () => {
    it('cost a host what it takes part in, and not what there is', { timeout: 180_000 }, async () => {
      const [few, many] = [await simulate(5, 2), await simulate(10, 5)];
      for (const found of [few, many]) expect(found).toMatchObject({ eventsPerMember: 2, eventsPerOther: 0 });
      expect(few.bytesPerMember).toBeLessThan(2_000);
    });
  },
);
