import { builtinDrivers } from '../../src/drivers/index.ts';
import { labels } from '../../src/labels.ts';
import { type DriverDeviation, driverContract } from '../../src/testing/driver.ts';
import { openFakeWorld } from '../support/fakeworld.ts';

const overlayOptions = (n: number) => ({ [labels.overlay.vxlanIds]: String(5000 + n) });

/** `host` and `null` are what there is one of; on a parent's own network nothing is published. */
const deviations: Readonly<Record<string, readonly DriverDeviation[]>> = {
  host: ['single-network', 'no-ports'],
  null: ['single-network', 'no-ports'],
  macvlan: ['no-ports'],
  ipvlan: ['no-ports', 'no-mac'],
  overlay: ['no-ports'],
};

for (const [name, factory] of Object.entries(builtinDrivers)) {
  driverContract({
    name: `${name} on the fake kernel`,
    factory,
    open: openFakeWorld,
    deviations: deviations[name] ?? [],
    ...(name === 'overlay' && { options: overlayOptions }),
  });
}
