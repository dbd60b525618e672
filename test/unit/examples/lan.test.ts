/** The driver of `examples/driver` keeps the contract, so that who starts from it starts from something whole. */
import { readFileSync } from 'node:fs';
import { driverContract } from 'libnetwork/testing';
import { expect, it } from 'vitest';
import { lanDriver } from '../../../examples/driver/lan.ts';
import { openFakeWorld } from '../../support/fakeworld.ts';

driverContract({
  name: 'lan, the example, on the fake kernel',
  factory: lanDriver,
  open: openFakeWorld,
  deviations: ['no-ports'],
});

it('fits on a page', () => {
  const text = readFileSync(new URL('../../../examples/driver/lan.ts', import.meta.url), 'utf8');
  expect(text.split('\n').length).toBeLessThanOrEqual(100);
});
