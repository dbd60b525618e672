/** The state that the controller and its objects share, and the one place that writes records. */

import { untilUndone } from './abortable.ts';
import type { Datastore } from './datastore/datastore.ts';
import type { Driver, Logger } from './driverapi/driver.ts';
import type { EndpointEntry } from './endpoint.ts';
import { LibnetworkError } from './errors.ts';
import { Events } from './events.ts';
import { ForeignDriver, outsideOf } from './foreign.ts';
import { Globals, type GlobalsOptions } from './globals.ts';
import { type EndpointId, type NetworkId, type SandboxId, shortHash } from './ids.ts';
import type { Ipam } from './ipam/ipam.ts';
import { Gate, Locks } from './locks.ts';
import type { NetworkEntry } from './network.ts';
import type { Waits } from './options.ts';
import { parseOptions } from './options.ts';
import type { Firewall } from './osl/firewall/firewall.ts';
import type { Osl } from './osl/osl.ts';
import { keyOf, type StoredRecord } from './records.ts';
import type { NameTable } from './resolver/names.ts';
import type { NameServers } from './resolver/servers.ts';
import type { SandboxEntry } from './sandbox.ts';
import { Services } from './services.ts';
import { Telemetry } from './telemetry.ts';

export interface CoreParts {
  readonly osl: Osl;
  readonly instance: string;
  readonly runDir: string;
  readonly store: Datastore;
  readonly drivers: ReadonlyMap<string, Driver>;
  /** Drivers from outside this package, by name. Default: none. */
  readonly foreignDrivers?: ReadonlyMap<string, Driver> | undefined;
  readonly ipams: ReadonlyMap<string, Ipam>;
  readonly firewall: Firewall;
  readonly names: NameTable;
  readonly nameServers: NameServers;
  readonly logger: Logger;
  /** Where drivers and IPAMs are looked for that are not among these. */
  readonly plugins?: PluginParts | undefined;
  /** The host's list of name servers. Default: `/etc/resolv.conf`. */
  readonly hostResolvConf?: string | undefined;
  /** What this host shares with others. Default: nothing. */
  readonly globals?: GlobalsOptions | undefined;
}

/** Drivers and IPAMs that come and go on their own. */
export interface PluginParts {
  /** One by its name, whether it is there or not: while it is not, its calls throw UNAVAILABLE. */
  driver(name: string): PluginPart<Driver>;
  ipam(name: string): PluginPart<Ipam>;
}

