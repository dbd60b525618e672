/** The state that the controller and its objects share, and the one place that writes records. */
import type { Datastore } from './datastore/datastore.ts';
import type { Driver, DriverEndpoint, DriverNetwork, EndpointPlace, Logger } from './driverapi/driver.ts';
import type { EndpointEntry } from './endpoint.ts';
import { LibnetworkError } from './errors.ts';
import { Events } from './events.ts';
import { type EndpointId, type NetworkId, type SandboxId, shortHash } from './ids.ts';
import type { Ipam } from './ipam/ipam.ts';
import { Gate, Locks } from './locks.ts';
import type { NetworkEntry } from './network.ts';
import type { Firewall } from './osl/firewall/firewall.ts';
import type { Osl } from './osl/osl.ts';
import { type EndpointRecord, keyOf, type NetworkRecord, type StoredRecord } from './records.ts';
import type { NameTable } from './resolver/names.ts';
import type { NameServers } from './resolver/servers.ts';
import type { SandboxEntry } from './sandbox.ts';
import { Telemetry } from './telemetry.ts';

export interface CoreParts {
  readonly osl: Osl;
  readonly instance: string;
  readonly runDir: string;
  readonly store: Datastore;
  readonly drivers: ReadonlyMap<string, Driver>;
  readonly ipams: ReadonlyMap<string, Ipam>;
  readonly firewall: Firewall;
  readonly names: NameTable;
  readonly nameServers: NameServers;
  readonly logger: Logger;
  /** The host's list of name servers. Default: `/etc/resolv.conf`. */
  readonly hostResolvConf?: string | undefined;
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
  readonly drivers: ReadonlyMap<string, Driver>;
  readonly ipams: ReadonlyMap<string, Ipam>;
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
    this.drivers = parts.drivers;
    this.ipams = parts.ipams;
    this.events = new Events((event, error) =>
      parts.logger.error(`a listener of ${event} failed`, { error }),
    );
  }

  /** Runs one operation of the public surface. @throws UNAVAILABLE after close */
  operate<T>(name: string, act: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new LibnetworkError('UNAVAILABLE', 'the controller is closed'));
    return this.telemetry.measure(name, () => this.gate.shared(act));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Refuses further operations and waits for those under way. */
  async shut(): Promise<void> {
    this.#closed = true;
    await this.gate.alone(async () => undefined);
  }

  /** Commits a record, then shows it. */
  async save<R extends StoredRecord>(entry: { record: R }, record: R): Promise<void> {
    Object.freeze(record);
    await this.store.put(keyOf(record), record);
    entry.record = record;
  }

  async erase(record: StoredRecord): Promise<void> {
    await this.store.delete(keyOf(record));
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

/** A network's record as its driver sees it. */
export function driverNetwork(record: NetworkRecord): DriverNetwork {
  const pools = (family: 'ipv4' | 'ipv6') =>
    record.pools
      .filter((pool) => pool.family === family)
      .map(({ subnet, gateway, auxAddresses }) => ({ subnet, gateway, auxAddresses }));
  return {
    id: record.id,
    name: record.name,
    internal: record.internal,
    ipv4: pools('ipv4'),
    ipv6: pools('ipv6'),
    options: record.options,
  };
}

export function driverEndpoint(record: EndpointRecord): DriverEndpoint {
  return {
    id: record.id,
    networkId: record.networkId,
    name: record.name,
    macAddress: record.macAddress,
    ipv4: record.ipv4?.address,
    ipv6: record.ipv6?.address,
    options: record.options,
    ports: record.ports,
    limits: record.limits,
    bindings: record.join?.bindings ?? [],
  };
}

export function placeOf(entry: EndpointEntry): EndpointPlace {
  return { network: driverNetwork(entry.network.record), endpoint: driverEndpoint(entry.record) };
}
