import { abortable } from './abortable.ts';
import { type ClusterHost, clusterHosts } from './clusterhosts.ts';
import { Core, type CoreParts } from './core.ts';
import type { NamedAddress } from './driverapi/driver.ts';
import { driverNetwork } from './driverviews.ts';
import type { Endpoint } from './endpoint.ts';
import type { DeleteEndpointOptions } from './endpointdeletion.ts';
import { invalid, LibnetworkError, throwIfAborted } from './errors.ts';
import type { EventName, Listener } from './events.ts';
import { deleteUnknown } from './forceddeletion.ts';
import { deepFreeze } from './frozen.ts';
import { followHostServers } from './hostservers.ts';
import type { EndpointId, NetworkId, SandboxId } from './ids.ts';
import { type Inspection, inspect } from './inspect.ts';
import type { Network } from './network.ts';
import { createNetwork } from './networkcreation.ts';
import type { NetworkOptions } from './networkoptions.ts';
import { parseOptions, type RotateOptions, type Waits } from './options.ts';
import type { Firewall, FirewallEngine } from './osl/firewall/firewall.ts';
import { ensurePredefined } from './predefined.ts';
import { type ReconcileOptions, type ReconcileReport, reconcile, reconcileAddresses } from './reconcile.ts';
import { loadRecords, release, settle } from './restore.ts';
import { hookCall, listenForHooks, type RuntimeHookCall } from './runtimehook.ts';
import type { Sandbox } from './sandbox.ts';
import { createSandbox } from './sandboxcreation.ts';
import { closeSandbox } from './sandboxopening.ts';
import type { SandboxOptions } from './sandboxoptions.ts';
import type { OperationCounters } from './telemetry.ts';
import { allOfThem } from './undo.ts';

/** What the controller works with, and how each is closed with it. */
export interface ControllerParts extends CoreParts {
  /** Ends what was opened for this controller alone, in order. */
  readonly close: readonly (() => Promise<void>)[];
}

/** What a start goes by. */
export interface StartOptions {
  /** Containers that outlived the last controller; `'all'`: those whose namespaces are there. */
  readonly activeSandboxes: readonly string[] | 'all';
  /** Makes the networks that every Docker host has. */
  readonly predefined: boolean;
  /** Listens for hooks of container runtimes. */
  readonly runtimeHook: boolean;
}

/** Owns drivers, IPAM, the stores and every object. Opened by `NetworkController.open` of the package's root. */
export class NetworkController implements AsyncDisposable {
  readonly #core: Core;
  readonly #close: ControllerParts['close'];
  #stopFollowing: (() => void) | undefined;
  #stopListening: (() => Promise<void>) | undefined;
  #closing: Promise<void> | undefined;

  protected constructor(parts: ControllerParts) {
    this.#core = new Core(parts);
    this.#close = parts.close;
  }

