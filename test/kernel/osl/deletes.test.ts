import { describe, expect, it } from 'vitest';
import { LinuxNamespace } from '../../../src/osl/linux/index.ts';
import type { Change, Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

function veths(count: number): readonly Change[] {
  return Array.from({ length: count }, (_, i) => ({
    op: 'createLink',
    name: `v${i}`,
    link: { kind: 'veth', peer: { name: `p${i}` } },
    master: 'br0',
    up: true,
    group: 3,
  }));
}

function deletions(namespace: Namespace): { groups: number; singles: number } {
  if (!(namespace instanceof LinuxNamespace)) throw new Error('not on the real kernel');
  return namespace.deletions;
}

async function names(namespace: Namespace): Promise<readonly string[]> {
  return (await namespace.links()).map(({ name }) => name).sort();
}

describe.skipIf(!canUseKernel)(`link deletions ${whyNot}`, () => {
  it('that are asked for at once go in one request, and take nothing else along', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' } }, ...veths(101)]);
      const asked = Array.from({ length: 100 }, (_, i) => host.deleteLink(`v${i}`));
      expect(await Promise.all(asked)).toEqual(asked.map(() => true));
      expect(deletions(host)).toEqual({ groups: 1, singles: 0 });
      expect(await names(host)).toEqual(['br0', 'lo', 'p100', 'v100']);
      expect(await host.link('v100')).toMatchObject({ group: 3, master: 'br0' });
    });
  });

  it('that come while others are under way go together after them', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' } }, ...veths(30)]);
      const first = host.deleteLink('v0');
      await new Promise((resolve) => setImmediate(resolve));
      const later = Array.from({ length: 29 }, (_, i) => host.deleteLink(`v${i + 1}`));
      expect(await Promise.all([first, ...later])).toEqual(Array(30).fill(true));
      expect(deletions(host)).toEqual({ groups: 1, singles: 1 });
    });
  });

  it('tell whether there was a link, each once', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' } }, ...veths(2)]);
      const asked = ['v0', 'never', 'v0', 'v1'].map((name) => host.deleteLink(name));
      expect(await Promise.all(asked)).toEqual([true, false, false, true]);
      expect(await host.deleteLink('v0')).toBe(false);
    });
  });

  it('leave the names free at once, also those of a group', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' } }]);
      for (const count of [1, 1, 5, 1, 5]) {
        await host.apply(veths(count));
        const asked = Array.from({ length: count }, (_, i) => host.deleteLink(`v${i}`));
        expect(await Promise.all(asked)).toEqual(asked.map(() => true));
        expect(await names(host)).toEqual(['br0', 'lo']);
      }
    });
  });

  it('refuse what the kernel refuses, delete the others, and restore the groups', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([
        { op: 'createLink', name: 'br0', link: { kind: 'bridge' } },
        ...veths(2),
        { op: 'setLink', name: 'lo', group: 9 },
      ]);
      const [v0, lo, v1] = await Promise.allSettled(['v0', 'lo', 'v1'].map((name) => host.deleteLink(name)));
      expect([v0, v1]).toEqual(Array(2).fill({ status: 'fulfilled', value: true }));
      expect(lo).toMatchObject({
        status: 'rejected',
        reason: { code: 'NOT_IMPLEMENTED', errno: 'EOPNOTSUPP' },
      });
      expect(await host.link('lo')).toMatchObject({ group: 9 });
    });
  });

  it('do nothing for a caller who gave up before they began', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' } }, ...veths(1)]);
      const controller = new AbortController();
      const asked = host.deleteLink('v0', { signal: controller.signal });
      controller.abort();
      await expect(asked).rejects.toMatchObject({ code: 'ABORTED' });
      expect(await host.deleteLink('br0')).toBe(true);
      expect(await names(host)).toEqual(['lo', 'p0', 'v0']);
    });
  });
});
