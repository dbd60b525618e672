import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile } from '../../support/compile.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { run } from './setting.ts';

describe.skipIf(!canUseKernel)(
  `the name servers of a controller in a thread${whyNot && `: ${whyNot}`}`,
  () => {
    it('answer while the controller is busy, see each change at once, and come back when their thread fails', {
      timeout: 60_000,
    }, async () => {
      const compiled = await compile('src/index.ts', 'src/resolver/threadmain.ts');
      try {
        await withTestHost(async ({ host, directory }) => {
          const script = resolve('test/kernel/resolver/busy.mjs');
          const output = await run(host, process.execPath, [script, compiled.directory, `${directory}/run`]);
          const found = JSON.parse(output);
          const web = expect.stringMatching(/^172\.\d+\.0\.2 7$/);
          expect(found.blocked).toEqual([[web], ['10.1.1.1 7'], 'NXDOMAIN']);
          expect(found.counters).toMatchObject({ queries: 3, local: 2, forwarded: 0 });
          expect(found.wrong).toEqual([]);
          expect(found.afterDeath).toEqual([[web], ['10.1.1.1 7']]);
          expect(found.threads).toBe(4);
          expect(found.warnings).toEqual(
            Array(3).fill('the thread of the name servers failed: starting another'),
          );
          expect(found.leakedDescriptors).toBe(0);
          expect((await host.links()).map((link) => link.name)).toEqual(['lo']);
        });
      } finally {
        await compiled.remove();
      }
    });
  },
);
