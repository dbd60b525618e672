import type { Core } from './core.ts';
import { placeOf } from './driverviews.ts';
import { type EndpointEntry, removeEndpoint } from './endpoint.ts';
import { LibnetworkError } from './errors.ts';
import { trySettleGateway } from './gatewaynetwork.ts';
import { FAMILIES } from './ip.ts';
import { detach } from './leave.ts';
import { parseOptions, type Waits } from './options.ts';
import { plain } from './pools.ts';
import type { SandboxEntry } from './sandbox.ts';
import { allOfThem } from './undo.ts';

export interface DeleteEndpointOptions extends Waits {
  /** Leaves the sandbox first, and goes on past what is missing or fails. */
  readonly force?: boolean | undefined;
}

export async function deleteEndpoint(
  core: Core,
  entry: EndpointEntry,
  options: DeleteEndpointOptions,
): Promise<void> {
  const { signal } = options;
  const { force } = parseOptions('deleteEndpoint', options);
  // A deletion that failed half-way may be tried again without force: it was allowed the first time.
  if (entry.record.join && (force || entry.record.state === 'deleting'))
    return leaveAndDelete(core, entry, force, signal);
  await core.locks.with('endpoint', entry.record.id, signal, async () => {
    const { record } = entry;
    const label = `endpoint ${record.name} (${record.id.slice(0, 12)})`;
    if (core.endpoints.get(record.id) !== entry || record.state === 'creating') {
      throw new LibnetworkError('NOT_FOUND', `${label} does not exist`);
    }
    if (record.join) {
      throw new LibnetworkError(
        'FORBIDDEN',
        `${label} is joined to a sandbox: leave first, or delete with force`,
        { holder: `sandbox ${record.join.sandboxId}` },
      );
    }
    await core.save(entry, { ...record, state: 'deleting' });
    await finishEndpointDeletion(core, entry, force, signal);
  });
}

/** Takes an endpoint out of its sandbox, if it is in one, and deletes it; the sandbox gets another way out at need. */
export async function leaveAndDelete(
  core: Core,
  entry: EndpointEntry,
  force: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sandboxId = entry.record.join?.sandboxId;
  if (sandboxId === undefined) return deleteJoinedEndpoint(core, entry, undefined, force, signal);
  const sandbox = core.sandboxes.get(sandboxId);
  await core.locks.with('sandbox', sandboxId, signal, async () => {
    await deleteJoinedEndpoint(core, entry, sandbox, force, signal);
    if (sandbox) await trySettleGateway(core, sandbox);
  });
}

/** Takes an endpoint out of its sandbox and deletes it, as one operation. The sandbox's lock is held. */
export async function deleteJoinedEndpoint(
  core: Core,
  entry: EndpointEntry,
  sandbox: SandboxEntry | undefined,
  force: boolean,
  signal?: AbortSignal,
): Promise<void> {
  await core.locks.with('endpoint', entry.record.id, signal, async () => {
    await core.save(entry, { ...entry.record, state: 'deleting' });
    try {
      await detach(core, entry, sandbox, { force, signal });
      await finishEndpointDeletion(core, entry, force, signal);
    } catch (error) {
      // Still the sandbox's, so that deleting it again finds it.
      if (core.endpoints.get(entry.record.id) === entry) sandbox?.endpoints.set(entry.record.id, entry);
      throw error;
    }
  });
}

/** From `deleting` to gone; may be repeated after any failure. With `force` a failing driver does not stop it. */
async function finishEndpointDeletion(
  core: Core,
  entry: EndpointEntry,
  force: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const { record, network } = entry;
  const driver = core.driver(network.record.driver);
  try {
    await driver.deleteEndpoint?.(placeOf(entry), { signal });
  } catch (error) {
    if (!force || signal?.aborted) throw error;
    core.logger.warn(`deleting endpoint ${record.name} in its driver failed; going on by force`, { error });
  }
  await core.erase(record);
  removeEndpoint(core, entry);
  core.events.emit('endpoint:delete', {
    networkId: record.networkId,
    endpointId: record.id,
    name: record.name,
  });
  if (!driver.capability.usesIpam) return core.services.release(entry);
  const ipam = core.ipam(network.record.ipam.driver);
  await allOfThem(`release the addresses of ${record.name}`, [
    () => core.services.release(entry),
    ...FAMILIES.flatMap((family) => {
      const held = record[family];
      return held?.poolId ? [() => ipam.releaseAddress(held.poolId, plain(held.address))] : [];
    }),
  ]);
}
