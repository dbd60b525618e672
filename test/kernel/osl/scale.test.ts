import { readdirSync, readlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LinuxNamespace } from '../../../src/osl/linux/index.ts';
import type { Change, CreateLink, Namespace, NamespaceEvent } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

function linux(namespace: Namespace): LinuxNamespace {
  if (namespace instanceof LinuxNamespace) return namespace;
  throw new Error('not on the real kernel');
}

const veth = (name: string, peer: string): CreateLink => ({
  op: 'createLink',
  name,
  link: { kind: 'veth', peer: { name: peer } },
});

describe.skipIf(!canUseKernel)(`large tables ${whyNot}`, () => {
  it('of two thousand links and addresses are read whole', async () => {
    await withTestHost(async ({ host }) => {
      // What is not up gets no IPv6, which is most of what a link costs.
      const pairs = Array.from({ length: 1000 }, (_, i) => [`a${i}`, `b${i}`] as const);
      await host.apply(pairs.map(([a, b]) => veth(a, b)));
      await host.apply(
        pairs.flatMap(([a, b], i): Change[] =>
          [a, b].map((link, side) => ({
            op: 'addAddress',
            link,
            address: `10.${side}.${i >> 8}.${i & 255}/32`,
          })),
        ),
      );
      const [links, addresses] = await Promise.all([host.links(), host.addresses()]);
      expect(links.map(({ name }) => name).sort()).toEqual(['lo', ...pairs.flat()].sort());
      const found = addresses
        .filter(({ link }) => link !== 'lo')
        .map(({ link, address }) => `${link} ${address}`);
      expect(found.sort()).toEqual(
        pairs
          .flatMap(([a, b], i) => [a, b].map((link, side) => `${link} 10.${side}.${i >> 8}.${i & 255}/32`))
          .sort(),
      );
      expect(await host.link('b999')).toMatchObject({ kind: 'veth' });
    });
  });
});

/** A picture of the links of a namespace, kept by what is told of them, and drawn anew when something was lost. */
class Mirror {
  readonly links = new Map<string, string | undefined>();
  readonly #namespace: LinuxNamespace;
  losses = 0;

  constructor(namespace: LinuxNamespace) {
    this.#namespace = namespace;
  }

  async follow(event: NamespaceEvent): Promise<void> {
    if (event.kind === 'lost') {
      this.losses++;
      await this.draw();
    } else if (event.kind === 'link') {
      if (event.gone) this.links.delete(event.link.name);
      else this.links.set(event.link.name, event.link.alias);
    }
  }

  async draw(): Promise<void> {
    const links = await this.#namespace.links();
    this.links.clear();
    for (const { name, alias } of links) this.links.set(name, alias);
  }
}

describe.skipIf(!canUseKernel)(`a monitor that was overrun ${whyNot}`, () => {
  it('says so, so that a picture drawn anew is right again, and goes on from there', async () => {
    await withTestHost(async ({ host }) => {
      const mirror = new Mirror(linux(host));
      await mirror.draw();
      const events = linux(host).watch();
      // Nothing is told of links that are down. All in one turn of the event loop: nobody takes what the kernel tells, until its buffer is full (ENOBUFS).
      const storm = Array.from({ length: 15_000 }, (_, i): Change => {
        return { op: 'setLink', name: `v${i % 10}`, alias: `alias ${i}` };
      });
      const links = Array.from({ length: 10 }, (_, i) => ({ ...veth(`v${i}`, `w${i}`), up: true }));
      await host.apply([...links, ...storm]);
      await host.deleteLink('v9');
      await host.apply([{ op: 'createLink', name: 'last', link: { kind: 'bridge' } }]);
      for await (const event of events) {
        await mirror.follow(event);
        if (mirror.links.has('last')) break;
      }
      expect(mirror.losses).toBeGreaterThan(0);
      const real = (await host.links()).map(({ name, alias }) => [name, alias]);
      expect(Object.fromEntries(mirror.links)).toEqual(Object.fromEntries(real));
      expect(mirror.links.get('v0')).toBe('alias 14990');
      expect(mirror.links.has('w9')).toBe(false);
    });
  });
});

/** What this process has open, by kind: `socket`, `anon_inode`, and paths. */
function descriptors(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const kind = readlinkSync(`/proc/self/fd/${fd}`).replace(/:?\[.*/, '');
      counts[kind] = (counts[kind] ?? 0) + 1;
    } catch (error) {
      // The one that the directory itself was read by.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return counts;
}

describe.skipIf(!canUseKernel)(`descriptors ${whyNot}`, () => {
  it('are all freed by what watches, lists, fails, or is given up', async () => {
    await withTestHost(async ({ osl, path, create }) => {
      const a = await create('a');
      const use = async () => {
        const opened = linux(await osl.openNamespace(path('a')));
        const events = opened.watch();
        await opened.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true }]);
        for await (const event of events) if (event.kind === 'link') break;
        const controller = new AbortController();
        const next = opened.watch({ signal: controller.signal }).next();
        const given = opened.deleteLink('br0', { signal: controller.signal });
        controller.abort();
        await expect(given).rejects.toMatchObject({ code: 'ABORTED' });
        expect(await next).toMatchObject({ done: true });
        await Promise.all([opened.connections('ipv4'), opened.rules('ipv6'), opened.xfrmPolicies()]);
        await expect(opened.bindUdp('10.99.99.99', 53)).rejects.toBeDefined();
        await expect(opened.listenTcp('10.99.99.99', 53, () => undefined)).rejects.toBeDefined();
        await expect(osl.openNamespace(path('never'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
        await expect(osl.openNamespace('/proc/self/ns/uts')).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        });
        await opened.deleteLink('br0');
        await opened.close();
        const made = await create('made');
        await made.links();
        await made.close();
        await osl.deleteNamespace(path('made'));
      };
      await use();
      const before = descriptors();
      for (let i = 0; i < 20; i++) await use();
      await expect.poll(descriptors, { timeout: 5000 }).toEqual(before);
      await a.close();
    });
  });
});
