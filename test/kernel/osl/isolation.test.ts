import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { levelStore } from '../../../src/datastore/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

async function output(namespace: Namespace, script: string, more: readonly number[] = []): Promise<string> {
  const child = namespace.spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit', ...more] });
  if (!child.stdout) throw new Error('no standard output');
  const [printed] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return printed;
}

/** What the threads of this process live in. */
function threadNamespaces(): readonly string[] {
  return readdirSync('/proc/self/task').map((task) => readlinkSync(`/proc/self/task/${task}/ns/net`));
}

/** One of several ways to ask a namespace who it is; every namespace `n` answers `n` to all of them. */
const questions: readonly ((namespace: Namespace) => Promise<number>)[] = [
  async (namespace) => (await namespace.link('mark'))?.mtu ?? 0,
  async (namespace) => (await namespace.links()).find(({ name }) => name === 'mark')?.mtu ?? 0,
  async (namespace) => Number(await namespace.sysctl('net/ipv4/conf/mark/tag')),
  async (namespace) => {
    const found = (await namespace.addresses('mark')).find(({ family }) => family === 'ipv4');
    const [, , high, low] = (found?.address ?? '').split(/[./]/).map(Number);
    return (high ?? 0) * 256 + (low ?? 0);
  },
  async (namespace) => {
    const number = (await namespace.link('mark'))?.mtu ?? 0;
    const address = `10.7.${number >> 8}.${number & 255}`;
    const socket = await namespace.bindUdp(address, 0);
    socket.close();
    return number;
  },
  async (namespace) => {
    const number = (await namespace.link('mark'))?.mtu ?? 0;
    (await namespace.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 20_000 + number })).release();
    return number;
  },
  async (namespace) => {
    const number = (await namespace.link('mark'))?.mtu ?? 0;
    await namespace.apply([{ op: 'setLink', name: 'mark', alias: `namespace ${number}` }]);
    return Number((await namespace.link('mark'))?.alias?.slice(10));
  },
  async (namespace) => {
    const number = (await namespace.link('mark'))?.mtu ?? 0;
    await namespace.setSysctl('net/ipv4/conf/mark/tag', String(number));
    return Number(await namespace.sysctl('net/ipv4/conf/mark/tag'));
  },
];

describe.skipIf(!canUseKernel)(`what acts in a namespace ${whyNot}`, () => {
  it('acts in no other one: 1,000 interleaved operations over 50 namespaces', async () => {
    await withTestHost(async ({ create }) => {
      const numbers = Array.from({ length: 50 }, (_, i) => 1000 + i);
      const namespaces = await Promise.all(
        numbers.map(async (number) => {
          const namespace = await create(`n${number}`);
          await namespace.apply([
            { op: 'createLink', name: 'mark', link: { kind: 'bridge' }, mtu: number },
            { op: 'addAddress', link: 'mark', address: `10.7.${number >> 8}.${number & 255}/32` },
          ]);
          await namespace.setSysctl('net/ipv4/conf/mark/tag', String(number));
          return namespace;
        }),
      );
      const home = readlinkSync('/proc/thread-self/ns/net');
      const answers = await Promise.all(
        Array.from({ length: 1000 }, async (_, i) => {
          const question = questions[(i * 7) % questions.length];
          const namespace = namespaces[i % 50];
          return question && namespace && question(namespace);
        }),
      );
      expect(answers).toEqual(Array.from({ length: 1000 }, (_, i) => numbers[i % 50]));
      expect(readlinkSync('/proc/thread-self/ns/net')).toBe(home);
    });
  });

  it('leaves every thread of this process at home', async () => {
    await withTestHost(async ({ host }) => {
      const home = readlinkSync('/proc/thread-self/ns/net');
      await Promise.all(Array.from({ length: 20 }, () => stat('/')));
      await host.ping('127.0.0.1');
      expect([...new Set(threadNamespaces())]).toEqual([home]);
    });
  });
});

describe.skipIf(!canUseKernel)(`a child process ${whyNot}`, () => {
  it('lives in the namespace it was spawned in, and sees its settings', async () => {
    await withTestHost(async ({ host, create }) => {
      const other = await create('other');
      await other.apply([{ op: 'createLink', name: 'br-other', link: { kind: 'bridge' } }]);
      await other.setSysctl('net/ipv4/ip_forward', '1');
      const script = 'ls /proc/self/net/dev_snmp6; cat /proc/sys/net/ipv4/ip_forward';
      expect(await output(other, script)).toBe('br-other\nlo\n1\n');
      expect(await output(host, 'ls /proc/self/net/dev_snmp6')).toBe('lo\n');
    });
  });

  it('inherits none of our descriptors', async () => {
    await withTestHost(async ({ host, create }) => {
      const list = 'ls /proc/$$/fd; true';
      const before = await output(host, list);
      const other = await create('other');
      const udp = await other.bindUdp('127.0.0.1', 0);
      const tcp = await other.listenTcp('127.0.0.1', 0, () => undefined);
      const held = await other.holdPort({ protocol: 'tcp', address: '127.0.0.1', port: 0 });
      await Promise.all([host.links(), other.links()]);
      expect(await output(other, list)).toBe(before);
      udp.close();
      tcp.close();
      held.release();
    });
  });
});

describe.skipIf(!canUseKernel)(`a child process of a process with files of libraries ${whyNot}`, () => {
  it('inherits neither a store’s files nor what this process was started with, but what it is given', async () => {
    await withTestHost(async ({ create }) => {
      const other = await create('other');
      const directory = mkdtempSync(join(tmpdir(), 'libnetwork-descriptors-'));
      const store = await levelStore({ path: `${directory}/level` });
      const given = openSync('/dev/null', 'r');
      try {
        expect(openToChildren()).not.toEqual([]);
        expect(await output(other, 'ls /proc/$$/fd; true', [given])).toBe('0\n1\n2\n3\n');
        expect(openToChildren()).toEqual([]);
      } finally {
        closeSync(given);
        await store.close();
        rmSync(directory, { recursive: true });
      }
    });
  });
});

/** Descriptors that a program would inherit, but for the standard ones. */
function openToChildren(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd > 2 && isInherited(fd));
}

function isInherited(fd: number): boolean {
  try {
    const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & 0o2000000) === 0;
  } catch {
    // The one that the directory was read by.
    return false;
  }
}

describe.skipIf(!canUseKernel)(`descriptors ${whyNot}`, () => {
  it('are all freed when namespaces are closed', async () => {
    await withTestHost(async ({ osl, path, create }) => {
      await create('a');
      const before = readdirSync('/proc/self/fd').length;
      for (let i = 0; i < 20; i++) {
        const opened = await osl.openNamespace(path('a'));
        await Promise.all([opened.links(), opened.ping('127.0.0.1'), opened.sysctl('net/ipv4/ip_forward')]);
        await expect(opened.connectTcp('127.0.0.1', 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
        await expect(
          opened.holdPort({ protocol: 'sctp', address: '10.9.9.9', port: 1 }),
        ).rejects.toBeDefined();
        await opened.close();
      }
      expect(readdirSync('/proc/self/fd').length).toBe(before);
    });
  });
});
