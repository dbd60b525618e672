import type { Logger } from '../driverapi/driver.ts';

const quiet = (): void => {
  // A library says nothing unless it is given a logger.
};

export const silent: Logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
