import type { Core } from './core.ts';
import { LibnetworkError, named, throwIfAborted } from './errors.ts';
import { newId, type SandboxId } from './ids.ts';
import { setIpv6 } from './ipv6.ts';
import { parseOptions } from './options.ts';
import type { Namespace } from './osl/osl.ts';
import { type SandboxRecord, SCHEMA_VERSION } from './records.ts';
import { addSandbox, namespaceDirectory, removeSandbox, type Sandbox } from './sandbox.ts';
import { resolvConfOf, sandboxFiles, writeNewFiles } from './sandboxfiles.ts';
import { closeSandbox, openGiven, startNames } from './sandboxopening.ts';
import type { SandboxOptions } from './sandboxoptions.ts';
import { allOrNothing, together } from './undo.ts';

export async function createSandbox(
  core: Core,
  options: SandboxOptions,
  signal: AbortSignal | undefined,
): Promise<Sandbox> {
  const parsed = parseOptions('sandbox', options);
  const present = core.sandboxesByContainer.get(parsed.containerId);
  if (present) {
    throw new LibnetworkError(
      'ALREADY_EXISTS',
      `container ${parsed.containerId} is already present in sandbox ${present.record.id.slice(0, 12)}`,
      { field: 'containerId', value: parsed.containerId, holder: `sandbox ${present.record.id}` },
    );
  }
  throwIfAborted(signal);
  const id = newId<SandboxId>();
  const { namespacePath: path, externalKey, hostsPath, resolvConfPath, dns, ...rest } = parsed;
  const record: SandboxRecord = {
    schema: SCHEMA_VERSION,
    kind: 'sandbox',
    state: 'creating',
    id,
    ...rest,
    namespace: namespaceOf(core, id, path, externalKey),
    files: sandboxFiles(core.runDir, id, hostsPath, resolvConfPath),
    dns,
    createdAt: new Date().toISOString(),
  };
  const entry = addSandbox(core, record);
  return allOrNothing(async (undo) => {
    undo.push('forget the sandbox', async () => removeSandbox(core, entry));
    undo.push('erase the record', () => core.erase(record));
    await core.save(entry, record);
    undo.push('close and delete the namespace', () => closeSandbox(core, entry, 'delete'));
    entry.namespace = await openNamespace(core, record);
    // In a namespace of ours interfaces have no IPv6 until an endpoint with an IPv6 address turns it on for its own.
    if (entry.namespace && record.namespace.kind === 'own') await setIpv6(entry.namespace, 'default', false);
    throwIfAborted(signal);
    const conf = await resolvConfOf(core, record);
    await together('make the sandbox', [startNames(core, entry, conf), writeNewFiles(entry, conf.content)]);
    throwIfAborted(signal);
    await core.save(entry, { ...record, state: 'ready' });
    core.events.emit('sandbox:create', { sandboxId: id, containerId: record.containerId });
    return entry.handle;
  });
}

function namespaceOf(
  core: Core,
  id: SandboxId,
  path: string | undefined,
  external: boolean,
): SandboxRecord['namespace'] {
  if (external) return { kind: 'external' };
  if (path === 'host') return { kind: 'host' };
  if (path !== undefined) return { kind: 'given', path };
  return { kind: 'own', path: `${namespaceDirectory(core)}/${id.slice(0, 12)}` };
}

async function openNamespace(core: Core, record: SandboxRecord): Promise<Namespace | undefined> {
  switch (record.namespace.kind) {
    case 'host':
      return core.osl.host;
    case 'given':
      try {
        return await openGiven(core, record.namespace.path);
      } catch (error) {
        throw named(error, 'namespacePath', record.namespace.path);
      }
    case 'own':
      return core.osl.createNamespace(record.namespace.path);
    case 'external':
      return undefined;
  }
}