export interface PluginPart<T> {
  readonly part: T;
  /** Waits until it can be used. @throws NOT_FOUND where there is none of that name, at once; UNAVAILABLE, TIMEOUT */
  ready(waits: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

export class Core {
  /** The same for every controller on this run directory, so that containers find the next one. */
  readonly id: string;
  readonly osl: Osl;
  readonly instance: string;
  readonly runDir: string;
  readonly store: Datastore;
  readonly firewall: Firewall;
  readonly logger: Logger;
  readonly drivers: Map<string, Driver>;
  /** Those of them that were given to this process from outside. */
  readonly foreignDrivers: ReadonlyMap<string, ForeignDriver>;
  readonly ipams: Map<string, Ipam>;
  readonly #plugins: PluginParts | undefined;
  readonly #pluginDrivers = new Map<string, PluginPart<Driver>>();
  readonly #pluginIpams = new Map<string, PluginPart<Ipam>>();
  readonly events: Events;
  readonly locks = new Locks({ checked: process.env.LIBNETWORK_CHECK_LOCKS === '1' });
  readonly gate = new Gate();
  readonly names: NameTable;
  readonly nameServers: NameServers;
  readonly hostResolvConf: string | undefined;
  readonly networks = new Map<NetworkId, NetworkEntry>();
  readonly networksByName = new Map<string, NetworkEntry>();
  readonly endpoints = new Map<EndpointId, EndpointEntry>();
  readonly sandboxes = new Map<SandboxId, SandboxEntry>();
  readonly sandboxesByContainer = new Map<string, SandboxEntry>();
  /** Names of networks that can't be deleted. */
  readonly predefined = new Set<string>();
  readonly telemetry: Telemetry;
  /** Where there is a global store: what hosts share. */
  readonly globals: Globals | undefined;
  readonly services: Services;
  #closed = false;

  constructor(parts: CoreParts) {
    this.id = shortHash(parts.runDir, 64);
    this.telemetry = new Telemetry(parts.instance);
    this.osl = parts.osl;
    this.instance = parts.instance;
    this.runDir = parts.runDir;
    this.store = parts.store;
    this.firewall = parts.firewall;
    this.names = parts.names;
    this.nameServers = parts.nameServers;
    this.hostResolvConf = parts.hostResolvConf;
    this.logger = parts.logger;
    const foreign = [...(parts.foreignDrivers ?? [])];
    this.foreignDrivers = new Map(
      foreign.map(([name, driver]) => [name, new ForeignDriver(this.gate, driver)]),
    );
    this.drivers = new Map(parts.drivers);
    for (const [name, { part }] of this.foreignDrivers) this.drivers.set(name, part);
    this.ipams = new Map(parts.ipams);
    this.#plugins = parts.plugins;
    this.events = new Events((event, error) =>
      parts.logger.error(`a listener of ${event} failed`, { error }),
    );
    this.services = new Services(this);
    this.globals = parts.globals && new Globals(this, parts.globals);
  }

  /** Runs one operation of the public surface. @throws UNAVAILABLE after close */
  async operate<T>(name: string, act: () => Promise<T>, waits: Waits = {}): Promise<T> {
    if (this.#closed) throw new LibnetworkError('UNAVAILABLE', 'the controller is closed');
    const { signal } = parseOptions('waits', waits);
    return this.telemetry.measure(name, () => untilUndone(this.gate.shared(act, signal), signal));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Refuses further operations and waits for those under way. */
  async shut(): Promise<void> {
    this.#closed = true;
    await this.gate.drained();
  }

  /** Commits a record, then shows it. */
  async save<R extends StoredRecord>(entry: { record: R }, record: R): Promise<void> {
    Object.freeze(record);
    if (this.globals && record.kind !== 'sandbox') await this.globals.save(record);
    else if (this.isKept(record)) await this.store.put(keyOf(record), record);
    entry.record = record;
  }

  /** Whether a record outlives the process. An endpoint's does where its network's does. */
  isKept(record: StoredRecord): boolean {
    if (record.kind === 'endpoint') return this.networks.get(record.networkId)?.record.persist !== false;
    return record.kind === 'sandbox' || record.persist !== false;
  }

  async erase(record: StoredRecord): Promise<void> {
    if (this.globals && record.kind !== 'sandbox') await this.globals.erase(record);
    else await this.store.delete(keyOf(record));
  }

  /** Takes up drivers and IPAMs that records name, whether their plugins are there or not. */
  adopt({ driver, ipam }: { readonly driver: string; readonly ipam: string }): void {
    if (!this.#plugins) return;
    if (!this.drivers.has(driver))
      this.#addPart(this.drivers, this.#pluginDrivers, driver, this.#plugins.driver(driver));
    if (!this.ipams.has(ipam)) this.#addPart(this.ipams, this.#pluginIpams, ipam, this.#plugins.ipam(ipam));
  }

  /** A driver for a new network: one of the parts, or what is found among the plugins now. @throws NOT_FOUND */
  async findDriver(name: string, signal: AbortSignal | undefined): Promise<Driver> {
    if (this.#plugins && (!this.drivers.has(name) || this.#pluginDrivers.has(name))) {
      const plugin = this.#pluginDrivers.get(name) ?? this.#plugins.driver(name);
      await this.gate
        .outside(() => plugin.ready({ signal }))
        .catch((error: unknown) => this.#notFound('driver', name, error));
      this.#addPart(this.drivers, this.#pluginDrivers, name, plugin);
    }
    return this.driver(name);
  }

  /** As `findDriver`. */
  async findIpam(name: string, signal: AbortSignal | undefined): Promise<Ipam> {
    if (this.#plugins && (!this.ipams.has(name) || this.#pluginIpams.has(name))) {
      const plugin = this.#pluginIpams.get(name) ?? this.#plugins.ipam(name);
      await this.gate
        .outside(() => plugin.ready({ signal }))
        .catch((error: unknown) => this.#notFound('ipam.driver', name, error));
      this.#addPart(this.ipams, this.#pluginIpams, name, plugin);
    }
    return this.ipam(name);
  }

  /** The first one of a name stays, also where two were looked for at once. Its calls are waited for outside the gate. */
  #addPart<T extends object>(
    all: Map<string, T>,
    fromPlugins: Map<string, PluginPart<T>>,
    name: string,
    plugin: PluginPart<T>,
  ): void {
    if (all.has(name)) return;
    all.set(name, outsideOf(this.gate, plugin.part));
    fromPlugins.set(name, plugin);
  }

  /** Whether a driver or an IPAM, those of a network for one, is not this package's. */
  isForeign({
    driver = '',
    ipam,
  }: {
    readonly driver?: string;
    readonly ipam?: { readonly driver: string };
  }): boolean {
    return (
      this.foreignDrivers.has(driver) ||
      this.#pluginDrivers.has(driver) ||
      this.#pluginIpams.has(ipam?.driver ?? '')
    );
  }

  #notFound(field: 'driver' | 'ipam.driver', name: string, error: unknown): never {
    if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
    const [what, known] =
      field === 'driver' ? (['driver', this.drivers] as const) : (['IPAM driver', this.ipams] as const);
    throw new LibnetworkError(
      'NOT_FOUND',
      `unknown ${what} ${JSON.stringify(name)}: there are ${list(known)}, and ${error.message}`,
      { field, value: name, cause: error },
    );
  }

  driver(name: string): Driver {
    const driver = this.drivers.get(name);
    if (driver) return driver;
    throw new LibnetworkError(
      'NOT_FOUND',
      `unknown driver ${JSON.stringify(name)}: there are ${list(this.drivers)}`,
      {
        field: 'driver',
        value: name,
      },
    );
  }

  ipam(name: string): Ipam {
    const ipam = this.ipams.get(name);
    if (ipam) return ipam;
    throw new LibnetworkError(
      'NOT_FOUND',
      `unknown IPAM driver ${JSON.stringify(name)}: there are ${list(this.ipams)}`,
      {
        field: 'ipam.driver',
        value: name,
      },
    );
  }
}

function list(map: ReadonlyMap<string, unknown>): string {
  return [...map.keys()].join(', ');
}
