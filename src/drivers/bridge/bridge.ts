import type {
  Driver,
  DriverEndpoint,
  DriverFactory,
  DriverHost,
  DriverNetwork,
  DriverReport,
  DriverState,
  DriverWaits,
  EndpointDecision,
  EndpointPlace,
  JoinRequest,
  JoinResult,
  NamedAddress,
  PortBinding,
} from '../../driverapi/driver.ts';
import { markOf } from '../../driverapi/mark.ts';
import { readRecorded } from '../../driverapi/recorded.ts';
import { invalid, LibnetworkError, throwIfAborted } from '../../errors.ts';
import { type EndpointId, newMacAddress, vethName } from '../../ids.ts';
import { FAMILIES } from '../../ip.ts';
import type { Firewall, FirewallChange } from '../../osl/firewall/firewall.ts';
import { attach, bridgeFull, detach, hairpin, MAX_BRIDGE_PORTS } from './attach.ts';
import { checkBridged, checkForeignBridged, showBridged } from './bridged.ts';
import { checkChange } from './change.ts';
import { type BridgeConfig, bridgeNameOf, parseConfig } from './config.ts';
import { type BridgeDefaults, parseMark } from './defaults.ts';
import { checkAdoptable, type Devices, deleteBridge, ensureBridge, isOurs } from './device.ts';
import { flowsOfEndpoint, flush } from './flows.ts';
import { ensureForwarding } from './forwarding.ts';
import { addressOf, networkIntent } from './intents.ts';
import { removeLimits, setLimits } from './limits.ts';
import { type Joined, linkChanges, linkIntents, linksOf, relinked } from './links.ts';
import { withMtu } from './mtu.ts';
import { type BridgeNetwork, Networks } from './networks.ts';
import { Policies } from './policies.ts';
import { Ports } from './ports.ts';
import { reconcileBridges } from './reconcile.ts';
import { checkPorts } from './requests.ts';

/**
 * The `bridge` driver: each network is a Linux bridge on the host, each endpoint a veth pair between it and its
 * sandbox. Its options are Docker's (`labels.bridge`). On the host it turns on forwarding where a network needs it
 * (`ensureForwarding`); everything else it makes carries its stamp.
 */
export const bridgeDriver: DriverFactory = (host) => new BridgeDriver(host, {});

/** The same with other defaults. Its factory throws INVALID_ARGUMENT for a mark that is none. */
export const bridgeDriverWith =
  (defaults: BridgeDefaults): DriverFactory =>
  (host) =>
    new BridgeDriver(host, defaults);

class BridgeDriver implements Driver {
  readonly name = 'bridge';
  readonly capability = {
    dataScope: 'local',
    connectivityScope: 'local',
    usesIpam: true,
    resolvesNames: true,
    enforcesPolicy: true,
  } as const;
  readonly #defaults: BridgeDefaults;
  readonly #devices: Devices;
  readonly #firewall: Firewall;
  readonly #ports: Ports;
  readonly #policies: Policies;
  readonly #networks = new Networks();
  /** The endpoints whose own published ports lead back to them. */
  readonly #hairpins = new Set<EndpointId>();

  constructor({ osl, firewall, instance, logger }: DriverHost, defaults: BridgeDefaults) {
    parseMark('bridge.acceptFwmark', defaults.acceptFwmark ?? '');
    this.#defaults = defaults;
    this.#devices = { host: osl.host, mark: markOf(instance), logger, engine: firewall.engine };
    this.#firewall = firewall;
    this.#ports = new Ports(osl.host, firewall, logger);
    this.#policies = new Policies(firewall);
  }

