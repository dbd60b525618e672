import { afterAll, describe } from 'vitest';
import { builtinDrivers } from '../../../src/drivers/index.ts';
import { driverContract } from '../../../src/testing/driver.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { openKernelWorld, removeMachines } from './world.ts';

describe.skipIf(!canUseKernel)(`on the real kernel ${whyNot}`, () => {
  afterAll(removeMachines);
  const { bridge } = builtinDrivers;
  if (bridge === undefined) throw new Error('there is no bridge driver');
  driverContract({ name: 'bridge', factory: bridge, open: openKernelWorld, deviations: ['no-faults'] });
});
