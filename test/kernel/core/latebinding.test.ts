import { execFile, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { tell } from '../../../src/cmd/setkey.ts';
import { NetworkController } from '../../../src/index.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';

const run = promisify(execFile);

const PROGRAM = fileURLToPath(new URL('../../../dist/cmd/setkey.js', import.meta.url));

/** Runs the hook as a runtime does: the container's state on its standard input. */
function hook(args: readonly string[], state: string): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['pipe', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stderr }));
    child.stdin.end(state);
  });
}

async function withController<T>(
  work: (test: TestHost & { controller: NetworkController }) => Promise<T>,
): Promise<T> {
  return withTestHost(async (test) => {
    const controller = await NetworkController.open({
      osl: test.osl,
      runDir: `${test.directory}/run`,
      runtimeHook: true,
    });
    try {
      return await work({ ...test, controller });
    } finally {
      for (const sandbox of controller.sandboxes()) await sandbox.delete();
      await controller.close();
    }
  });
}

describe.skipIf(!canUseKernel)(`a sandbox bound late on the real kernel ${whyNot}`, () => {
  it('gets its interfaces, counters and way out when the runtime’s hook tells its namespace', () =>
    withController(async ({ controller, create, path, host }) => {
      const sandbox = await controller.createSandbox({ containerId: 'c1', externalKey: true });
      const front = await controller.createNetwork({
        name: 'front',
        ipv6: true,
        ipam: { pools: [{ subnet: '10.9.7.0/24' }, { subnet: 'fd00:97::/64' }] },
      });
      const back = await controller.createNetwork({ name: 'back', internal: true });
      for (const network of [front, back])
        await (await network.createEndpoint({ name: 'web' })).join(sandbox);
      await (await create('theirs')).close();
      const { socket } = controller.runtimeHook('c1');
      await expect(tell({ socket, containerId: 'c1' }, '/nowhere/ns')).rejects.toThrow('/nowhere/ns');
      await tell({ socket, containerId: 'c1' }, path('theirs'));
      const address = front.endpoint('web')?.ipv4?.split('/')[0] ?? '';
      expect(await host.ping(address)).toEqual(expect.any(Number));
      const counters = await sandbox.statistics();
      expect(Object.keys(counters).sort()).toEqual(['eth0', 'eth1']);
      expect(counters.eth0?.rxPackets).toBeGreaterThan(0);
      const { stdout } = await run('nsenter', [`--net=${path('theirs')}`, 'ip', '-br', 'link']);
      expect(stdout).toContain('eth1');
      expect(await controller.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
      await sandbox.delete();
      expect((await host.links()).filter(({ kind }) => kind === 'veth')).toEqual([]);
      for (const network of [front, back]) await network.delete();
    }));

  it('is told by the program with upstream’s arguments, which ends with 0, or with 1 and the reason', () =>
    withController(async ({ controller, create, path }) => {
      const sandbox = await controller.createSandbox({ containerId: 'c1', externalKey: true });
      const network = await controller.createNetwork({
        name: 'front',
        ipam: { pools: [{ subnet: '10.9.7.0/24' }] },
      });
      await (await network.createEndpoint({ name: 'web' })).join(sandbox);
      await (await create('theirs')).close();
      // What an OCI runtime starts: a process in the container's namespace.
      const container = spawn('nsenter', [`--net=${path('theirs')}`, 'sleep', '60'], { stdio: 'ignore' });
      const { pid } = container;
      try {
        const { socket, args } = controller.runtimeHook('c1');
        expect(args.slice(0, 2)).toEqual(['libnetwork-setkey', '-exec-root']);
        expect(`${args[2]}/libnetwork/${args[4]}.sock`).toBe(socket);
        // The shell of the process is in its namespace a moment after it was started.
        await vi.waitFor(() =>
          expect(readlinkSync(`/proc/${pid}/ns/net`)).not.toBe(readlinkSync('/proc/self/ns/net')),
        );
        const state = (of: number | undefined) => JSON.stringify({ ociVersion: '1.0.2', id: 'c1', pid: of });
        const nobody = await hook([...args.slice(1, 3), 'nobody', args[4] ?? ''], state(pid));
        expect(nobody).toMatchObject({
          code: 1,
          stderr: expect.stringContaining('failed to get sandbox for nobody'),
        });
        expect(await hook(args.slice(1), state(2 ** 22 + 1))).toMatchObject({ code: 1 });
        expect(await hook(args.slice(1), '{}')).toMatchObject({
          code: 1,
          stderr: expect.stringContaining('no pid'),
        });
        expect(await hook(args.slice(1, 3), state(pid))).toMatchObject({
          code: 1,
          stderr: expect.stringContaining('usage'),
        });
        expect(sandbox.namespacePath).toBe('');
        expect(await hook(args.slice(1), state(pid))).toEqual({ code: 0, stderr: '' });
        expect(sandbox.namespacePath).toBe(`/proc/${pid}/ns/net`);
        expect(Object.keys(await sandbox.statistics())).toEqual(['eth0']);
        await sandbox.delete();
        await network.delete();
      } finally {
        container.kill();
      }
    }));
});
