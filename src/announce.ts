/** Tells the neighbours of a sandbox's interface where its addresses are now (RFC 5227 3, RFC 4861 7.2.6). */
import type { Core } from './core.ts';
import type { EndpointEntry } from './endpoint.ts';
import { FAMILIES } from './ip.ts';
import { integerOption, labels, type OptionValues } from './labels.ts';
import type { Namespace } from './osl/osl.ts';
import { plain } from './pools.ts';

interface Advertising {
  readonly count: number;
  readonly intervalMs: number;
}

/** How a network's interfaces are announced. @throws INVALID_ARGUMENT for a value out of range */
export function advertisingOf(options: OptionValues): Advertising {
  return {
    count: integerOption(options, labels.advertise.count, { min: 0, max: 3 }) ?? 3,
    intervalMs: integerOption(options, labels.advertise.intervalMs, { min: 100, max: 2000 }) ?? 1000,
  };
}

/**
 * Announces a joined endpoint's addresses, once at the next turn and again as its network says, as long as it stays
 * joined there. Nobody waits for it: who hears nothing asks, only later.
 */
export function announce(core: Core, entry: EndpointEntry, namespace: Namespace): void {
  const { join } = entry.record;
  if (!join || join.pending || entry.record.macAddress === undefined) return;
  const addresses = FAMILIES.flatMap((family) => entry.record[family]?.address ?? []);
  const { count, intervalMs } = advertisingOf(entry.network.record.options);
  if (addresses.length === 0 || count === 0) return;
  const say = async (left: number): Promise<void> => {
    if (core.closed || entry.record.join?.order !== join.order) return;
    for (const address of addresses) await namespace.announce(join.interfaceName, plain(address));
    if (left > 1) later(left - 1, intervalMs);
  };
  const later = (left: number, ms: number): void => {
    setTimeout(() => {
      say(left).catch((error: unknown) =>
        core.logger.debug(`endpoint ${entry.record.name} could not be announced`, { error }),
      );
    }, ms).unref();
  };
  later(count, 0);
}
