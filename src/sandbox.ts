import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { abortable } from './abortable.ts';
import type { Core } from './core.ts';
import type { Endpoint, EndpointEntry } from './endpoint.ts';
import { LibnetworkError } from './errors.ts';
import { deepFreeze, frozenCopy } from './frozen.ts';
import type { HostEntry } from './hostfiles/etchosts.ts';
import type { EndpointId, SandboxId } from './ids.ts';
import { parseOptions, type Waits } from './options.ts';
import type { LinkStatistics, Namespace, Route } from './osl/osl.ts';
import type { SandboxRecord } from './records.ts';
import type { DnsCounters, NameServer } from './resolver/servers.ts';
import { refreshSandbox, renameSandbox } from './sandboxchange.ts';
import { deleteSandbox } from './sandboxdeletion.ts';
import type { RefreshOptions } from './sandboxoptions.ts';
import { setKey } from './setkey.ts';

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

  /** 64 hex digits. */
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
    return frozenCopy({ hostname, domainname, extraHosts, dns });
  }
  get createdAt(): Date {
    return Object.freeze(new Date(this.#entry.record.createdAt));
  }
  /** Its own name in its `/etc/hosts`. */
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
  async statistics(waits: Waits = {}): Promise<Readonly<Record<string, LinkStatistics>>> {
    const { signal } = parseOptions('waits', waits);
    if (!this.#entry.namespace) return Object.freeze({});
    const names = new Set(
      [...this.#entry.endpoints.values()].map((entry) => entry.record.join?.interfaceName),
    );
    const links = await abortable(this.#namespace().links(), signal);
    const joined = links.filter((link) => names.has(link.name));
    return deepFreeze(Object.fromEntries(joined.map((link) => [link.name, link.statistics])));
  }

  /** The routes of its namespace, as the kernel has them; none while it has no namespace. */
  async routes(waits: Waits = {}): Promise<readonly Route[]> {
    const { signal } = parseOptions('waits', waits);
    const { namespace } = this.#entry;
    return deepFreeze(namespace ? [...(await abortable(namespace.routes(), signal))] : []);
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
  async dnsCounters(waits: Waits = {}): Promise<DnsCounters | undefined> {
    const { signal } = parseOptions('waits', waits);
    const { resolver } = this.#entry;
    return resolver && abortable(resolver.counters(), signal);
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

export function removeSandbox(core: Core, entry: SandboxEntry): void {
  const { id, containerId } = entry.record;
  core.sandboxes.delete(id);
  if (core.sandboxesByContainer.get(containerId) === entry) core.sandboxesByContainer.delete(containerId);
  core.names.removeSandbox(id);
}

/** The directory in which namespaces are kept, one file each. */
export function namespaceDirectory(core: Core): string {
  return `${core.runDir}/netns`;
}
