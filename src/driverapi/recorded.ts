import { LibnetworkError } from '../errors.ts';
import type { NetworkId } from '../ids.ts';
import type { DriverNetwork, Logger } from './driver.ts';

/**
 * What a driver reads in the recorded networks that it takes up at its restore. One record that can't be read is
 * logged, and does not keep the others from coming back.
 */
export function readRecorded<T>(
  networks: readonly DriverNetwork[],
  read: (network: DriverNetwork) => T,
  logger: Logger,
): Map<NetworkId, T> {
  const known = new Map<NetworkId, T>();
  for (const network of networks) {
    try {
      known.set(network.id, read(network));
    } catch (error) {
      if (!LibnetworkError.is(error)) throw error;
      logger.error(`network ${network.name} can't be taken up: ${error.message}`, { network: network.id });
    }
  }
  return known;
}
