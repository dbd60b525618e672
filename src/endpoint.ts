import type { Core } from './core.ts';
import type { EndpointLimits, PortBinding } from './driverapi/driver.ts';
import { type DeleteEndpointOptions, deleteEndpoint } from './endpointdeletion.ts';
import type { JoinOptions } from './endpointoptions.ts';
import { type EndpointChanges, updateEndpoint } from './endpointupdate.ts';
import { invalid, LibnetworkError } from './errors.ts';
import { frozenCopy } from './frozen.ts';
import type { EndpointId, NetworkId, SandboxId } from './ids.ts';
import { joinSandbox } from './join.ts';
import { leaveSandbox } from './leave.ts';
import type { NetworkEntry } from './network.ts';
import type { Waits } from './options.ts';
import type { EndpointRecord, ExposedPort } from './records.ts';
import { Sandbox } from './sandbox.ts';
import { type EndpointService, publicService } from './serviceoptions.ts';

/** A sandbox's place in a network. Made by `network.createEndpoint`. */
export class Endpoint {
  readonly #core: Core;
  readonly #entry: EndpointEntry;

  /** @internal */
  constructor(core: Core, entry: EndpointEntry) {
    this.#core = core;
    this.#entry = entry;
  }

  /** 64 hex digits. */
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
  /** `fd00:9::5/64`; `undefined` where the family is off. */
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
  /** Where its default routes lead, while joined. */
  get gateways(): { readonly ipv4?: string | undefined; readonly ipv6?: string | undefined } {
    const { gateway4: ipv4, gateway6: ipv6 } = this.#entry.record.join ?? {};
    return Object.freeze({ ipv4, ipv6 });
  }
  /** The endpoint with the highest one gives its sandbox's default route. */
  get gatewayPriority(): number {
    return this.#entry.record.join?.priority ?? this.#entry.record.gatewayPriority;
  }
  /** The driver's, as they were given. */
  get options(): Readonly<Record<string, string | number | boolean>> {
    return Object.freeze({ ...this.#entry.record.options });
  }
  /** What policies know it by. */
  get labels(): Readonly<Record<string, string>> {
    return Object.freeze({ ...this.#entry.record.labels });
  }
  /** Ports that the container listens at, as they were given. */
  get exposedPorts(): readonly ExposedPort[] {
    return frozenCopy(this.#entry.record.exposedPorts ?? []);
  }
  /** Link-local addresses beside those of the network, as `169.254.7.7/16`. */
  get linkLocal(): readonly string[] {
    return Object.freeze([...(this.#entry.record.linkLocal ?? [])]);
  }
  /** What is published now, with the host's ports. Empty while not joined. */
  get ports(): readonly PortBinding[] {
    return frozenCopy(this.#entry.record.join?.bindings ?? []);
  }

  /**
   * Puts the endpoint into a sandbox: its link, addresses, routes, names and published ports.
   * @throws INVALID_ARGUMENT for a sandbox of another controller; FORBIDDEN when it is joined already; CONFLICT when a
   * port is taken, naming its holder
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
   * Changes its published ports, its limits and its labels in place, or drains it: all of it or nothing. What stays
   * is not touched.
   * @throws INVALID_ARGUMENT for what can't be changed in place; CONFLICT when a port is taken, naming its holder;
   * NOT_FOUND when the endpoint is gone
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

export function removeEndpoint(core: Core, entry: EndpointEntry): void {
  core.endpoints.delete(entry.record.id);
  const { endpoints } = entry.network;
  if (endpoints.get(entry.record.name) === entry) endpoints.delete(entry.record.name);
  core.names.removeEndpoint(entry.record.id);
  core.services.hide(entry.record.id);
  core.globals?.endpointGone(entry.network);
}
