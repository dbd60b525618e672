import { type Core, driverEndpoint, driverNetwork, placeOf } from './core.ts';
import type { Driver, EndpointLimits, PortBinding } from './driverapi/driver.ts';
import { addressesOf, checkAddresses, requestAddresses, withMac } from './endpointaddresses.ts';
import { type EndpointChanges, updateEndpoint } from './endpointupdate.ts';
import { invalid, LibnetworkError, throwIfAborted } from './errors.ts';
import { type EndpointId, type NetworkId, newId, type SandboxId } from './ids.ts';
import { FAMILIES } from './ip.ts';
import { joinSandbox } from './join.ts';
import { detach, leaveSandbox, settleAfterLeave } from './leave.ts';
import { checkLimits } from './limits.ts';
import type { NetworkEntry } from './network.ts';
import { type EndpointOptions, type JoinOptions, parseOptions, type Waits } from './options.ts';
import { plain } from './pools.ts';
import { type EndpointRecord, type ExposedPort, SCHEMA_VERSION } from './records.ts';
import { Sandbox, type SandboxEntry } from './sandbox.ts';
import { type EndpointService, publicService } from './serviceoptions.ts';
import { allOfThem, allOrNothing, type Undo } from './undo.ts';

export interface DeleteEndpointOptions extends Waits {
  /** Leaves the sandbox first, and goes on past what is missing or fails. */
  readonly force?: boolean | undefined;
}

/** A sandbox's place in a network. Made by `network.createEndpoint`. */
export class Endpoint {
  readonly #core: Core;
  readonly #entry: EndpointEntry;

  /** @internal */
  constructor(core: Core, entry: EndpointEntry) {
    this.#core = core;
    this.#entry = entry;
  }

