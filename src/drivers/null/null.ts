import type { DriverFactory } from '../../driverapi/driver.ts';
import { linklessDriver } from '../../driverapi/linkless.ts';

/** The `null` driver: its sandboxes have a loopback interface and nothing else. One network. */
export const nullDriver: DriverFactory = () => linklessDriver('null');
