import { describe, expect, it } from 'vitest';
import { NetworkController } from '../../../src/index.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { steady } from '../../support/transfer.ts';
import { neighbour } from '../../unit/drivers/setting.ts';

const INGRESS = 60_000_000;
const EGRESS = 30_000_000;

describe.skipIf(!canUseKernel)(`the limits of an endpoint on the real kernel ${whyNot}`, () => {
  it('are what a transfer reaches, both ways, and can be changed under way', async () => {
    await withTestHost(async ({ osl, path, directory }) => {
      const outside = await neighbour(osl, path('neighbour'));
      const controller = await NetworkController.open({
        osl,
        runDir: directory,
        instance: `t${process.pid}`,
      });
      const network = await controller.createNetwork({ name: 'front' });
      const endpoint = await network.createEndpoint({
        name: 'web',
        limits: { ingress: INGRESS, egress: EGRESS },
        ports: [5001, 5002, 5003].map((port) => ({ protocol: 'tcp', container: port, host: port })),
      });
      const sandbox = await controller.createSandbox({ containerId: 'c1' });
      await endpoint.join(sandbox);
      const inside = await osl.openNamespace(sandbox.namespacePath ?? '');
      const rates = [
        await steady(INGRESS, outside, inside, '192.0.2.1', 5001),
        await steady(EGRESS, inside, outside, '192.0.2.2', 6001),
      ];
      await endpoint.update({ limits: { egress: 2 * EGRESS } });
      expect(endpoint.limits).toEqual({ egress: 2 * EGRESS });
      rates.push(await steady(2 * EGRESS, inside, outside, '192.0.2.2', 6011));
      for (const rate of rates) {
        expect(rate).toBeGreaterThan(0.85);
        expect(rate).toBeLessThan(1.15);
      }
      expect(await controller.reconcile({ dryRun: true })).toEqual({
        missing: [],
        orphaned: [],
        repaired: [],
      });
      await sandbox.delete();
      await controller.close();
    });
  });
});
