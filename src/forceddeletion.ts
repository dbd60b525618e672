/** The forced deletion of an endpoint of which nothing may be known but its id. */
import type { Core } from './core.ts';
import type { DeleteEndpointOptions } from './endpointdeletion.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import { parseStamp, vethName } from './ids.ts';
import { ROOT } from './records.ts';

/**
 * Deletes what there is of an endpoint that is in no table: its link, its rules, its record. That some or all of them
 * are missing is no failure.
 * @throws NOT_FOUND without `force`
 */
export async function deleteUnknown(
  core: Core,
  id: string,
  { force, signal }: DeleteEndpointOptions,
): Promise<void> {
  throwIfAborted(signal);
  if (!force) throw new LibnetworkError('NOT_FOUND', `endpoint ${id} not found`, { field: 'id', value: id });
  await core.locks.with('endpoint', id, signal, async () => {
    await deleteLeftLink(core, id);
    await core.firewall.apply([{ remove: { kind: 'endpoint', id } }]);
    await eraseLeftRecord(core, id);
  });
}

/** A link under the endpoint's name that carries no stamp of ours, or another's, is not ours. */
async function deleteLeftLink(core: Core, id: string): Promise<void> {
  const name = vethName(id);
  const link = await core.osl.host.link(name);
  const owner = parseStamp(link?.alias);
  if (owner?.instance === core.instance && owner.id === id) await core.osl.host.deleteLink(name);
}

/** What was stored behind this controller's back. */
async function eraseLeftRecord(core: Core, id: string): Promise<void> {
  for (const { key } of await core.store.list(`${ROOT}endpoint/`))
    if (key.endsWith(`/${id}/`)) await core.store.delete(key);
}
