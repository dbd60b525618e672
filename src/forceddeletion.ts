/** The forced deletion of an endpoint of which nothing may be known but its id. */
import type { Core } from './core.ts';
import type { DeleteEndpointOptions } from './endpointdeletion.ts';
import { invalid, LibnetworkError, throwIfAborted } from './errors.ts';
import { parseStamp, vethName } from './ids.ts';
import { parseOptions } from './options.ts';
import { ROOT } from './records.ts';

/**
 * Deletes what there is of an endpoint that is in no table: its link, its rules, its record. That some or all of them
 * are missing is no failure.
 * @throws NOT_FOUND without `force`; INVALID_ARGUMENT for what can be no id
 */
export async function deleteUnknown(core: Core, id: string, options: DeleteEndpointOptions): Promise<void> {
  const { signal } = options;
  const { force } = parseOptions('deleteEndpoint', options);
  throwIfAborted(signal);
  if (!force) throw new LibnetworkError('NOT_FOUND', `endpoint ${id} not found`, { field: 'id', value: id });
  if (!/^[0-9a-f]{64}$/.test(id)) throw invalid('id', id, 'must be 64 hex digits');
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
