import type { Logger } from '../../src/driverapi/driver.ts';

const quiet = (): void => undefined;

/** A logger that keeps nothing. */
export const silent: Logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
