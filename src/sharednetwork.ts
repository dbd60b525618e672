/** What is other about a network that hosts share, as one of them makes or deletes it. */
import { type Core, driverNetwork } from './core.ts';
import type { Driver } from './driverapi/driver.ts';
import type { NetworkEntry } from './network.ts';
import type { NetworkRecord } from './records.ts';
import type { Undo } from './undo.ts';

/** A network that hosts share is made by each with its first endpoint; what it needs once is taken here. */
export async function makeInDriver(
  core: Core,
  driver: Driver,
  record: NetworkRecord,
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<NetworkRecord> {
  undo.push('give back what the driver took for it', async () => driver.freeNetwork?.(driverNetwork(record)));
  const options = {
    ...record.options,
    ...(await driver.allocateNetwork?.(driverNetwork(record), { signal })),
  };
  const allocated: NetworkRecord = { ...record, options };
  if (core.globals?.shares(record)) return allocated;
  undo.push('delete the network in its driver', () => driver.deleteNetwork(driverNetwork(allocated)));
  await driver.createNetwork(driverNetwork(allocated), { signal });
  return allocated;
}

/** Other hosts may have endpoints on it: those that see the deletion make none, and those that do not are seen. */
export async function refuseIfUsed(core: Core, entry: NetworkEntry, record: NetworkRecord): Promise<void> {
  try {
    await core.globals?.checkUnused(record);
  } catch (error) {
    await core.save(entry, record);
    throw error;
  }
}
