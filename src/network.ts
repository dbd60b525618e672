import { advertisingOf } from './announce.ts';
import { type Core, driverNetwork } from './core.ts';
import type { NetworkDnsOptions } from './dnsoptions.ts';
import type { PolicyRule, Scope } from './driverapi/driver.ts';
import { createEndpoint, type Endpoint, type EndpointEntry } from './endpoint.ts';
import { invalid, LibnetworkError, throwIfAborted } from './errors.ts';
import { deepFreeze } from './frozen.ts';
import { type EndpointId, type NetworkId, newId } from './ids.ts';
import type { PoolUsage } from './ipam/ipam.ts';
import { checkScope, checkUnused, withConfig } from './networkconfig.ts';
import { type NetworkIpam, publicIpam } from './networkipam.ts';
import { publicDns, showNetworkNames } from './networknames.ts';
import { type NetworkChanges, previewNetwork, updateNetwork } from './networkupdate.ts';
import {
  type EndpointOptions,
  type NetworkOptions,
  type Parsed,
  parseOptions,
  type Waits,
} from './options.ts';
import { checkPolicy } from './policy.ts';
import { poolsByFamily, releaseSteps, requestPools, usageOf } from './pools.ts';
import { type NetworkRecord, type PoolRecord, SCHEMA_VERSION } from './records.ts';
import { makeInDriver, refuseIfUsed } from './sharednetwork.ts';
import { allOfThem, allOrNothing } from './undo.ts';

/** A set of endpoints that can talk to each other. Made by `controller.createNetwork`. */
export class Network {
  readonly #core: Core;
  readonly #entry: NetworkEntry;

