import type { DriverFactory } from '../../driverapi/driver.ts';
import { linklessDriver } from '../../driverapi/linkless.ts';

/** The `host` driver: its sandboxes live in the host's own namespace. One network, no addresses, no links. */
export const hostDriver: DriverFactory = () => linklessDriver('host');
