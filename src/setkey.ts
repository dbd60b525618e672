/** Late binding: a sandbox whose namespace the container's runtime makes, and tells when it is there. */
import { announce } from './announce.ts';
import type { Core } from './core.ts';
import type { EndpointEntry } from './endpoint.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import { trySettleGateway } from './gatewaynetwork.ts';
import { attach, detachToPending } from './join.ts';
import { parseOptions } from './options.ts';
import type { SandboxEntry } from './sandbox.ts';
import { tellUpdate } from './sandboxchange.ts';
import { resolvConfOf } from './sandboxfiles.ts';
import { closeNames, openGiven, startNames } from './sandboxopening.ts';
import { allOfThem, allOrNothing, type Undo } from './undo.ts';

/**
 * Opens the namespace at `path` for a sandbox and puts every endpoint that has joined into it, all or nothing. A
 * path that can't be opened changes nothing: another may be tried. A second key moves the endpoints there; where that
 * fails there is none.
 * @throws INVALID_ARGUMENT, NOT_FOUND for the path; FORBIDDEN for a sandbox that was not made with `externalKey`
 */
export async function setKey(
  core: Core,
  entry: SandboxEntry,
  wanted: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { path } = parseOptions('setKey', { path: wanted });
  await core.locks.with('sandbox', entry.record.id, signal, async () => {
    checkSandbox(core, entry);
    const namespace = await openGiven(core, path);
    try {
      throwIfAborted(signal);
      await unbind(core, entry);
    } catch (error) {
      await namespace.close();
      throw error;
    }
    await allOrNothing(async (undo) => {
      undo.push('close the namespace', async () => {
        entry.namespace = undefined;
        await namespace.close();
      });
      entry.namespace = namespace;
      const { record } = entry;
      undo.push('stop the name server', () => closeNames(core, entry, true));
      await startNames(core, entry, await resolvConfOf(core, record));
      await bindPending(core, entry, undo, signal);
      undo.push('forget the key', () => core.save(entry, record));
      // Recorded last: a key that was set only in part is none, and `unbind` takes back what was made.
      await core.save(entry, { ...record, namespace: { kind: 'external', path } });
    });
    for (const endpoint of entry.endpoints.values()) announce(core, endpoint, namespace);
    await trySettleGateway(core, entry);
    tellUpdate(core, entry);
  });
}

/** Puts the endpoints that joined before there was a namespace into it, in the order of their joins. */
async function bindPending(
  core: Core,
  entry: SandboxEntry,
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { namespace } = entry;
  if (!namespace) return;
  for (const endpoint of [...entry.endpoints.values()]) {
    if (!endpoint.record.join?.pending) continue;
    const { pending: _, ...join } = endpoint.record.join;
    await underLock(core, endpoint, signal, () =>
      attach(core, endpoint, entry, namespace, join, undo, signal),
    );
  }
}

/**
 * Gives a sandbox's key up: its endpoints keep what was noted of their joins, and wait for the next one. May be
 * repeated after any failure. The sandbox's lock is held.
 */
export async function unbind(core: Core, entry: SandboxEntry): Promise<void> {
  const { namespace, record } = entry;
  if (record.namespace.kind === 'external' && record.namespace.path !== undefined)
    await core.save(entry, { ...record, namespace: { kind: 'external' } });
  const bound = [...entry.endpoints.values()].filter((endpoint) => !endpoint.record.join?.pending).reverse();
  entry.namespace = undefined;
  await allOfThem(`take the key of sandbox ${record.id.slice(0, 12)} back`, [
    ...bound.map(
      (endpoint) => () =>
        underLock(core, endpoint, undefined, () => detachToPending(core, endpoint, entry, namespace)),
    ),
    () => closeNames(core, entry, true),
    async () => namespace?.close(),
  ]);
}

function underLock(
  core: Core,
  endpoint: EndpointEntry,
  signal: AbortSignal | undefined,
  act: () => Promise<void>,
): Promise<void> {
  return core.locks.with('endpoint', endpoint.record.id, signal, act);
}

function checkSandbox(core: Core, entry: SandboxEntry): void {
  const { id, state, namespace } = entry.record;
  const label = `sandbox ${id.slice(0, 12)}`;
  if (core.sandboxes.get(id) !== entry || state !== 'ready')
    throw new LibnetworkError('NOT_FOUND', `${label} does not exist or is being deleted`);
  if (namespace.kind !== 'external')
    throw new LibnetworkError(
      'FORBIDDEN',
      `${label} has its namespace: make it with externalKey to set a key`,
      {
        field: 'externalKey',
      },
    );
}
