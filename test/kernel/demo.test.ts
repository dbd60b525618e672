import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { canUseKernel, whyNot, withTestHost } from '../support/kernel.ts';

const demo = fileURLToPath(new URL('../../build/examples/demo/main.js', import.meta.url));
const isBuilt = existsSync(demo);
const reason = isBuilt ? whyNot : 'needs npm run build and build:examples';

describe.skipIf(!canUseKernel || !isBuilt)(`the demo on the real kernel ${reason}`, () => {
  it('holds in every step and leaves nothing in the namespace that plays its host', async () => {
    await withTestHost(async ({ host }) => {
      const child = host.spawn(process.execPath, [demo, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
      if (!child.stdout) throw new Error('no pipe');
      const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
      expect(JSON.parse(out)).toMatchObject({ ok: true, kernel: 'linux', leaked: [] });
      expect(code).toBe(0);
      expect((await host.links()).map((link) => link.name)).toEqual(['lo']);
    });
  });
});
