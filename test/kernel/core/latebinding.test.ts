import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { tell } from '../../../src/cmd/setkey.ts';
import { NetworkController } from '../../../src/index.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';

const run = promisify(execFile);

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
});
