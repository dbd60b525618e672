import { describe, expect, it } from 'vitest';
import type { Keyring } from '../../../src/driverapi/keyring.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { whyNoEsp } from '../../uml/support.ts';
import { overlayHost, overlayNetwork, UNDERLAY, wiredHosts } from './world.ts';

const hasEsp = canUseKernel && (await whyNoEsp()) === '';
const reason = !canUseKernel ? whyNot : hasEsp ? '(this kernel has it: test/uml/encryption.test.ts)' : '';

/** Nothing may be asked of it. */
const untouched = new Proxy({} as Keyring, {
  get: (_, name) => {
    throw new Error(`the keyring was asked for ${String(name)}`);
  },
});

describe.skipIf(!canUseKernel || hasEsp)(`encrypted networks on a kernel without ESP ${reason}`, () => {
  it('are refused, with what to load, before anything is touched', () =>
    withTestHost(async (test) => {
      const [one] = await wiredHosts(test);
      const { driver } = await overlayHost(test, overlayNetwork(1), one, 'h1', UNDERLAY.ipv4(1), untouched);
      const network = overlayNetwork(2, { options: { encrypted: '' } });
      const names = async () => (await one.links()).map(({ name }) => name);
      const before = await names();
      for (const asked of [() => driver.validateNetwork?.(network), () => driver.createNetwork(network)])
        await expect(asked()).rejects.toMatchObject({
          code: 'NOT_IMPLEMENTED',
          field: 'encrypted',
          message: expect.stringContaining('modprobe esp4'),
        });
      expect(await names()).toEqual(before);
      expect(await one.xfrmPolicies()).toEqual([]);
      expect(await test.osl.listNamespaces(`${test.path('run-h1')}/overlay`)).toHaveLength(1);
    }));
});
