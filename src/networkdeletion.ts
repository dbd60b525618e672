import type { Core } from './core.ts';
import { driverNetwork } from './driverviews.ts';
import { LibnetworkError } from './errors.ts';
import { type NetworkEntry, removeNetwork } from './network.ts';
import { checkUnused } from './networkconfig.ts';
import { releaseSteps } from './pools.ts';
import { refuseIfUsed } from './sharednetwork.ts';
import { allOfThem } from './undo.ts';

export function deleteNetwork(
  core: Core,
  entry: NetworkEntry,
  signal: AbortSignal | undefined,
): Promise<void> {
  return core.locks.with('network', entry.record.id, signal, () => deleteLocked(core, entry, signal));
}

async function deleteLocked(core: Core, entry: NetworkEntry, signal: AbortSignal | undefined): Promise<void> {
  const { record } = entry;
  if (core.networks.get(record.id) !== entry || record.state === 'creating') {
    throw new LibnetworkError(
      'NOT_FOUND',
      `network ${record.name} (${record.id.slice(0, 12)}) does not exist`,
    );
  }
  if (core.predefined.has(record.name)) {
    throw new LibnetworkError(
      'FORBIDDEN',
      `${record.name} is a predefined network and cannot be removed: network of type ${JSON.stringify(record.driver)} cannot be deleted`,
      { field: 'name', value: record.name },
    );
  }
  checkUnused(core, record);
  if (entry.endpoints.size > 0) {
    const names = [...entry.endpoints.values()].map((e) => `${e.record.name} (${e.record.id.slice(0, 12)})`);
    throw new LibnetworkError(
      'FORBIDDEN',
      `network ${record.name} has active endpoints: ${names.join(', ')}; delete them first`,
      { holder: names.join(', ') },
    );
  }
  // Shown at once, so that no endpoint is made while the deletion waits.
  entry.record = { ...record, state: 'deleting' };
  try {
    await core.save(entry, entry.record);
  } catch (error) {
    entry.record = record;
    throw error;
  }
  if (core.globals?.shares(record)) await refuseIfUsed(core, entry, record);
  await finishNetworkDeletion(core, entry, signal);
}

/** From `deleting` to gone; may be repeated after any failure. */
export async function finishNetworkDeletion(
  core: Core,
  entry: NetworkEntry,
  signal?: AbortSignal,
): Promise<void> {
  const { record } = entry;
  if (record.configOnly) return forgetNetwork(core, entry);
  const driver = core.driver(record.driver);
  try {
    if (core.globals?.shares(record)) await core.globals.leave(entry);
    else await driver.deleteNetwork(driverNetwork(record), { signal });
    await driver.freeNetwork?.(driverNetwork(record), { signal });
  } catch (error) {
    // A driver that refuses has done nothing: the network stays as it was.
    if (LibnetworkError.is(error, 'FORBIDDEN')) await core.save(entry, { ...record, state: 'ready' });
    throw error;
  }
  await forgetNetwork(core, entry);
  if (driver.capability.usesIpam) {
    await allOfThem(
      `release the pools of ${record.name}`,
      releaseSteps(core.ipam(record.ipam.driver), record.pools),
    );
  }
}

async function forgetNetwork(core: Core, entry: NetworkEntry): Promise<void> {
  const { record } = entry;
  await core.erase(record);
  removeNetwork(core, entry);
  core.events.emit('network:delete', { networkId: record.id, name: record.name });
}
