import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { compile } from '../../support/compile.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

describe.skipIf(!canUseKernel)(`the name server in a thread${whyNot && `: ${whyNot}`}`, () => {
  it('answers while the main thread is blocked', async () => {
    const compiled = await compile(
      'src/osl/linux/index.ts',
      'src/resolver/resolver.ts',
      'src/resolver/names.ts',
    );
    try {
      await withTestHost(async ({ create, path }) => {
        await create('sandbox');
        const workerData = { directory: compiled.directory, path: path('sandbox') };
        const thread = new Worker(resolve('test/kernel/resolver/thread.mjs'), { workerData });
        expect(await once(thread, 'message')).toEqual(['ready']);
        // Nothing else runs in this thread until the client has ended, so only the other one can have answered.
        const client = [process.execPath, resolve('test/kernel/resolver/client.mjs'), 'udp', 'web', 'A', '0'];
        const output = execFileSync('nsenter', [`--net=${path('sandbox')}`, ...client], { encoding: 'utf8' });
        expect(JSON.parse(output)).toMatchObject({ rcode: 'NOERROR', answers: [{ data: '10.9.0.5' }] });
        thread.postMessage('end');
        await once(thread, 'exit');
      });
    } finally {
      await compiled.remove();
    }
  });
});
