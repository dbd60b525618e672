import type { DriverFactory } from '../driverapi/driver.ts';
import { bridgeDriver } from './bridge/bridge.ts';
import { hostDriver } from './host/host.ts';
import { ipvlanDriver } from './ipvlan/ipvlan.ts';
import { macvlanDriver } from './macvlan/macvlan.ts';
import { nullDriver } from './null/null.ts';
import { overlayDriver } from './overlay/overlay.ts';

/** The drivers that every controller has, by name. */
export const builtinDrivers: Readonly<Record<string, DriverFactory>> = {
  bridge: bridgeDriver,
  host: hostDriver,
  null: nullDriver,
  macvlan: macvlanDriver,
  ipvlan: ipvlanDriver,
  overlay: overlayDriver,
};
