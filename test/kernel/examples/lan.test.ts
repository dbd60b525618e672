import { NetworkController } from 'libnetwork';
import { describe, expect, it } from 'vitest';
import { lanDriver } from '../../../examples/driver/lan.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

describe.skipIf(!canUseKernel)(`the example driver on the real kernel ${whyNot}`, () => {
  it('joins containers that reach each other by both families, and nothing is left when they are gone', () =>
    withTestHost(async ({ osl, host, directory }) => {
      const before = (await host.links()).map(({ name }) => name);
      const controller = await NetworkController.open({
        osl,
        runDir: `${directory}/run`,
        drivers: [lanDriver],
        firewall: 'none',
      });
      const network = await controller.createNetwork({ name: 'lan', driver: 'lan', ipv6: true });
      const sandboxes = [];
      const endpoints = [];
      for (const containerId of ['a', 'b']) {
        const sandbox = await controller.createSandbox({ containerId });
        const endpoint = await network.createEndpoint({ name: containerId });
        await endpoint.join(sandbox);
        sandboxes.push(sandbox);
        endpoints.push(endpoint);
      }
      const [a] = sandboxes;
      const [, b] = endpoints;
      const inA = await osl.openNamespace(a?.namespacePath ?? '');
      for (const address of [b?.ipv4, b?.ipv6])
        await expect
          .poll(() => inA.ping(address?.split('/')[0] ?? '', { timeoutMs: 2_000 }), { timeout: 20_000 })
          .toBeTypeOf('number');
      await inA.close();
      for (const sandbox of sandboxes) await sandbox.delete();
      await network.delete();
      expect((await host.links()).map(({ name }) => name)).toEqual(before);
      await controller.close();
    }));
});
