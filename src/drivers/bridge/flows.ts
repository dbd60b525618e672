/** Connections that were begun under other rules than those of now, and must not go on by them. */
import type { DriverEndpoint, Logger, PortBinding } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import { FAMILIES, familyOf } from '../../ip.ts';
import type { ConnectionFilter, Namespace } from '../../osl/osl.ts';
import { addressOf } from './intents.ts';

/** Those that a port led to the container, or that were begun to it while nobody had it. */
export function flowsOfChange(
  endpoint: DriverEndpoint,
  removed: readonly PortBinding[],
  added: readonly PortBinding[],
): readonly ConnectionFilter[] {
  const inside = (binding: PortBinding) => addressOf(endpoint, familyOf(binding.hostAddress) ?? 'ipv4');
  return [
    ...removed.flatMap((binding) => {
      const address = inside(binding);
      const port = binding.host || binding.container;
      // What was handed on by a proxy ends with its sockets.
      return address === undefined ? [] : [{ address, protocol: binding.protocol, port }];
    }),
    // Without a handshake, a sender goes on for ever on the path that its first packet found.
    ...added
      .filter(({ protocol, host }) => protocol === 'udp' && host !== 0)
      .map(({ protocol, host, hostAddress }) => ({
        address: hostAddress === '0.0.0.0' || hostAddress === '::' ? undefined : hostAddress,
        protocol,
        port: host,
      })),
  ];
}

/** Everything that was begun with an endpoint's addresses. */
export function flowsOfEndpoint(endpoint: DriverEndpoint): readonly ConnectionFilter[] {
  return FAMILIES.flatMap((family) => {
    const address = addressOf(endpoint, family);
    return address === undefined ? [] : [{ address }];
  });
}

/** A failure is logged: the rules hold for all new connections in any case. */
export async function flush(
  host: Namespace,
  logger: Logger,
  filters: readonly ConnectionFilter[],
): Promise<void> {
  if (filters.length === 0) return;
  try {
    await host.flushConntrack(filters);
  } catch (error) {
    if (!LibnetworkError.is(error)) throw error;
    logger.warn(`connections that were begun before a port changed may go on: ${error.message}`, { filters });
  }
}