  async validateNetwork(network: DriverNetwork): Promise<void> {
    const config = this.#parse(network);
    this.#networks.checkConflicts(config);
    await checkBridged(this.#devices, config);
    const link = await this.#devices.host.link(config.bridge);
    if (link !== undefined && !isOurs(this.#devices, network, link))
      await checkAdoptable(this.#devices, config, link);
  }

  async createNetwork(network: DriverNetwork, { signal }: DriverWaits = {}): Promise<void> {
    const parsed = this.#parse(network);
    checkWhole(parsed);
    this.#networks.checkConflicts(parsed);
    throwIfAborted(signal);
    const known = this.#networks.get(network.id);
    const joined = known?.joined ?? new Map();
    // Known from here on, so that no second network takes its name or subnet while this one waits.
    this.#networks.set({ config: parsed, joined });
    try {
      const config = await withMtu(this.#devices.host, parsed);
      this.#networks.set({ config, joined });
      await ensureForwarding(this.#devices.host, this.#devices.logger, config);
      await checkBridged(this.#devices, config);
      await ensureBridge(this.#devices, config);
      const policy = this.#policies.changes(undefined, config);
      await this.#firewall.apply([{ set: networkIntent(config) }, ...policy]);
    } catch (error) {
      if (known !== undefined) throw error;
      await this.#undoCreate(network, error);
    }
  }

  async updateNetwork(network: DriverNetwork, { signal }: DriverWaits = {}): Promise<void> {
    const { config: before, joined } = this.#network(network);
    const config = this.#changed(before, network);
    await checkBridged(this.#devices, config);
    throwIfAborted(signal);
    const link = await this.#devices.host.link(config.bridge);
    const shown = showBridged(this.#devices, config);
    if (link !== undefined && !isOurs(this.#devices, network, link))
      await checkForeignBridged(this.#devices, config);
    else if (shown.length > 0) await this.#devices.host.apply(shown);
    const policy = this.#policies.changes(before, config);
    const links = relinked(before, config, joined);
    await this.#firewall.apply([{ set: networkIntent(config) }, ...policy, ...links]);
    this.#networks.set({ config, joined });
  }

  async previewNetwork(network: DriverNetwork): Promise<string> {
    const { config: before, joined } = this.#network(network);
    const config = this.#changed(before, network);
    await checkBridged(this.#devices, config);
    const policy = this.#policies.preview(before, config);
    const links = relinked(before, config, joined);
    return this.#firewall.preview([{ set: networkIntent(config) }, ...policy, ...links]);
  }

  #parse(network: DriverNetwork): BridgeConfig {
    return parseConfig(network, this.#defaults);
  }

  #changed(before: BridgeConfig, network: DriverNetwork): BridgeConfig {
    const config = { ...this.#parse(network), mtu: before.mtu };
    checkChange(before, config, network.options);
    return config;
  }

  async relabel({ network, endpoint }: EndpointPlace): Promise<void> {
    await this.#policies.enter(this.#config(network), endpoint);
  }

  async allowAddresses(
    network: DriverNetwork,
    name: string,
    addresses: readonly NamedAddress[],
  ): Promise<void> {
    await this.#policies.allow(this.#config(network), name, addresses);
  }

  async #undoCreate(network: DriverNetwork, error: unknown): Promise<never> {
    try {
      await this.deleteNetwork(network);
    } catch (failure) {
      const { code, message } = LibnetworkError.is(error)
        ? error
        : { code: 'INTERNAL' as const, message: String(error) };
      throw new LibnetworkError(code, message, {
        cause: error,
        notUndone: [`delete the bridge: ${String(failure)}`],
      });
    }
    throw error;
  }

  async deleteNetwork(network: DriverNetwork): Promise<void> {
    const endpoints = [...(this.#networks.get(network.id)?.joined.keys() ?? [])];
    for (const id of endpoints) this.#ports.release(id);
    const removals: FirewallChange[] = endpoints.map((id) => ({ remove: { kind: 'endpoint', id } }));
    removals.push({ remove: { kind: 'network', id: network.id } });
    const known = this.#networks.get(network.id);
    if (known !== undefined) {
      removals.push(...this.#policies.removal(known.config));
      removals.push(
        ...linkIntents(known.config, known.joined).map(({ kind, id }) => ({ remove: { kind, id } })),
      );
    }
    // Both wait for the kernel's grace periods: side by side they cost one.
    const outcomes = await Promise.allSettled([
      this.#firewall.apply(removals),
      deleteBridge(this.#devices, { id: network.id, bridge: bridgeNameOf(network) }),
    ]);
    const failures = failuresOf(outcomes);
    throwAll(`delete network ${network.name}`, failures);
    this.#networks.delete(network.id);
    this.#policies.forget(network.id);
  }

  checkEndpoint({ network, endpoint }: EndpointPlace): void {
    const config = this.#config(network);
    checkPorts(endpoint, (family) => config[family] !== undefined);
    linksOf(endpoint);
  }

  decideEndpoint({ network, endpoint }: EndpointPlace): EndpointDecision {
    this.#config(network);
    checkPorts(endpoint, (family) => addressOf(endpoint, family) !== undefined);
    linksOf(endpoint);
    return endpoint.macAddress === undefined ? { macAddress: newMacAddress() } : {};
  }

  async join(request: JoinRequest, { signal }: DriverWaits = {}): Promise<JoinResult> {
    const { config, joined } = this.#network(request.network);
    throwIfAborted(signal);
    const { id } = request.endpoint;
    if (joined.size >= MAX_BRIDGE_PORTS && !joined.has(id)) throw bridgeFull(config);
    joined.set(id, request.endpoint);
    try {
      await this.#policies.enter(config, request.endpoint);
      await this.#link(config, request.endpoint, joined);
      await attach(this.#devices, config, request);
      if (request.endpoint.ports.length > 0) this.#hairpins.add(id);
      if (request.endpoint.limits !== undefined) await setLimits(this.#devices, request.endpoint);
    } catch (error) {
      joined.delete(id);
      const undone = await Promise.allSettled([
        this.#link(config, request.endpoint, joined),
        this.#policies.leave(config, id),
      ]);
      for (const failure of failuresOf(undone))
        this.#devices.logger.warn(
          `rules of endpoint ${request.endpoint.name} are left until the next reconcile`,
          { error: failure },
        );
      throw error;
    }
    return { link: { kind: 'in-place' }, gateway4: config.ipv4?.gateway, gateway6: config.ipv6?.gateway };
  }

  async leave({ network, endpoint }: EndpointPlace): Promise<void> {
    const published = this.#ports.bindings(endpoint.id).length > 0 || endpoint.bindings.length > 0;
    this.#ports.release(endpoint.id);
    const outcomes = await Promise.allSettled([
      published ? this.#firewall.apply([{ remove: { kind: 'endpoint', id: endpoint.id } }]) : undefined,
      detach(this.#devices, endpoint.id),
      removeLimits(this.#devices, endpoint),
    ]);
    const failures = failuresOf(outcomes);
    if (failures.length === 0)
      await this.#policies.leave(this.#networks.get(network.id)?.config, endpoint.id);
    if (published) await flush(this.#devices.host, this.#devices.logger, flowsOfEndpoint(endpoint));
    throwAll(`detach endpoint ${endpoint.name}`, failures);
    const known = this.#networks.get(network.id);
    this.#hairpins.delete(endpoint.id);
    known?.joined.delete(endpoint.id);
    // Also where it has left before, as that may have failed here.
    if (known) await this.#link(known.config, endpoint, known.joined);
  }

  async publish(
    { network, endpoint }: EndpointPlace,
    families: { readonly ipv4: boolean; readonly ipv6: boolean },
    { signal }: DriverWaits = {},
  ): Promise<readonly PortBinding[]> {
    throwIfAborted(signal);
    const { config, joined } = this.#network(network);
    if (joined.has(endpoint.id)) await this.#ensureHairpin(endpoint);
    return this.#ports.publish(config, endpoint, families);
  }

  /** Lets linked endpoints reach each other as one comes or goes. */
  async #link(config: BridgeConfig, endpoint: DriverEndpoint, joined: Joined): Promise<void> {
    const changes = linkChanges(config, endpoint, joined);
    if (changes.length > 0) await this.#firewall.apply(changes);
  }

  async limit({ network, endpoint }: EndpointPlace): Promise<void> {
    this.#config(network);
    await setLimits(this.#devices, endpoint);
  }

  /** An endpoint that joined without ports may get some later. */
  async #ensureHairpin({ id, ports }: DriverEndpoint): Promise<void> {
    if (ports.length === 0 || this.#hairpins.has(id)) return;
    await this.#devices.host.apply([hairpin(vethName(id))]);
    this.#hairpins.add(id);
  }

  async endpointInfo({ network, endpoint }: EndpointPlace): Promise<Readonly<Record<string, unknown>>> {
    return {
      'com.docker.network.endpoint.macaddress': endpoint.macAddress,
      'com.docker.network.portmap': this.#ports.bindings(endpoint.id),
      bridge: this.#config(network).bridge,
      hostInterface: vethName(endpoint.id),
    };
  }

  async restore(state: DriverState): Promise<void> {
    const parse = (network: DriverNetwork) => this.#parse(network);
    for (const parsed of readRecorded(state.networks, parse, this.#devices.logger).values()) {
      const config = await withMtu(this.#devices.host, parsed);
      this.#networks.set({ config, joined: new Map() });
    }
    for (const { network, endpoint, joined } of state.endpoints) {
      const known = this.#networks.get(network.id);
      if (known === undefined || !joined) continue;
      known.joined.set(endpoint.id, endpoint);
      this.#policies.note(known.config, endpoint);
      if (endpoint.ports.length > 0) this.#hairpins.add(endpoint.id);
      await this.#ports.follow(known.config, endpoint);
    }
  }

  async reconcile(
    state: DriverState,
    options: DriverWaits & { readonly dryRun?: boolean } = {},
  ): Promise<DriverReport> {
    throwIfAborted(options.signal);
    const networks = state.networks.flatMap((network) => this.#networks.get(network.id)?.config ?? []);
    const parts = {
      devices: this.#devices,
      firewall: this.#firewall,
      ports: this.#ports,
      policies: this.#policies,
    };
    return reconcileBridges(parts, networks, state, options);
  }

  async close(): Promise<void> {
    this.#ports.releaseAll();
  }

  #config(network: DriverNetwork): BridgeConfig {
    return this.#network(network).config;
  }

  #network(network: DriverNetwork): BridgeNetwork {
    const known = this.#networks.get(network.id);
    if (known !== undefined) return known;
    throw new LibnetworkError(
      'NOT_FOUND',
      `the bridge driver has no network ${network.name} (${network.id.slice(0, 12)})`,
      {
        field: 'network',
        value: network.id,
      },
    );
  }
}

/** What may be open while a network is only being checked must be there when it is made. */
function checkWhole(config: BridgeConfig): void {
  if (config.ipv4 === undefined && config.ipv6 === undefined)
    throw invalid('ipam.pools', [], 'a bridge network needs a subnet, IPv4 or IPv6');
  for (const family of FAMILIES) {
    const settings = config[family];
    if (settings === undefined || config.internal || settings.gateway !== undefined) continue;
    throw invalid(
      'ipam.pools.gateway',
      undefined,
      `a bridge network needs an ${family} gateway, unless it is internal`,
    );
  }
}

function failuresOf(outcomes: readonly PromiseSettledResult<unknown>[]): unknown[] {
  return outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
}

/** Teardown goes on past failures and tells all of them. */
function throwAll(what: string, failures: readonly unknown[]): void {
  const [first] = failures;
  if (failures.length === 1) throw first;
  if (failures.length > 1)
    throw new LibnetworkError('INTERNAL', `${what}: ${failures.map(String).join('; ')}`, {
      cause: new AggregateError(failures),
    });
}
