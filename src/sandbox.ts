import type { ChildProcess, SpawnOptions } from 'node:child_process';
import type { Core } from './core.ts';
import { deleteJoinedEndpoint, type Endpoint, type EndpointEntry } from './endpoint.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import type { HostEntry } from './hostfiles/etchosts.ts';
import type { Generated } from './hostfiles/resolvconf.ts';
import { type EndpointId, newId, type SandboxId } from './ids.ts';
import { setIpv6 } from './ipv6.ts';
import { parseOptions, type RefreshOptions, type SandboxOptions, type Waits } from './options.ts';
import type { LinkStatistics, Namespace, Route } from './osl/osl.ts';
import { type SandboxRecord, SCHEMA_VERSION } from './records.ts';
import type { DnsCounters, NameServer } from './resolver/servers.ts';
import { refreshSandbox, renameSandbox } from './sandboxchange.ts';
import { adoptHosts, removeFiles, resolvConfOf, sandboxFiles, writeNewFiles } from './sandboxfiles.ts';
import { showSight } from './sandboxnames.ts';
import { setKey } from './setkey.ts';
import { allOfThem, allOrNothing, together } from './undo.ts';

/** One container's network stack. Made by `controller.createSandbox`. */
export class Sandbox {
  readonly #core: Core;
  readonly #entry: SandboxEntry;

  /** @internal */
  constructor(core: Core, entry: SandboxEntry) {
    this.#core = core;
    this.#entry = entry;
  }

  /** @internal True for a sandbox of this controller, also one that is gone. */
  static isOf(core: Core, value: unknown): value is Sandbox {
    return typeof value === 'object' && value !== null && #core in value && value.#core === core;
  }

  get id(): SandboxId {
    return this.#entry.record.id;
  }
  get containerId(): string {
    return this.#entry.record.containerId;
  }
  /** The path of its namespace; `'host'` for the host's own; empty as long as `setKey` has not told it. */
  get namespacePath(): string {
    const { namespace } = this.#entry.record;
    return namespace.kind === 'host' ? 'host' : (namespace.path ?? '');
  }
  /** What `refresh` sets, as it is now. */
  get settings(): RefreshOptions & { readonly dns: SandboxRecord['dns'] } {
    const { hostname, domainname, extraHosts, dns } = this.#entry.record;
    return Object.freeze({ hostname, domainname, extraHosts, dns });
  }
  get hostname(): string | undefined {
    return this.#entry.record.hostname;
  }
  /** The file to mount at `/etc/hosts`. */
  get hostsPath(): string {
    return this.#entry.record.files.hosts;
  }
  /** The file to mount at `/etc/resolv.conf`. */
  get resolvConfPath(): string {
    return this.#entry.record.files.resolvConf;
  }

