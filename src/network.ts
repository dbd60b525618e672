import { abortable } from './abortable.ts';
import type { Core } from './core.ts';
import type { NetworkDnsOptions } from './dnsoptions.ts';
import type { PolicyRule } from './driverapi/driver.ts';
import type { Endpoint, EndpointEntry } from './endpoint.ts';
import { createEndpoint } from './endpointcreation.ts';
import type { EndpointOptions } from './endpointoptions.ts';
import { frozenCopy } from './frozen.ts';
import type { EndpointId, NetworkId } from './ids.ts';
import type { PoolUsage } from './ipam/ipam.ts';
import { deleteNetwork } from './networkdeletion.ts';
import { type NetworkIpam, publicIpam } from './networkipam.ts';
import { publicDns } from './networknames.ts';
import { type NetworkChanges, previewNetwork, updateNetwork } from './networkupdate.ts';
import { parseOptions, type Waits } from './options.ts';
import { usageOf } from './pools.ts';
import type { NetworkRecord } from './records.ts';

/** A set of endpoints that can talk to each other. Made by `controller.createNetwork`. */
export class Network {
  readonly #core: Core;
  readonly #entry: NetworkEntry;

  /** @internal */
  constructor(core: Core, entry: NetworkEntry) {
    this.#core = core;
    this.#entry = entry;
  }

