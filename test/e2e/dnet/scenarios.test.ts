/**
 * The scenarios of the original's integration suite that are about one host, with our command line in its words: who
 * reaches whom by which name, and what a restart leaves standing. Its scenarios about several hosts are in
 * test/e2e/hosts.test.ts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { linuxOsl } from '../../../src/osl/linux/index.ts';
import { type Daemon, isBuilt, withDaemon } from '../../support/dnet.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { neighbour } from '../../unit/drivers/setting.ts';

const BUSYBOX = '/bin/busybox';
const OUTSIDE = '192.0.2.2';

/** A daemon, and its commands as a person would give them. */
class Node {
  readonly daemon: Daemon;
  readonly #files = new Map<string, string>();

  constructor(daemon: Daemon) {
    this.daemon = daemon;
  }

  /** What the command prints. @throws when it fails */
  async dnet(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.daemon.dnet(...args);
    if (code !== 0) throw new Error(`dnet ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** What it says when it fails. @throws when it does not */
  async refused(...args: string[]): Promise<string> {
    const { code, stderr } = await this.daemon.dnet(...args);
    if (code === 0) throw new Error(`dnet ${args.join(' ')} was done`);
    return stderr;
  }

  /** The cells of a row, by what it holds. */
  async row(text: string, ...args: string[]): Promise<string[]> {
    const line = (await this.dnet(...args)).split('\n').find((each) => each.includes(text));
    return line?.trim().split(/\s{2,}/) ?? [];
  }

  async connect(container: string, network: string, ...alias: string[]): Promise<void> {
    await this.dnet('service', 'publish', `${container}.${network}`);
    await this.dnet('service', 'attach', ...alias, container, `${container}.${network}`);
  }

  async disconnect(container: string, network: string): Promise<void> {
    await this.dnet('service', 'detach', container, `${container}.${network}`);
    await this.dnet('service', 'unpublish', `${container}.${network}`);
  }

  /** Whether a name or address answers, asked in a container with its own hosts file and name server. */
  async reaches(container: string, target: string): Promise<boolean> {
    const [resolv = '', hosts = ''] = await this.#filesOf(container);
    const script =
      'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/hosts && exec "$2" ping -c 1 -W 2 "$3"';
    const within = ['unshare', '--mount', 'sh', '-c', script, resolv, hosts, BUSYBOX, target];
    const { code, stdout } = await this.daemon.dnet('sandbox', 'exec', container, '--', ...within);
    return code === 0 && / 0% packet loss/.test(stdout);
  }

  async #filesOf(container: string): Promise<readonly string[]> {
    const format = '{{.ResolvConfPath}} {{.HostsPath}}';
    const known =
      this.#files.get(container) ?? (await this.dnet('sandbox', 'inspect', container, '--format', format));
    this.#files.set(container, known);
    return known.trim().split(' ');
  }

  /** Each the next one, by name, and the world outside. */
  async reachEachOther(containers: readonly string[]): Promise<void> {
    const asked = containers.flatMap((from, i) => [
      [from, OUTSIDE] as const,
      [from, containers[(i + 1) % containers.length] ?? ''] as const,
    ]);
    const answers = await Promise.all(
      asked.map(async ([from, to]) => [from, to, await this.reaches(from, to)]),
    );
    expect(answers).toEqual(asked.map(([from, to]) => [from, to, true]));
  }
}

/** With the real kernel, and a machine beside the host. */
function withNode(test: (node: Node) => Promise<void>): Promise<void> {
  return withDaemon({ real: true }, async (daemon) => {
    const osl = linuxOsl();
    try {
      const host = await osl.openNamespace(daemon.namespace?.path ?? '');
      await neighbour(
        { host, createNamespace: (path) => osl.createNamespace(path) },
        join(daemon.directory, 'outside'),
      );
      await test(new Node(daemon));
    } finally {
      await osl.close();
    }
  });
}

const CONTAINERS = ['container_1', 'container_2', 'container_3'] as const;

describe.skipIf(!isBuilt)('the scenarios of simple.bats (after npm run build)', () => {
  const withFake = (test: (node: Node) => Promise<void>): Promise<void> =>
    withDaemon({}, (daemon) => test(new Node(daemon)));

  it('a network is listed with its name and driver, and deleted by the id that was printed', async () => {
    await withFake(async (node) => {
      const id = (await node.dnet('network', 'create', '-d', 'bridge', 'mh1')).trim();
      expect(await node.row('mh1', 'network', 'ls')).toEqual(
        expect.arrayContaining([id.slice(0, 12), 'mh1', 'bridge']),
      );
      await node.dnet('network', 'rm', id);
      expect(await node.row('mh1', 'network', 'ls')).toEqual([]);
    });
  });

  it('a service is listed with its network, and unpublished by its id', async () => {
    await withFake(async (node) => {
      await node.dnet('network', 'create', 'multihost');
      await node.dnet('service', 'publish', 'svc1.multihost');
      const [id, name, network] = await node.row('svc1', 'service', 'ls');
      expect([name, network]).toEqual(['svc1', 'multihost']);
      await node.dnet('service', 'unpublish', `${id}.multihost`);
      await node.dnet('network', 'rm', 'multihost');
    });
  });

  it('an attached service names its container, and holds itself and its network until it is detached', async () => {
    await withFake(async (node) => {
      await node.dnet('network', 'create', 'multihost');
      await node.dnet('service', 'publish', 'svc1.multihost');
      for (const container of ['container_1', 'container_2'])
        await node.dnet('container', 'create', container);
      await node.dnet('service', 'attach', 'container_1', 'svc1.multihost');
      expect((await node.row('svc1', 'service', 'ls'))[3]).toBe('container_1');
      await node.refused('service', 'attach', 'container_2', 'svc1.multihost');
      expect(await node.refused('service', 'unpublish', 'svc1.multihost')).toMatch(/leave first/);
      expect(await node.refused('network', 'rm', 'multihost')).toMatch(/active endpoints: svc1/);
      await node.dnet('service', 'detach', 'container_1', 'svc1.multihost');
      await node.dnet('service', 'attach', 'container_2', 'svc1.multihost');
      await node.dnet('service', 'unpublish', '--force', 'svc1.multihost');
      await node.dnet('container', 'rm', 'container_1', 'container_2');
      await node.dnet('network', 'rm', 'multihost');
    });
  });
});

const skip = !isBuilt ? 'not built' : !canUseKernel ? whyNot : existsSync(BUSYBOX) ? '' : 'no busybox';

describe.skipIf(skip !== '')(`the scenarios of bridge.bats${skip && ` (skipped: ${skip})`}`, () => {
  for (const network of ['bridge', 'singlehost'])
    it(`containers of ${network} reach each other by name and the world, across a stop and a kill of the daemon`, async () => {
      await withNode(async (node) => {
        if (network !== 'bridge') await node.dnet('network', 'create', '-d', 'bridge', network);
        for (const container of CONTAINERS) {
          await node.dnet('container', 'create', container);
          await node.connect(container, network);
        }
        await node.reachEachOther(CONTAINERS);
        expect(await node.daemon.stop()).toBe(0);
        await node.daemon.restart();
        await node.reachEachOther(CONTAINERS);
        await node.daemon.kill();
        await node.daemon.restart();
        await node.reachEachOther(CONTAINERS);
        for (const container of CONTAINERS) {
          await node.disconnect(container, network);
          await node.dnet('container', 'rm', container);
        }
        if (network !== 'bridge') await node.dnet('network', 'rm', network);
        const { missing, orphaned } = JSON.parse(
          await node.dnet('reconcile', '--dry-run', '--format', 'json'),
        );
        expect({ missing, orphaned }).toEqual({ missing: [], orphaned: [] });
      });
    });

  it('containers that share networks by pairs reach each other there, and nobody else’s services', async () => {
    await withNode(async (node) => {
      const pairs = ['12', '13', '23'];
      for (const pair of pairs) await node.dnet('network', 'create', `sh${pair}`);
      for (const i of [1, 2, 3]) {
        await node.dnet('container', 'create', `container_${i}`);
        for (const j of [1, 2, 3].filter((other) => other !== i)) {
          const service = `svc${i}${j}.sh${[i, j].sort().join('')}`;
          await node.dnet('service', 'publish', service);
          await node.dnet('service', 'attach', `container_${i}`, service);
        }
      }
      const found: string[] = [];
      for (const i of [1, 2, 3])
        for (const service of ['svc12', 'svc13', 'svc21', 'svc23', 'svc31', 'svc32'].filter(
          (name) => name[3] !== String(i),
        ))
          if (await node.reaches(`container_${i}`, service)) found.push(`container_${i} ${service}`);
      expect(found).toEqual([
        ...['container_1 svc21', 'container_1 svc31'],
        ...['container_2 svc12', 'container_2 svc32'],
        ...['container_3 svc13', 'container_3 svc23'],
      ]);
    });
  });

  it('a link is a name for the container that has it, and for no other', async () => {
    await withNode(async (node) => {
      await node.dnet('network', 'create', 'br1');
      for (const container of CONTAINERS) await node.dnet('container', 'create', container);
      await node.connect('container_1', 'br1', '--alias', 'container_2:c2');
      await node.connect('container_2', 'br1');
      await node.connect('container_3', 'br1');
      expect(await node.reaches('container_1', 'container_2')).toBe(true);
      expect(await node.reaches('container_1', 'c2')).toBe(true);
      expect(await node.reaches('container_3', 'c2')).toBe(false);
    });
  });

  it('a name that two endpoints share is answered until the last of them is gone', async () => {
    await withNode(async (node) => {
      await node.dnet('network', 'create', 'br1');
      for (const container of CONTAINERS) await node.dnet('container', 'create', container);
      for (const [container, own] of [
        ['container_1', 'c1'],
        ['container_2', 'c2'],
      ] as const) {
        const aliases = ['--alias', own, '--alias', 'shared'];
        await node.dnet('service', 'publish', ...aliases, `${container}.br1`);
        await node.dnet('service', 'attach', container, `${container}.br1`);
      }
      await node.connect('container_3', 'br1');
      for (const name of ['c1', 'c2', 'shared']) expect(await node.reaches('container_3', name)).toBe(true);
      await node.disconnect('container_1', 'br1');
      expect(await node.reaches('container_3', 'c1')).toBe(false);
      expect(await node.reaches('container_3', 'shared')).toBe(true);
      await node.disconnect('container_2', 'br1');
      expect(await node.reaches('container_3', 'shared')).toBe(false);
    });
  });

  it('an internal network leads nowhere but to its own, and another one leads out', async () => {
    await withNode(async (node) => {
      await node.dnet('network', 'create', '--internal', 'internal');
      await node.dnet('network', 'create', 'open');
      for (const container of ['container_1', 'container_2']) {
        await node.dnet('container', 'create', container);
        await node.connect(container, 'internal');
      }
      expect(await node.reaches('container_1', 'container_2')).toBe(true);
      expect(await node.reaches('container_1', OUTSIDE)).toBe(false);
      await node.disconnect('container_1', 'internal');
      await node.connect('container_1', 'open');
      expect(await node.reaches('container_1', OUTSIDE)).toBe(true);
    });
  });
});

describe.skipIf(!isBuilt)('the scenarios of dnet.bats (after npm run build)', () => {
  it('a client that asks elsewhere, or in a way that there is none of, fails', async () => {
    await withDaemon({}, async (daemon) => {
      expect((await daemon.dnet('network', 'ls')).code).toBe(0);
      expect((await daemon.dnet('--host', `${daemon.host}.not`, 'network', 'ls')).code).toBe(6);
      expect((await daemon.dnet('--host', 'tcp://127.0.0.1:1', 'network', 'ls')).code).toBe(2);
      expect((await daemon.dnet('--host', 'npipe://x', 'network', 'ls')).code).toBe(2);
      expect((await daemon.dnet('daemon', '--log-level', 'invalid')).code).toBe(2);
    });
  });
});