  /** Reads the records, settles what the last controller left half done, takes up what lives, and reconciles. */
  protected async start(
    { activeSandboxes, predefined, runtimeHook }: StartOptions,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    throwIfAborted(signal);
    await loadRecords(this.#core);
    await this.#core.globals?.start(signal);
    await reconcileAddresses(this.#core, { signal });
    throwIfAborted(signal);
    const { sandboxesByContainer } = this.#core;
    await settle(this.#core, activeSandboxes === 'all' ? [...sandboxesByContainer.keys()] : activeSandboxes);
    this.#core.services.start();
    await reconcile(this.#core, { signal }, { addresses: true });
    throwIfAborted(signal);
    this.#core.globals?.run();
    if (predefined) await ensurePredefined(this.#core);
    throwIfAborted(signal);
    this.#stopFollowing = followHostServers(this.#core);
    if (runtimeHook)
      this.#stopListening = await listenForHooks(this.#core, (id, key) => this.#setKey(id, key));
  }

  async #setKey(containerId: string, key: string): Promise<void> {
    const sandbox = this.sandbox(containerId);
    if (!sandbox) throw new LibnetworkError('NOT_FOUND', `failed to get sandbox for ${containerId}`);
    await sandbox.setKey(key);
  }

  /** 64 hex digits; the same for every controller on this run directory. */
  get id(): string {
    return this.#core.id;
  }

  /** What tells this controller's objects from others'. */
  get instance(): string {
    return this.#core.instance;
  }

  /**
   * Makes a network: takes its address pools, then what the driver needs in the kernel. All or nothing.
   * @throws INVALID_ARGUMENT naming the field, ALREADY_EXISTS (name), NOT_FOUND (driver), FORBIDDEN or
   * CONFLICT (a subnet or a bridge that overlaps another one)
   */
  createNetwork(options: NetworkOptions, waits: Waits = {}): Promise<Network> {
    return this.#core.operate('createNetwork', () => createNetwork(this.#core, options, waits.signal), waits);
  }

  /**
   * Makes a sandbox: its namespace, name server and files. All or nothing.
   * @throws INVALID_ARGUMENT naming the field, ALREADY_EXISTS (container), FORBIDDEN (privileges)
   */
  createSandbox(options: SandboxOptions, waits: Waits = {}): Promise<Sandbox> {
    return this.#core.operate('createSandbox', () => createSandbox(this.#core, options, waits.signal), waits);
  }

  /** All networks, in the order they were made; also those whose deletion failed, so that it can be tried again. */
  networks(): readonly Network[] {
    const made = [...this.#core.networks.values()].filter((entry) => entry.record.state !== 'creating');
    return Object.freeze(made.map((entry) => entry.handle));
  }

  /** A network by id or name. */
  network(idOrName: string): Network | undefined {
    const { networks, networksByName } = this.#core;
    const entry = networks.get(idOrName as NetworkId) ?? networksByName.get(idOrName);
    return entry?.record.state === 'creating' ? undefined : entry?.handle;
  }

  /** An endpoint by id, of whichever network. */
  endpoint(id: string): Endpoint | undefined {
    const entry = this.#core.endpoints.get(id as EndpointId);
    return entry?.record.state === 'creating' ? undefined : entry?.handle;
  }

  /**
   * Deletes an endpoint by its id. With `force` whatever there is of it goes, also where its record, its sandbox's
   * namespace or its link is missing, or all of them.
   * @throws NOT_FOUND without `force`, for an id that no endpoint has; FORBIDDEN while joined, unless `force`
   */
  deleteEndpoint(id: string, options: DeleteEndpointOptions = {}): Promise<void> {
    const known = this.#core.endpoints.get(id as EndpointId);
    if (known) return known.handle.delete(options);
    return this.#core.operate('deleteEndpoint', () => deleteUnknown(this.#core, id, options), options);
  }

  /** All sandboxes, in the order they were made. */
  sandboxes(): readonly Sandbox[] {
    const made = [...this.#core.sandboxes.values()].filter((entry) => entry.record.state !== 'creating');
    return Object.freeze(made.map((entry) => entry.handle));
  }

  /** A sandbox by id or container id. */
  sandbox(idOrContainerId: string): Sandbox | undefined {
    const { sandboxes, sandboxesByContainer } = this.#core;
    const entry = sandboxes.get(idOrContainerId as SandboxId) ?? sandboxesByContainer.get(idOrContainerId);
    return entry?.record.state === 'creating' ? undefined : entry?.handle;
  }

  /**
   * Compares kernel and allocators with the records and repairs what differs. Safe at any time: it waits for the
   * operations under way, and later ones wait for it; but nobody waits for a plugin, or for a driver from outside, on
   * account of another. A driver from outside that is about an operation is left for the next time.
   */
  async reconcile(options: ReconcileOptions = {}): Promise<ReconcileReport> {
    const { signal } = parseOptions('waits', options);
    const { dryRun } = parseOptions('reconcile', options);
    const act = () => reconcile(this.#core, { dryRun, signal });
    return this.#core.closed
      ? this.#core.operate('reconcile', act)
      : this.#core.telemetry.measure('reconcile', act);
  }

  /** Has a network's policy let an allowed name's addresses pass, before a client learns of them. */
  protected async allowAddresses(
    networkId: string,
    name: string,
    addresses: readonly NamedAddress[],
  ): Promise<void> {
    const record = this.#core.networks.get(networkId as NetworkId)?.record;
    if (record?.policy === undefined || record.policy.length === 0) return;
    await this.#core.driver(record.driver).allowAddresses?.(driverNetwork(record), name, addresses);
  }

  /** How a container runtime's configuration names the hook that sets a sandbox's key. See `runtimeHook`. */
  runtimeHook(containerId: string): RuntimeHookCall {
    return hookCall(this.#core, containerId);
  }

  /** What it is made of, by name. */
  get parts(): {
    readonly drivers: readonly string[];
    readonly ipams: readonly string[];
    readonly firewall: FirewallEngine;
    readonly runDir: string;
  } {
    const { drivers, ipams, firewall, runDir } = this.#core;
    return deepFreeze({
      drivers: [...drivers.keys()],
      ipams: [...ipams.keys()],
      firewall: firewall.engine,
      runDir,
    });
  }

  /** What the firewall should hold for this controller, and what a change of it would do. */
  get firewall(): Pick<Firewall, 'engine' | 'intents' | 'preview'> {
    return this.#core.firewall;
  }

  /** The whole state as data, frozen. It costs as much as there is. */
  inspect(): Inspection {
    return inspect(this.#core);
  }

  /**
   * Has the hosts of the cluster agree on a new key for their encrypted networks, and waits until all of them use it;
   * traffic goes on. They do so by themselves every `cluster.rotateKeysMs`. A call that failed leaves the rotation
   * under way: the next one of this controller goes on with the same key, unless all hosts use it by then.
   * @throws NOT_FOUND where no network was ever encrypted; TIMEOUT naming the hosts that it waits for; UNAVAILABLE
   * when the global store can't be asked; INVALID_ARGUMENT
   */
  rotateKeys(options: RotateOptions = {}): Promise<void> {
    return this.#core.operate(
      'rotateKeys',
      async () => {
        const { timeoutMs } = parseOptions('rotateKeys', options);
        if (this.#core.globals) return this.#core.globals.rotateKeys({ timeoutMs, signal: options.signal });
        throw new LibnetworkError(
          'NOT_FOUND',
          'only hosts with a global store share keys (`globalStore`, `dnet daemon --cluster-store`)',
        );
      },
      options,
    );
  }

  /**
   * The hosts of the cluster, by id: those that say that they are there, this one, and those that are gone but still
   * have endpoints on a network that is known here. Without a global store there are none.
   * @throws UNAVAILABLE when the global store can't be asked
   */
  async hosts(waits: Waits = {}): Promise<readonly ClusterHost[]> {
    const { signal } = parseOptions('waits', waits);
    const { globals, networks } = this.#core;
    return globals ? clusterHosts(globals.scope, networks.keys(), signal) : [];
  }

  /** How often each operation ran, how it ended and how long it took, by its name. */
  get counters(): Readonly<Record<string, OperationCounters>> {
    return this.#core.telemetry.counters;
  }

  /** @throws INVALID_ARGUMENT for a listener that is no function */
  on<E extends EventName>(event: E, listener: Listener<E>): this {
    if (typeof listener !== 'function') throw invalid('listener', listener, 'must be a function');
    this.#core.events.on(event, listener);
    return this;
  }

  off<E extends EventName>(event: E, listener: Listener<E>): this {
    this.#core.events.off(event, listener);
    return this;
  }

  /**
   * Ends this controller after the operations under way. Containers keep their namespaces, links, addresses and
   * published ports; the next controller takes them up by `activeSandboxes`. Closing twice is fine. A signal ends the
   * wait, and not the closing.
   */
  async close(waits: Waits = {}): Promise<void> {
    const { signal } = parseOptions('waits', waits);
    this.#closing ??= this.#shutDown();
    await abortable(this.#closing, signal);
  }

  async #shutDown(): Promise<void> {
    const core = this.#core;
    this.#stopFollowing?.();
    await core.shut();
    await allOfThem('close the controller', [
      async () => this.#stopListening?.(),
      async () => core.globals?.end(),
      () => release(core, (entry) => closeSandbox(core, entry, 'release')),
      ...[...core.drivers.values()].map((driver) => async () => driver.close?.()),
      ...this.#close,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