  /** 64 hex digits. */
  get id(): NetworkId {
    return this.#entry.record.id;
  }
  get name(): string {
    return this.#entry.record.name;
  }
  /** The driver's name. */
  get driver(): string {
    return this.#entry.record.driver;
  }
  /** Where its records live: on this host, or where all hosts see them. */
  get scope(): 'local' | 'global' {
    return this.#entry.record.scope;
  }
  /** What its user knows it by. */
  get labels(): Readonly<Record<string, string>> {
    return Object.freeze({ ...this.#entry.record.labels });
  }
  /** Its driver's, as they were given. */
  get options(): Readonly<Record<string, string | number | boolean>> {
    return Object.freeze({ ...this.#entry.record.options });
  }
  /** Whether its endpoints have addresses of the family. */
  get ipv4(): boolean {
    return this.#entry.record.ipv4;
  }
  /** The same for IPv6. */
  get ipv6(): boolean {
    return this.#entry.record.ipv6;
  }
  /** Whether there is no way in or out but between its endpoints. */
  get internal(): boolean {
    return this.#entry.record.internal;
  }
  /** Containers that no orchestrator manages may join. */
  get attachable(): boolean {
    return this.#entry.record.attachable ?? false;
  }
  /** The network that an orchestrator's published ports come in by. */
  get ingress(): boolean {
    return this.#entry.record.ingress ?? false;
  }
  /** It only holds settings for networks made with `configFrom`. */
  get configOnly(): boolean {
    return this.#entry.record.configOnly ?? false;
  }
  /** Whether it, and what is on it, outlives the process. */
  get persist(): boolean {
    return this.#entry.record.persist ?? true;
  }
  /** The name of the network whose settings it took. */
  get configFrom(): string | undefined {
    return this.#entry.record.configFrom;
  }
  /** The IPAM driver and the pools that it gave. */
  get ipam(): NetworkIpam {
    return publicIpam(this.#entry.record);
  }
  /** Its static names, and which other names its sandboxes may ask for; `undefined` what was not given. */
  get dns(): NetworkDnsOptions {
    return publicDns(this.#entry.record);
  }
  /** Who of its endpoints may talk to whom; empty: all may. */
  get policy(): readonly PolicyRule[] {
    return frozenCopy(this.#entry.record.policy ?? []);
  }
  get createdAt(): Date {
    return Object.freeze(new Date(this.#entry.record.createdAt));
  }

  /**
   * Adds an endpoint: takes its addresses. Nothing is in the kernel before `join`.
   * @throws INVALID_ARGUMENT, ALREADY_EXISTS (name), FORBIDDEN (address in use), UNAVAILABLE (no free address)
   */
  createEndpoint(options: EndpointOptions, waits: Waits = {}): Promise<Endpoint> {
    return this.#do('createEndpoint', waits, (...at) => createEndpoint(...at, options, waits.signal));
  }

  /** How full its pools are; none where its IPAM driver can't tell. @throws NOT_FOUND when it is gone */
  async usage(waits: Waits = {}): Promise<readonly (PoolUsage & { readonly subnet: string })[]> {
    const { signal } = parseOptions('waits', waits);
    const { ipam, pools } = this.#entry.record;
    return abortable(usageOf(this.#core.ipam(ipam.driver), pools), signal);
  }

  /**
   * The endpoints of this network. Of a network that hosts share also those of other hosts, as far as they are known:
   * all of them where this host has endpoints itself; elsewhere to ask makes it learn them, and `allEndpoints` waits.
   */
  endpoints(): readonly Endpoint[] {
    const own = [...this.#entry.endpoints.values()].filter((e) => e.record.state !== 'creating');
    const remote = this.#core.globals?.remote(this.#entry) ?? [];
    return Object.freeze([...own, ...remote].map((entry) => entry.handle));
  }

  /**
   * The same, when all those of other hosts are known: at once for a network of this host alone.
   * @throws UNAVAILABLE where they are not known, and the global store does not answer within 5 s; ABORTED
   */
  async allEndpoints(waits: Waits = {}): Promise<readonly Endpoint[]> {
    const { signal } = parseOptions('waits', waits);
    await this.#core.globals?.learn(this.#entry, signal);
    return this.endpoints();
  }

  /** An endpoint by id or name; of those of other hosts as `endpoints`. */
  endpoint(idOrName: string): Endpoint | undefined {
    const byId = this.#core.endpoints.get(idOrName as EndpointId);
    const entry = byId?.network === this.#entry ? byId : this.#entry.endpoints.get(idOrName);
    if (entry) return entry.record.state === 'creating' ? undefined : entry.handle;
    return this.#core.globals
      ?.remote(this.#entry)
      .find(({ record: { id, name } }) => id === idOrName || name === idOrName)?.handle;
  }

  /**
   * What changes would do to the host's firewall, as text that its program accepts; comments tell why. Changes nothing.
   * @throws as `update`; NOT_IMPLEMENTED for a driver without a firewall
   */
  preview(changes: NetworkChanges): Promise<string> {
    return this.#do('previewNetwork', changes, (...at) => previewNetwork(...at, changes));
  }

  /**
   * Changes its labels, policy, names and options in place, as far as its driver can: all of it or nothing. Flows that
   * are allowed before and after go on undisturbed.
   * @throws INVALID_ARGUMENT for what can't be changed in place; NOT_IMPLEMENTED for options of a driver that can
   * change none; NOT_FOUND when the network is gone
   */
  update(changes: NetworkChanges): Promise<void> {
    return this.#do('updateNetwork', changes, (...at) => updateNetwork(...at, changes));
  }

  /**
   * Deletes the network and gives its pools back.
   * @throws FORBIDDEN while it has endpoints, naming them; NOT_FOUND when it is gone
   */
  delete(waits: Waits = {}): Promise<void> {
    return this.#do('deleteNetwork', waits, (...at) => deleteNetwork(...at, waits.signal));
  }

  #do<T>(name: string, waits: Waits, act: (core: Core, entry: NetworkEntry) => Promise<T>): Promise<T> {
    return this.#core.operate(name, () => act(this.#core, this.#entry), waits);
  }
}

/** A network's place in the tables: its record of now, and what hangs on it. */
export class NetworkEntry {
  record: NetworkRecord;
  /** By name; also endpoints that are just being created, so that no second one takes the name. */
  readonly endpoints = new Map<string, EndpointEntry>();
  readonly handle: Network;
  /** An operation of this process is making it now. */
  making = false;

  constructor(core: Core, record: NetworkRecord) {
    this.record = record;
    this.handle = new Network(core, this);
  }
}

export function addNetwork(core: Core, record: NetworkRecord): NetworkEntry {
  const entry = new NetworkEntry(core, record);
  core.networks.set(record.id, entry);
  core.networksByName.set(record.name, entry);
  return entry;
}

export function removeNetwork(core: Core, entry: NetworkEntry): void {
  core.networks.delete(entry.record.id);
  core.names.removeNetwork(entry.record.id);
  if (core.networksByName.get(entry.record.name) === entry) core.networksByName.delete(entry.record.name);
}
