/** What is open for a sandbox, from when it is made or taken up until it is closed: namespace and name server. */
import type { Core } from './core.ts';
import type { Generated } from './hostfiles/resolvconf.ts';
import type { Namespace } from './osl/osl.ts';
import type { SandboxRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { adoptHosts, removeFiles, resolvConfOf } from './sandboxfiles.ts';
import { showSight } from './sandboxnames.ts';
import { allOfThem } from './undo.ts';

/** Opens a namespace that somebody else made. Its loopback, where the name server listens, may still be down. */
export async function openGiven(core: Core, path: string): Promise<Namespace> {
  const namespace = await core.osl.openNamespace(path);
  try {
    await namespace.apply([{ op: 'setLink', name: 'lo', up: true }]);
    return namespace;
  } catch (error) {
    await namespace.close();
    throw error;
  }
}

/** Starts the sandbox's DNS server. The host's own namespace has none: it uses the host's resolver. */
export async function startNames(core: Core, entry: SandboxEntry, conf: Generated): Promise<void> {
  const { namespace, record } = entry;
  if (!namespace || record.namespace.kind === 'host') return;
  showSight(core, entry);
  const { upstreams, ndotsSet } = conf;
  const firewallTable = `libnetwork-dns-${core.instance}`;
  entry.resolver = await core.nameServers.start(
    { sandboxId: record.id, upstreams, ndotsSet, firewallTable },
    namespace,
  );
}

/**
 * Stops the sandbox's DNS server, and what leads to services. The rules go with a namespace of ours; elsewhere
 * `removeRules` takes them away.
 */
export async function closeNames(core: Core, entry: SandboxEntry, removeRules: boolean): Promise<void> {
  const { resolver } = entry;
  entry.resolver = undefined;
  await resolver?.close({ removeRules });
  await core.services.close(entry, removeRules);
}

/** Takes up a sandbox whose container outlived the last controller. @throws NOT_FOUND when its namespace is gone */
export async function reopenSandbox(core: Core, entry: SandboxEntry): Promise<void> {
  const { namespace } = entry.record;
  core.services.inherit(entry);
  if (namespace.kind === 'host') entry.namespace = core.osl.host;
  else if (namespace.path !== undefined) entry.namespace = await core.osl.openNamespace(namespace.path);
  await adoptHosts(core, entry);
  try {
    await startNames(core, entry, await resolvConfOf(core, entry.record));
  } catch (error) {
    // Not half open: the next reconcile finds it closed, and tries all of it again.
    await closeSandbox(core, entry, 'release');
    throw error;
  }
}

/** Ends what is open for a sandbox: `release` leaves its namespace and files to the next controller. */
export async function closeSandbox(
  core: Core,
  entry: SandboxEntry,
  how: 'release' | 'delete',
): Promise<void> {
  const { record, resolver, namespace } = entry;
  entry.resolver = undefined;
  entry.namespace = undefined;
  const remove = how === 'delete';
  await allOfThem(`close sandbox ${record.id.slice(0, 12)}`, [
    // The rules go with a namespace of ours; in one that lives on they must be taken away, unless we come back.
    async () => resolver?.close({ removeRules: remove && isShared(record) }),
    () => core.services.close(entry, remove && isShared(record)),
    async () => (namespace === core.osl.host ? undefined : namespace?.close()),
    async () =>
      remove && record.namespace.kind === 'own' ? core.osl.deleteNamespace(record.namespace.path) : undefined,
    async () => (remove ? removeFiles(record) : undefined),
  ]);
}

/** True for a namespace that lives on without us. */
function isShared({ namespace }: SandboxRecord): boolean {
  return namespace.kind === 'given' || namespace.kind === 'external';
}
