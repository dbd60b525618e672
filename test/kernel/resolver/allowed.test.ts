import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile } from '../../support/compile.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { run } from './setting.ts';

describe.skipIf(!canUseKernel)(
  `allowed names that a thread of name servers answers${whyNot && `: ${whyNot}`}`,
  () => {
    it('wait until the main thread has let them through, for a bounded time', {
      timeout: 60_000,
    }, async () => {
      const compiled = await compile(
        'src/resolver/threadservers.ts',
        'src/resolver/threadmain.ts',
        'src/osl/linux/index.ts',
      );
      try {
        await withTestHost(async ({ host, create, path }) => {
          await create('sandbox');
          const script = resolve('test/kernel/resolver/allowed.mjs');
          const output = await run(host, process.execPath, [script, compiled.directory, path('sandbox')]);
          const warning = 'a DNS question could not be answered';
          expect(JSON.parse(output)).toEqual({
            events: [
              'n1 db.example 10.1.1.2 600',
              'let through',
              'NOERROR 10.1.1.2',
              'n1 a.example 192.0.2.1 5',
              'let through',
              'NOERROR 192.0.2.1',
              'n1 b.example 192.0.2.1 5',
              'SERVFAIL ',
              'n1 c.example 192.0.2.1 5',
              'SERVFAIL ',
            ],
            warnings: [`${warning}: INTERNAL`, `${warning}: TIMEOUT`],
            failed: 2,
          });
        });
      } finally {
        await compiled.remove();
      }
    });
  },
);
