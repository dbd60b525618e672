/** Changes to a sandbox that lives: its names and files (`refresh`), and its endpoints' name (`rename`). */
import type { Core } from './core.ts';
import type { EndpointEntry } from './endpoint.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import { isGatewayEndpoint } from './gateway.ts';
import { parseOptions } from './options.ts';
import { keyOf, type SandboxRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { followServers, resolvConfOf, rewriteFiles } from './sandboxfiles.ts';
import { showNames } from './sandboxnames.ts';
import type { RefreshOptions } from './sandboxoptions.ts';
import { allOrNothing } from './undo.ts';

/**
 * Sets host name, extra hosts and DNS anew, and rebuilds what follows from them. Interfaces, addresses and published
 * ports are the endpoints' and stay; so do `resolv.conf` and foreign lines of the hosts file where somebody edited.
 */
export async function refreshSandbox(
  core: Core,
  entry: SandboxEntry,
  options: RefreshOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const parsed = parseOptions('refresh', options);
  await core.locks.with('sandbox', entry.record.id, signal, async () => {
    checkReady(core, entry);
    throwIfAborted(signal);
    const { record: before } = entry;
    const { hostname: _, domainname: __, ...rest } = before;
    await allOrNothing(async (undo) => {
      const changed: SandboxRecord = { ...rest, ...parsed };
      undo.push('bring the former settings back', async () => {
        await core.save(entry, before);
        await apply(core, entry, changed);
      });
      await core.save(entry, changed);
      await apply(core, entry, before);
      throwIfAborted(signal);
    });
    tellUpdate(core, entry);
  });
}

/** Tells that a sandbox is not as it was. */
export function tellUpdate(core: Core, { record: { id: sandboxId, containerId } }: SandboxEntry): void {
  core.events.emit('sandbox:update', { sandboxId, containerId });
}

/** Makes what follows from the record what it says; `before` is what it said. */
async function apply(core: Core, entry: SandboxEntry, before: SandboxRecord): Promise<void> {
  const conf = await resolvConfOf(core, entry.record);
  await rewriteFiles(entry, before, conf.content);
  followServers(entry, conf);
  for (const endpoint of entry.endpoints.values())
    if (endpoint.record.state === 'joined' && !endpoint.record.join?.pending)
      showNames(core, endpoint, entry);
}

/**
 * Gives all endpoints of a sandbox one name, as when its container is renamed; all or none.
 * @throws ALREADY_EXISTS when another endpoint of one of its networks has the name, naming it
 */
export async function renameSandbox(
  core: Core,
  entry: SandboxEntry,
  wanted: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { name } = parseOptions('rename', { name: wanted });
  await core.locks.with('sandbox', entry.record.id, signal, async () => {
    checkReady(core, entry);
    const endpoints = [...entry.endpoints.values()].filter(
      (endpoint) => endpoint.record.name !== name && !isGatewayEndpoint(endpoint),
    );
    for (const endpoint of endpoints) checkFree(endpoint, name, endpoints);
    throwIfAborted(signal);
    if (endpoints.length === 0) return;
    const before = endpoints.map((endpoint) => endpoint.record);
    // Taken from here on; the former names stay taken until the records are written.
    for (const endpoint of endpoints) endpoint.network.endpoints.set(name, endpoint);
    const records = before.map((record) => Object.freeze({ ...record, name }));
    await allOrNothing(async (undo) => {
      undo.push('forget the name', async () => {
        for (const endpoint of endpoints) endpoint.network.endpoints.delete(name);
      });
      for (const [i, record] of records.entries()) {
        undo.push('tell other hosts the former name', async () => before[i] && core.globals?.show(before[i]));
        await core.globals?.show(record);
      }
      await core.store.transaction(
        records
          .filter((record) => core.isKept(record))
          .map((record) => ({ op: 'put' as const, key: keyOf(record), value: record })),
      );
    });
    endpoints.forEach((endpoint, i) => {
      endpoint.network.endpoints.delete(before[i]?.name ?? '');
      endpoint.record = records[i] ?? endpoint.record;
      if (endpoint.record.state === 'joined' && !endpoint.record.join?.pending)
        showNames(core, endpoint, entry);
      const { networkId, id: endpointId } = endpoint.record;
      core.events.emit('endpoint:update', { networkId, endpointId, name });
    });
  });
}

/** Two endpoints of one sandbox in one network can't have one name either. */
function checkFree({ network, record }: EndpointEntry, name: string, all: readonly EndpointEntry[]): void {
  const holder =
    network.endpoints.get(name) ??
    all.find((other) => other.network === network && other.record.id !== record.id);
  if (holder === undefined) return;
  throw new LibnetworkError(
    'ALREADY_EXISTS',
    `endpoint with name ${name} already exists in network ${network.record.name}`,
    { field: 'name', value: name, holder: `endpoint ${holder.record.id}` },
  );
}

function checkReady(core: Core, entry: SandboxEntry): void {
  const { id, state } = entry.record;
  if (core.sandboxes.get(id) === entry && state === 'ready') return;
  throw new LibnetworkError('NOT_FOUND', `sandbox ${id.slice(0, 12)} does not exist or is being deleted`);
}