  get id(): EndpointId {
    return this.#entry.record.id;
  }
  get name(): string {
    return this.#entry.record.name;
  }
  get networkId(): NetworkId {
    return this.#entry.record.networkId;
  }
  /** The id of the host that has it; `undefined` for this one, which alone can change it. */
  get host(): string | undefined {
    return this.#entry.host;
  }
  /** The sandbox it is joined to. */
  get sandboxId(): SandboxId | undefined {
    return this.#entry.record.join?.sandboxId;
  }
  /** `10.9.0.5/24`; `undefined` where the family is off. */
  get ipv4(): string | undefined {
    return this.#entry.record.ipv4?.address;
  }
  get ipv6(): string | undefined {
    return this.#entry.record.ipv6?.address;
  }
  get macAddress(): string | undefined {
    return this.#entry.record.macAddress;
  }
  /** The interface's name in the sandbox, while joined. */
  get interfaceName(): string | undefined {
    return this.#entry.record.join?.interfaceName;
  }
  get aliases(): readonly string[] {
    return Object.freeze([...this.#entry.record.aliases, ...(this.#entry.record.join?.aliases ?? [])]);
  }
  /** What policies know it by. */
  get labels(): Readonly<Record<string, string>> {
    return Object.freeze({ ...this.#entry.record.labels });
  }
  /** Ports that the container listens at, as they were given. */
  get exposedPorts(): readonly ExposedPort[] {
    return Object.freeze([...(this.#entry.record.exposedPorts ?? [])]);
  }
  /** Link-local addresses beside those of the network, as `169.254.7.7/16`. */
  get linkLocal(): readonly string[] {
    return Object.freeze([...(this.#entry.record.linkLocal ?? [])]);
  }
  /** What is published now, with the host's ports. Empty while not joined. */
  get ports(): readonly PortBinding[] {
    return Object.freeze([...(this.#entry.record.join?.bindings ?? [])]);
  }

  /**
   * Puts the endpoint into a sandbox: its link, addresses, routes, names and published ports.
   * @throws INVALID_ARGUMENT for a sandbox of another controller; FORBIDDEN when it is joined already; CONFLICT when a port is taken, naming its holder
   */
  join(sandbox: Sandbox, options: JoinOptions = {}): Promise<void> {
    return this.#operate('join', options, async () =>
      joinSandbox(this.#core, this.#entry, idOf(this.#core, sandbox), options),
    );
  }

  /** The service that it belongs to. */
  get service(): EndpointService | undefined {
    return publicService(this.#entry.record);
  }

  /** How much it may transfer, in bits a second; what is not named is not limited. */
  get limits(): EndpointLimits {
    return Object.freeze({ ...this.#entry.record.limits });
  }

  /**
   * Changes its published ports, its limits and its labels in place, or drains it; what stays is not touched. See
   * `updateEndpoint`.
   */
  update(changes: EndpointChanges): Promise<void> {
    return this.#operate('updateEndpoint', changes, () => updateEndpoint(this.#core, this.#entry, changes));
  }

  /** Takes the endpoint out of its sandbox; its addresses stay its own. @throws FORBIDDEN when not joined to it */
  leave(sandbox: Sandbox, waits: Waits = {}): Promise<void> {
    return this.#operate('leave', waits, async () =>
      leaveSandbox(this.#core, this.#entry, idOf(this.#core, sandbox), waits.signal),
    );
  }

  /**
   * Deletes the endpoint and gives its addresses back.
   * @throws FORBIDDEN while joined, unless `force`; NOT_FOUND when it is gone
   */
  delete(options: DeleteEndpointOptions = {}): Promise<void> {
    return this.#operate('deleteEndpoint', options, () => deleteEndpoint(this.#core, this.#entry, options));
  }

  /** What another host has is shown here, and changed there. */
  #operate<T>(name: string, waits: Waits, act: () => Promise<T>): Promise<T> {
    const check = async () => {
      const { host, record } = this.#entry;
      if (host === undefined) return act();
      throw new LibnetworkError('FORBIDDEN', `endpoint ${record.name} is on host ${host}: change it there`, {
        holder: `host ${host}`,
      });
    };
    return this.#core.operate(name, check, waits);
  }
}

function idOf(core: Core, sandbox: Sandbox): SandboxId {
  if (Sandbox.isOf(core, sandbox)) return sandbox.id;
  throw invalid('sandbox', sandbox, 'must be a sandbox of this controller');
}

/** An endpoint's place in the tables: its record of now. */
export class EndpointEntry {
  record: EndpointRecord;
  readonly network: NetworkEntry;
  readonly handle: Endpoint;
  /** The id of the host that has it; `undefined` for this one. */
  readonly host: string | undefined;
  /** An operation of this process is making it now. */
  making = false;

  constructor(core: Core, network: NetworkEntry, record: EndpointRecord, host?: string) {
    this.record = record;
    this.network = network;
    this.host = host;
    this.handle = new Endpoint(core, this);
  }
}

export function addEndpoint(core: Core, network: NetworkEntry, record: EndpointRecord): EndpointEntry {
  const entry = new EndpointEntry(core, network, record);
  core.endpoints.set(record.id, entry);
  network.endpoints.set(record.name, entry);
  return entry;
}

function removeEndpoint(core: Core, entry: EndpointEntry): void {
  core.endpoints.delete(entry.record.id);
  const { endpoints } = entry.network;
  if (endpoints.get(entry.record.name) === entry) endpoints.delete(entry.record.name);
  core.names.removeEndpoint(entry.record.id);
  core.services.hide(entry.record.id);
  core.globals?.endpointGone(entry.network);
}

export async function createEndpoint(
  core: Core,
  network: NetworkEntry,
  options: EndpointOptions,
  signal: AbortSignal | undefined,
): Promise<Endpoint> {
  const parsed = parseOptions('endpoint', options);
  checkNetwork(core, network);
  checkAddresses(network.record, parsed);
  if (network.endpoints.has(parsed.name)) {
    throw new LibnetworkError(
      'ALREADY_EXISTS',
      `endpoint with name ${parsed.name} already exists in network ${network.record.name}`,
      {
        field: 'name',
        value: parsed.name,
        holder: `endpoint ${network.endpoints.get(parsed.name)?.record.id}`,
      },
    );
  }
  throwIfAborted(signal);
  const driver = core.driver(network.record.driver);
  checkLimits(driver, parsed.limits);
  const { ipv4: wanted4, ipv6: wanted6, ...rest } = withMac(core, network, parsed);
  const record: EndpointRecord = {
    schema: SCHEMA_VERSION,
    kind: 'endpoint',
    state: 'creating',
    id: newId<EndpointId>(),
    networkId: network.record.id,
    createdAt: new Date().toISOString(),
    ...rest,
  };
  // In the table from here on: the name is taken, and the network can't be deleted meanwhile.
  const entry = addEndpoint(core, network, record);
  entry.making = true;
  return allOrNothing(async (undo) => {
    undo.push('forget the endpoint', async () => removeEndpoint(core, entry));
    await core.globals?.takePart(network);
    const holder = { kind: 'endpoint', name: record.name, macAddress: record.macAddress } as const;
    const held = driver.capability.usesIpam
      ? await requestAddresses(core, network, holder, { ipv4: wanted4, ipv6: wanted6 }, undo, signal)
      : {};
    const service = record.service && (await core.services.claim(entry, record.service));
    undo.push('give the addresses of its service back', () => core.services.release(entry));
    const asked: EndpointRecord = { ...record, ...held, service };
    const place = { network: driverNetwork(network.record), endpoint: driverEndpoint(asked) };
    const decision = driver.decideEndpoint?.(place);
    const planned: EndpointRecord = { ...asked, macAddress: decision?.macAddress ?? asked.macAddress };
    throwIfAborted(signal);
    undo.push('erase the record', () => core.erase(planned));
    if (driver.createEndpoint || core.globals?.shares(network.record))
      await createInDriver(core, driver, entry, planned, undo, signal);
    else await core.save(entry, { ...planned, state: 'ready' });
    await core.services.keep(entry);
    entry.making = false;
    core.events.emit('endpoint:create', {
      networkId: record.networkId,
      endpointId: record.id,
      name: record.name,
    });
    return entry.handle;
  });
}

/** For what others make or are told, too: recorded before, and again when it is there. */
async function createInDriver(
  core: Core,
  driver: Driver,
  entry: EndpointEntry,
  planned: EndpointRecord,
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<void> {
  await core.save(entry, planned);
  undo.push('delete the endpoint in its driver', async () => driver.deleteEndpoint?.(placeOf(entry)));
  const decision = await driver.createEndpoint?.(placeOf(entry), { signal });
  throwIfAborted(signal);
  await core.save(entry, {
    ...planned,
    ...addressesOf(planned, decision),
    state: 'ready',
    macAddress: decision?.macAddress ?? planned.macAddress,
  });
}

function checkNetwork(core: Core, network: NetworkEntry): void {
  const { id, name, state, configOnly } = network.record;
  if (configOnly)
    throw new LibnetworkError('FORBIDDEN', `cannot create endpoint on configuration-only network ${name}`);
  if (core.networks.get(id) === network && state === 'ready') return;
  throw new LibnetworkError(
    'NOT_FOUND',
    `network ${name} (${id.slice(0, 12)}) does not exist or is being deleted`,
  );
}

async function deleteEndpoint(
  core: Core,
  entry: EndpointEntry,
  options: DeleteEndpointOptions,
): Promise<void> {
  const { force = false, signal } = options;
  // A deletion that failed half-way may be tried again without force: it was allowed the first time.
  if (entry.record.join && (force || entry.record.state === 'deleting'))
    return leaveAndDelete(core, entry, force, signal);
  await core.locks.with('endpoint', entry.record.id, signal, async () => {
    const { record } = entry;
    const label = `endpoint ${record.name} (${record.id.slice(0, 12)})`;
    if (core.endpoints.get(record.id) !== entry || record.state === 'creating') {
      throw new LibnetworkError('NOT_FOUND', `${label} does not exist`);
    }
    if (record.join) {
      throw new LibnetworkError(
        'FORBIDDEN',
        `${label} is joined to a sandbox: leave first, or delete with force`,
        { holder: `sandbox ${record.join.sandboxId}` },
      );
    }
    await core.save(entry, { ...record, state: 'deleting' });
    await finishEndpointDeletion(core, entry, force, signal);
  });
}

/** Takes an endpoint out of its sandbox, if it is in one, and deletes it; the sandbox gets another way out at need. */
export async function leaveAndDelete(
  core: Core,
  entry: EndpointEntry,
  force: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sandboxId = entry.record.join?.sandboxId;
  if (sandboxId === undefined) return deleteJoinedEndpoint(core, entry, undefined, force, signal);
  const sandbox = core.sandboxes.get(sandboxId);
  await core.locks.with('sandbox', sandboxId, signal, async () => {
    await deleteJoinedEndpoint(core, entry, sandbox, force, signal);
    if (sandbox) await settleAfterLeave(core, sandbox);
  });
}

/** Takes an endpoint out of its sandbox and deletes it, as one operation. The sandbox's lock is held. */
export async function deleteJoinedEndpoint(
  core: Core,
  entry: EndpointEntry,
  sandbox: SandboxEntry | undefined,
  force: boolean,
  signal?: AbortSignal,
): Promise<void> {
  await core.locks.with('endpoint', entry.record.id, signal, async () => {
    await core.save(entry, { ...entry.record, state: 'deleting' });
    try {
      await detach(core, entry, sandbox, { force, signal });
      await finishEndpointDeletion(core, entry, force, signal);
    } catch (error) {
      // Still the sandbox's, so that deleting it again finds it.
      if (core.endpoints.get(entry.record.id) === entry) sandbox?.endpoints.set(entry.record.id, entry);
      throw error;
    }
  });
}

/** From `deleting` to gone; may be repeated after any failure. With `force` a failing driver does not stop it. */
export async function finishEndpointDeletion(
  core: Core,
  entry: EndpointEntry,
  force: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const { record, network } = entry;
  const driver = core.driver(network.record.driver);
  try {
    await driver.deleteEndpoint?.(placeOf(entry), { signal });
  } catch (error) {
    if (!force || signal?.aborted) throw error;
    core.logger.warn(`deleting endpoint ${record.name} in its driver failed; going on by force`, { error });
  }
  await core.erase(record);
  removeEndpoint(core, entry);
  core.events.emit('endpoint:delete', {
    networkId: record.networkId,
    endpointId: record.id,
    name: record.name,
  });
  if (!driver.capability.usesIpam) return core.services.release(entry);
  const ipam = core.ipam(network.record.ipam.driver);
  await allOfThem(`release the addresses of ${record.name}`, [
    () => core.services.release(entry),
    ...FAMILIES.flatMap((family) => {
      const held = record[family];
      return held?.poolId ? [() => ipam.releaseAddress(held.poolId, plain(held.address))] : [];
    }),
  ]);
}
