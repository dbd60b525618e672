import type {
  Driver,
  DriverHost,
  DriverNetwork,
  DriverReport,
  DriverState,
  DriverWaits,
  EndpointDecision,
  EndpointPlace,
  JoinedAt,
  JoinRequest,
  JoinResult,
  Logger,
} from '../../driverapi/driver.ts';
import { markOf } from '../../driverapi/mark.ts';
import { readRecorded } from '../../driverapi/recorded.ts';
import { LibnetworkError, throwIfAborted } from '../../errors.ts';
import type { NetworkId } from '../../ids.ts';
import { attach, detach } from './attach.ts';
import { checkPools, gatewayFor, nameOf, parentNameOf, parseConfig, type SublinkConfig } from './config.ts';
import type { SublinkKind } from './kind.ts';
import { checkParent, ensureParent, type KnownParents, type Parents, releaseParent } from './parent.ts';
import { reconcileSublinks } from './reconcile.ts';

/**
 * Networks whose endpoints are links on a parent interface of the host: macvlan and ipvlan. Containers are on the
 * parent's own network, without translation or filtering, so that no port is published. The host itself can't be
 * reached over the parent, and the containers' gateway is one of the user's choice.
 */
export class SublinkDriver implements Driver {
  readonly name: string;
  readonly capability = {
    dataScope: 'local',
    connectivityScope: 'global',
    usesIpam: true,
    resolvesNames: true,
    addressless: true,
  } as const;
  readonly #kind: SublinkKind;
  readonly #parents: Parents;
  readonly #logger: Logger;
  readonly #networks = new Map<NetworkId, SublinkConfig>();

  constructor(kind: SublinkKind, { osl, instance, logger }: DriverHost) {
    this.name = kind.name;
    this.#kind = kind;
    this.#parents = { host: osl.host, mark: markOf(instance) };
    this.#logger = logger;
  }

  async validateNetwork(network: DriverNetwork): Promise<void> {
    const config = parseConfig(this.#kind, network);
    checkPools(network);
    this.#checkSharing(config);
    await checkParent(this.#parents, config, this.#known);
  }

  /** The router of the parent's network is not ours to choose: only one that was named is used. */
  async skipGateways(): Promise<{ readonly ipv4: boolean; readonly ipv6: boolean }> {
    return { ipv4: true, ipv6: true };
  }

  async createNetwork(network: DriverNetwork, { signal }: DriverWaits = {}): Promise<void> {
    const config = parseConfig(this.#kind, network);
    this.#checkSharing(config);
    throwIfAborted(signal);
    const known = this.#networks.has(config.id);
    this.#networks.set(config.id, config);
    try {
      await ensureParent(this.#parents, config, this.#known);
    } catch (error) {
      if (!known) this.#networks.delete(config.id);
      throw error;
    }
  }

  async deleteNetwork(network: DriverNetwork): Promise<void> {
    const parent = parentNameOf(this.#kind, network);
    const others = this.#known(parent).filter((id) => id !== network.id);
    await releaseParent(this.#parents, { id: network.id, parent }, others);
    this.#networks.delete(network.id);
  }

  decideEndpoint({ network, endpoint }: EndpointPlace): EndpointDecision {
    const config = this.#config(network);
    const macAddress = this.#kind.decideMac(endpoint);
    for (const family of ['ipv4', 'ipv6'] as const) gatewayFor(config, endpoint, family);
    if (endpoint.ports.length > 0)
      this.#logger.warn(
        `endpoint ${endpoint.name}: its ports are not published, since containers of a ${this.name} network are reached at their own addresses`,
      );
    return macAddress === undefined ? {} : { macAddress };
  }

  async join(request: JoinRequest, { signal }: DriverWaits = {}): Promise<JoinResult> {
    const config = this.#config(request.network);
    throwIfAborted(signal);
    const gateway4 = gatewayFor(config, request.endpoint, 'ipv4');
    const gateway6 = gatewayFor(config, request.endpoint, 'ipv6');
    await attach(this.#parents, config, request);
    return { link: { kind: 'in-place' }, gateway4, gateway6, disableGatewayService: true };
  }

  async leave(
    { endpoint }: EndpointPlace,
    { at }: DriverWaits & { readonly at?: JoinedAt | undefined } = {},
  ): Promise<void> {
    if (at !== undefined) await detach(this.#parents, endpoint.id, at);
  }

  async endpointInfo({ network, endpoint }: EndpointPlace): Promise<Readonly<Record<string, unknown>>> {
    const { parent, mode } = this.#config(network);
    return { parent, mode: mode.title, 'com.docker.network.endpoint.macaddress': endpoint.macAddress };
  }

  async restore({ networks }: DriverState): Promise<void> {
    const recorded = readRecorded(networks, (network) => parseConfig(this.#kind, network), this.#logger);
    for (const [id, config] of recorded) this.#networks.set(id, config);
  }

  async reconcile(
    state: DriverState,
    { dryRun = false, signal }: DriverWaits & { readonly dryRun?: boolean } = {},
  ): Promise<DriverReport> {
    throwIfAborted(signal);
    const recorded = new Set(state.networks.map(({ id }) => id));
    for (const id of this.#networks.keys()) if (!recorded.has(id)) this.#networks.delete(id);
    const parts = { kind: this.#kind, parents: this.#parents, logger: this.#logger, known: this.#known };
    return reconcileSublinks(parts, [...this.#networks.values()], state, dryRun);
  }

  readonly #known: KnownParents = (parent) =>
    [...this.#networks.values()].filter((config) => config.parent === parent).map(({ id }) => id);

  #config(network: DriverNetwork): SublinkConfig {
    const config = this.#networks.get(network.id);
    if (config !== undefined) return config;
    throw new LibnetworkError('NOT_FOUND', `the ${this.name} driver has no network ${network.name}`, {
      value: network.id,
    });
  }

  /** @throws CONFLICT naming the other network on the parent */
  #checkSharing(config: SublinkConfig): void {
    for (const other of this.#networks.values()) {
      if (other.id === config.id || other.parent !== config.parent) continue;
      if (!config.mode.alone && !other.mode.alone) continue;
      throw new LibnetworkError(
        'CONFLICT',
        `${nameOf(config)} in ${config.mode.title} can't share the parent ${config.parent}: ${nameOf(other)} is on it in ${other.mode.title}; choose another parent`,
        { field: 'parent', value: config.parent, holder: nameOf(other) },
      );
    }
  }
}
