import type { Core } from './core.ts';
import { deleteJoinedEndpoint } from './endpointdeletion.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import { removeSandbox, type SandboxEntry } from './sandbox.ts';
import { closeSandbox } from './sandboxopening.ts';
import { together } from './undo.ts';

export async function deleteSandbox(
  core: Core,
  entry: SandboxEntry,
  signal: AbortSignal | undefined,
): Promise<void> {
  await core.locks.with('sandbox', entry.record.id, signal, async () => {
    const { record } = entry;
    if (core.sandboxes.get(record.id) !== entry || record.state === 'creating') {
      throw new LibnetworkError('NOT_FOUND', `sandbox ${record.id.slice(0, 12)} does not exist`);
    }
    throwIfAborted(signal);
    await core.save(entry, { ...record, state: 'deleting' });
    await finishSandboxDeletion(core, entry, false, signal);
  });
}

/** From `deleting` to gone; may be repeated after any failure. The sandbox's lock is held. */
export async function finishSandboxDeletion(
  core: Core,
  entry: SandboxEntry,
  force: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const { record } = entry;
  const endpoints = [...entry.endpoints.values()];
  // All at once: deletes of links that are under way together share the kernel's grace periods.
  await together(
    `delete the endpoints of sandbox ${record.id.slice(0, 12)}`,
    core.gate.sideBySide(
      endpoints.map((endpoint) => () => deleteJoinedEndpoint(core, endpoint, entry, force, signal)),
    ),
  );
  await closeSandbox(core, entry, 'delete');
  await core.erase(record);
  removeSandbox(core, entry);
  core.events.emit('sandbox:delete', { sandboxId: record.id, containerId: record.containerId });
}
