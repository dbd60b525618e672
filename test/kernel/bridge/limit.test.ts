import { describe, expect, it } from 'vitest';
import { isBridgeFull, MAX_BRIDGE_PORTS } from '../../../src/drivers/bridge/attach.ts';
import type { Change } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

describe.skipIf(!canUseKernel)(`the ports of a bridge ${whyNot}`, () => {
  it('are as many as the driver allows, and no more', async () => {
    await withTestHost(async ({ host }) => {
      await host.apply([{ op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true }]);
      const veth = (n: number): Change => ({
        op: 'createLink',
        name: `v${n}`,
        link: { kind: 'veth', peer: { name: `p${n}` } },
        master: 'br0',
      });
      for (let n = 0; n < MAX_BRIDGE_PORTS; n += 93)
        await host.apply(Array.from({ length: 93 }, (_, i) => veth(n + i)));
      await expect(host.apply([veth(MAX_BRIDGE_PORTS)])).rejects.toSatisfy(isBridgeFull);
    });
  });
});
