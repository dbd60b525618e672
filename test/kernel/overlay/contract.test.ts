import { afterAll, describe } from 'vitest';
import { overlayDriver } from '../../../src/drivers/overlay/overlay.ts';
import { labels } from '../../../src/labels.ts';
import { driverContract } from '../../../src/testing/driver.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { openKernelWorld, removeMachines } from '../bridge/world.ts';

describe.skipIf(!canUseKernel)(`on the real kernel ${whyNot}`, () => {
  afterAll(removeMachines);
  driverContract({
    name: 'overlay',
    factory: overlayDriver,
    open: openKernelWorld,
    options: (n) => ({ [labels.overlay.vxlanIds]: String(5000 + n) }),
    deviations: ['no-faults', 'no-ports'],
  });
});