  /** @internal */
  constructor(core: Core, entry: NetworkEntry) {
    this.#core = core;
    this.#entry = entry;
  }

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
  get scope(): 'local' | 'global' {
    return this.#entry.record.scope;
  }
  get labels(): Readonly<Record<string, string>> {
    return Object.freeze({ ...this.#entry.record.labels });
  }
  get options(): Readonly<Record<string, string | number | boolean>> {
    return Object.freeze({ ...this.#entry.record.options });
  }
  /** Whether its endpoints have addresses of the family. */
  get ipv4(): boolean {
    return this.#entry.record.ipv4;
  }
  get ipv6(): boolean {
    return this.#entry.record.ipv6;
  }
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
    return deepFreeze(structuredClone(this.#entry.record.policy ?? []));
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
  async usage(): Promise<readonly (PoolUsage & { readonly subnet: string })[]> {
    const { ipam, pools } = this.#entry.record;
    return usageOf(this.#core.ipam(ipam.driver), pools);
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
  async allEndpoints({ signal }: Waits = {}): Promise<readonly Endpoint[]> {
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

  /** Changes its labels, policy, names and options in place, as far as its driver can. See `updateNetwork`. */
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

export async function createNetwork(
  core: Core,
  options: NetworkOptions,
  signal: AbortSignal | undefined,
): Promise<Network> {
  const parsed = withConfig(core, parseOptions('network', options));
  checkName(core, parsed.name);
  throwIfAborted(signal);
  if (parsed.configOnly) return createConfigNetwork(core, parsed);
  const driver = await core.findDriver(parsed.driver, signal);
  const ipam = await core.findIpam(parsed.ipam.driver, signal);
  // Plugins may have been waited for: from here to the table there is no wait.
  checkName(core, parsed.name);
  const { usesIpam, dataScope, addressless } = driver.capability;
  checkScope(parsed, dataScope);
  advertisingOf(parsed.options);
  checkPolicy(driver, parsed.policy, parsed.dns?.allow);
  if (!parsed.ipv4 && !parsed.ipv6 && !addressless)
    throw invalid('ipv4', false, 'IPv4 or IPv6 must be enabled');
  const families = usesIpam ? poolsByFamily(parsed.ipam.pools, parsed) : { ipv4: [], ipv6: [] };
  const record = newRecord(parsed, 'creating', dataScope);
  // In the table from here on, so that no second network takes the name while this one waits.
  const entry = addNetwork(core, record);
  entry.making = true;
  return allOrNothing(async (undo) => {
    undo.push('forget the network', async () => removeNetwork(core, entry));
    await driver.validateNetwork?.(driverNetwork({ ...record, pools: plannedPools(families) }));
    const spaces = usesIpam ? await ipam.defaultAddressSpaces({ signal }) : { local: '', global: '' };
    const addressSpace = dataScope === 'global' ? spaces.global : spaces.local;
    const planning = driverNetwork({ ...record, pools: plannedPools(families) });
    const wanted = {
      networkName: record.name,
      ipam,
      options: parsed.ipam.options,
      addressSpace,
      families,
      skipGateways: await driver.skipGateways?.(planning, { signal }),
    };
    const pools = usesIpam ? await requestPools(core, wanted, undo, signal) : [];
    const planned: NetworkRecord = { ...record, ipam: { ...record.ipam, addressSpace }, pools };
    if (pools.length > 0) await driver.validateNetwork?.(driverNetwork(planned));
    throwIfAborted(signal);
    undo.push('erase the record', () => core.erase(planned));
    await core.save(entry, planned);
    const made = await makeInDriver(core, driver, planned, undo, signal);
    throwIfAborted(signal);
    await core.save(entry, { ...made, state: 'ready' });
    entry.making = false;
    showNetworkNames(core, entry.record);
    core.events.emit('network:create', { networkId: record.id, name: record.name });
    return entry.handle;
  });
}

/** A network without a driver and without addresses: its record is all there is of it. */
function createConfigNetwork(core: Core, parsed: Parsed<'network'>): Promise<Network> {
  const record = newRecord({ ...parsed, driver: 'null' }, 'ready', 'local');
  const entry = addNetwork(core, record);
  return allOrNothing(async (undo) => {
    undo.push('forget the network', async () => removeNetwork(core, entry));
    undo.push('erase the record', () => core.erase(record));
    await core.save(entry, record);
    core.events.emit('network:create', { networkId: record.id, name: record.name });
    return entry.handle;
  });
}

function newRecord(
  { name, ipam, scope: _, ...parsed }: Parsed<'network'>,
  state: NetworkRecord['state'],
  scope: Scope,
): NetworkRecord {
  return {
    schema: SCHEMA_VERSION,
    kind: 'network',
    state,
    id: newId<NetworkId>(),
    name,
    scope,
    ...parsed,
    ipam: { driver: ipam.driver, options: ipam.options, addressSpace: '', requested: ipam.pools },
    pools: [],
    createdAt: new Date().toISOString(),
  };
}

function checkName(core: Core, name: string): void {
  const holder = core.networksByName.get(name);
  if (!holder) return;
  throw new LibnetworkError('ALREADY_EXISTS', `network with name ${name} already exists`, {
    field: 'name',
    value: name,
    holder: `network ${holder.record.id}`,
  });
}

/** The pools as far as they are known before IPAM is asked, for the driver's validation. */
function plannedPools(families: ReturnType<typeof poolsByFamily>): PoolRecord[] {
  return (['ipv4', 'ipv6'] as const).flatMap((family) =>
    families[family].flatMap(({ subnet, gateway, auxAddresses }) => {
      if (subnet === undefined) return [];
      const length = subnet.split('/')[1];
      return [
        {
          family,
          poolId: '',
          subnet,
          gateway: gateway === undefined ? undefined : `${gateway}/${length}`,
          auxAddresses,
        },
      ];
    }),
  );
}

function deleteNetwork(core: Core, entry: NetworkEntry, signal: AbortSignal | undefined): Promise<void> {
  return core.locks.with('network', entry.record.id, signal, () => deleteLocked(core, entry, signal));
}

async function deleteLocked(core: Core, entry: NetworkEntry, signal: AbortSignal | undefined): Promise<void> {
  const { record } = entry;
  if (core.networks.get(record.id) !== entry || record.state === 'creating') {
    throw new LibnetworkError(
      'NOT_FOUND',
      `network ${record.name} (${record.id.slice(0, 12)}) does not exist`,
    );
  }
  if (core.predefined.has(record.name)) {
    throw new LibnetworkError(
      'FORBIDDEN',
      `${record.name} is a predefined network and cannot be removed: network of type ${JSON.stringify(record.driver)} cannot be deleted`,
      { field: 'name', value: record.name },
    );
  }
  checkUnused(core, record);
  if (entry.endpoints.size > 0) {
    const names = [...entry.endpoints.values()].map((e) => `${e.record.name} (${e.record.id.slice(0, 12)})`);
    throw new LibnetworkError(
      'FORBIDDEN',
      `network ${record.name} has active endpoints: ${names.join(', ')}; delete them first`,
      { holder: names.join(', ') },
    );
  }
  // Shown at once, so that no endpoint is made while the deletion waits.
  entry.record = { ...record, state: 'deleting' };
  try {
    await core.save(entry, entry.record);
  } catch (error) {
    entry.record = record;
    throw error;
  }
  if (core.globals?.shares(record)) await refuseIfUsed(core, entry, record);
  await finishNetworkDeletion(core, entry, signal);
}

/** From `deleting` to gone; may be repeated after any failure. */
export async function finishNetworkDeletion(
  core: Core,
  entry: NetworkEntry,
  signal?: AbortSignal,
): Promise<void> {
  const { record } = entry;
  if (record.configOnly) return forgetNetwork(core, entry);
  const driver = core.driver(record.driver);
  try {
    if (core.globals?.shares(record)) await core.globals.leave(entry);
    else await driver.deleteNetwork(driverNetwork(record), { signal });
    await driver.freeNetwork?.(driverNetwork(record), { signal });
  } catch (error) {
    // A driver that refuses has done nothing: the network stays as it was.
    if (LibnetworkError.is(error, 'FORBIDDEN')) await core.save(entry, { ...record, state: 'ready' });
    throw error;
  }
  await forgetNetwork(core, entry);
  if (driver.capability.usesIpam) {
    await allOfThem(
      `release the pools of ${record.name}`,
      releaseSteps(core.ipam(record.ipam.driver), record.pools),
    );
  }
}

async function forgetNetwork(core: Core, entry: NetworkEntry): Promise<void> {
  const { record } = entry;
  await core.erase(record);
  removeNetwork(core, entry);
  core.events.emit('network:delete', { networkId: record.id, name: record.name });
}
