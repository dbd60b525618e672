import { LibnetworkError } from '../errors.ts';
import type { Discovery, DiscoveryWaits, HostEvent } from './discovery.ts';

/** What wants to know of hosts: a driver, a plugin's `DiscoverNew` and `DiscoverDelete`. */
export interface HostListener {
  readonly name: string;
  hostJoined(event: HostEvent): Promise<void> | void;
  hostLeft(event: HostEvent): Promise<void> | void;
}

/**
 * Tells each listener of the hosts: those that live now as joins, then the changes, one after the other. A listener
 * that fails is reported and told the next all the same; one that comes later gets a call of its own.
 * Resolves when the signal fires or the discovery closes.
 * @throws what `watch` throws
 */
export async function forwardHosts(
  discovery: Discovery,
  listeners: readonly HostListener[],
  report: (error: LibnetworkError) => void,
  options?: DiscoveryWaits,
): Promise<void> {
  for await (const event of discovery.watch(options))
    await Promise.all(
      listeners.map(async (listener) => {
        try {
          await (event.type === 'join' ? listener.hostJoined(event) : listener.hostLeft(event));
        } catch (cause) {
          const what = `${listener.name} failed at the ${event.type} of host ${event.host.id}`;
          report(new LibnetworkError('INTERNAL', what, { operation: `discovery ${event.type}`, cause }));
        }
      }),
    );
}