  /** The endpoints that are joined, in the order of their joins. */
  endpoints(): readonly Endpoint[] {
    const joined = [...this.#entry.endpoints.values()].filter((entry) => entry.record.state === 'joined');
    return Object.freeze(joined.map((entry) => entry.handle));
  }

  /**
   * `child_process.spawn` inside the sandbox's namespace. The child gets none of our descriptors.
   * @throws UNAVAILABLE while the sandbox has no namespace
   */
  spawn(file: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    return this.#namespace().spawn(file, args, options);
  }

  /** Counters of each joined interface, by its name in the sandbox; none while it has no namespace. */
  async statistics(): Promise<Readonly<Record<string, LinkStatistics>>> {
    if (!this.#entry.namespace) return Object.freeze({});
    const names = new Set(
      [...this.#entry.endpoints.values()].map((entry) => entry.record.join?.interfaceName),
    );
    const links = await this.#namespace().links();
    const joined = links.filter((link) => names.has(link.name));
    return Object.freeze(Object.fromEntries(joined.map((link) => [link.name, link.statistics])));
  }

  /** The routes of its namespace, as the kernel has them; none while it has no namespace. */
  async routes(): Promise<readonly Route[]> {
    return Object.freeze(this.#entry.namespace ? await this.#namespace().routes() : []);
  }

  /**
   * Sets host name, extra hosts and DNS anew; what is not named has its default from then on. Endpoints stay joined.
   * @throws INVALID_ARGUMENT naming the field
   */
  refresh(options: RefreshOptions = {}, waits: Waits = {}): Promise<void> {
    return this.#core.operate(
      'refreshSandbox',
      () => refreshSandbox(this.#core, this.#entry, options, waits.signal),
      waits,
    );
  }

  /**
   * Gives all its endpoints one name, as when a container is renamed; all or none.
   * @throws ALREADY_EXISTS when another endpoint of one of its networks has the name
   */
  rename(name: string, waits: Waits = {}): Promise<void> {
    return this.#core.operate(
      'renameSandbox',
      () => renameSandbox(this.#core, this.#entry, name, waits.signal),
      waits,
    );
  }

  /**
   * Tells a sandbox made with `externalKey` where its namespace is: endpoints that have joined move in, all or none.
   * @throws NOT_FOUND, INVALID_ARGUMENT for a path that is no namespace: another one may be tried
   */
  setKey(path: string, waits: Waits = {}): Promise<void> {
    return this.#core.operate('setKey', () => setKey(this.#core, this.#entry, path, waits.signal), waits);
  }

  /** What its name server has done since it started; `undefined` on the host's own namespace, which has none. */
  async dnsCounters(): Promise<DnsCounters | undefined> {
    return this.#entry.resolver?.counters();
  }

  /**
   * Leaves every network, deletes the endpoints that were joined, and the namespace, if it was made here.
   * @throws NOT_FOUND when it is gone; what could not be removed, all of it
   */
  delete(waits: Waits = {}): Promise<void> {
    return this.#core.operate(
      'deleteSandbox',
      () => deleteSandbox(this.#core, this.#entry, waits.signal),
      waits,
    );
  }

  #namespace(): Namespace {
    const { namespace, record } = this.#entry;
    if (namespace) return namespace;
    throw new LibnetworkError('UNAVAILABLE', `sandbox ${record.id.slice(0, 12)} has no open namespace`);
  }
}

/** A sandbox's place in the tables: its record of now, and what is open for it. */
export class SandboxEntry {
  record: SandboxRecord;
  /** Joined endpoints and those that are just joining, in the order of their joins. */
  readonly endpoints = new Map<EndpointId, EndpointEntry>();
  readonly handle: Sandbox;
  namespace: Namespace | undefined;
  resolver: NameServer | undefined;
  nextOrder = 1;
  /** The sandbox's own lines in its `/etc/hosts`, as last written. */
  hostLines: readonly HostEntry[] = [];

  constructor(core: Core, record: SandboxRecord) {
    this.record = record;
    this.handle = new Sandbox(core, this);
  }
}

export function addSandbox(core: Core, record: SandboxRecord): SandboxEntry {
  const entry = new SandboxEntry(core, record);
  core.sandboxes.set(record.id, entry);
  core.sandboxesByContainer.set(record.containerId, entry);
  return entry;
}

function removeSandbox(core: Core, entry: SandboxEntry): void {
  const { id, containerId } = entry.record;
  core.sandboxes.delete(id);
  if (core.sandboxesByContainer.get(containerId) === entry) core.sandboxesByContainer.delete(containerId);
  core.names.removeSandbox(id);
}

/** The directory in which namespaces are kept, one file each. */
export function namespaceDirectory(core: Core): string {
  return `${core.runDir}/netns`;
}

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
      return openGiven(core, record.namespace.path);
    case 'own':
      return core.osl.createNamespace(record.namespace.path);
    case 'external':
      return undefined;
  }
}

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

/** Stops the sandbox's DNS server, and what leads to services. The rules go with a namespace of ours; elsewhere `removeRules` takes them away. */
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

async function deleteSandbox(
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
