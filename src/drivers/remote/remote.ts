import type * as v from 'valibot';
import type {
  Driver,
  DriverCapability,
  DriverEndpoint,
  DriverNetwork,
  DriverReport,
  DriverWaits,
  EndpointDecision,
  EndpointPlace,
  JoinRequest,
  JoinResult,
  Logger,
  PortBinding,
} from '../../driverapi/driver.ts';
import { LibnetworkError, throwIfAborted } from '../../errors.ts';
import type { EndpointId } from '../../ids.ts';
import { PluginRefusal } from '../../plugin/failure.ts';
import { nothing } from '../../plugin/messages/common.ts';
import * as messages from '../../plugin/messages/network.ts';
import type { Plugins } from '../../plugin/plugins.ts';
import { Queues } from '../../plugin/queues.ts';
import { silent } from '../../plugin/silent.ts';
import { decisionOf, joinResultOf } from './answers.ts';
import { bindingsOf, endpointMessage, idsOf, networkMessage, networkOptions, portOptions } from './wire.ts';

export interface RemoteDriverOptions {
  readonly plugins: Plugins;
  /** @default silent */
  readonly logger?: Logger | undefined;
  /**
   * A plugin that refuses to delete, to leave or to unpublish is not asked again: that is logged, and counts as done,
   * as with Docker. Otherwise the refusal is thrown. @default true
   */
  readonly forgiving?: boolean | undefined;
  /** Ends what was opened for this driver alone. @default nothing */
  readonly onClose?: (() => Promise<void>) | undefined;
}

/** A node of a cluster, as network drivers are told of it. */
export interface DiscoveredNode {
  readonly address: string;
  readonly bindAddress?: string | undefined;
  readonly self: boolean;
}

const NODE_DISCOVERY = 1;

/** A network driver behind the plugin of that name, which need not be there yet. */
export function remoteDriver(name: string, options: RemoteDriverOptions): RemoteDriver {
  return new RemoteDriver(name, options);
}

/**
 * Asks the plugin the same, in the same order, as Docker's remote driver does. What the plugin has refused is not
 * there: undoing it asks nothing.
 */
export class RemoteDriver implements Driver {
  readonly name: string;
  readonly #plugins: Plugins;
  readonly #logger: Logger;
  readonly #forgiving: boolean;
  #capability: DriverCapability = {
    dataScope: 'local',
    connectivityScope: 'local',
    usesIpam: true,
    resolvesNames: true,
    followsGateway: true,
    addressless: true,
  };
  readonly #onClose: RemoteDriverOptions['onClose'];
  #checksGateways = false;
  /** What one endpoint is asked for is asked one after the other. */
  readonly #queues = new Queues();
  readonly #refused = new Set<string>();
  /** Whether joined endpoints are their sandboxes' gateway; of those that joined before our time it is not known. */
  readonly #gateways = new Map<EndpointId, boolean>();

  constructor(name: string, { plugins, logger = silent, forgiving = true, onClose }: RemoteDriverOptions) {
    this.name = name;
    this.#plugins = plugins;
    this.#logger = logger;
    this.#forgiving = forgiving;
    this.#onClose = onClose;
  }

  /** What the plugin said it can do; before it was asked, what most can. */
  get capability(): DriverCapability {
    return this.#capability;
  }

  /** Makes sure that the plugin is there, and learns what it can do. @throws NOT_FOUND where there is none */
  async ready(waits: DriverWaits = {}): Promise<void> {
    const said = await this.#plugins.capabilities(this.name, 'NetworkDriver', waits);
    const { Scope, ConnectivityScope, GwAllocChecker } = said;
    this.#checksGateways = GwAllocChecker;
    this.#capability = {
      ...this.#capability,
      dataScope: Scope,
      connectivityScope: ConnectivityScope || Scope,
    };
  }

  async skipGateways(
    network: DriverNetwork,
    waits?: DriverWaits,
  ): Promise<{ readonly ipv4: boolean; readonly ipv6: boolean }> {
    if (!this.#checksGateways) return { ipv4: false, ipv6: false };
    const args = { Options: networkOptions(network) };
    const { SkipIPv4, SkipIPv6 } = await this.#call('GwAllocCheck', args, messages.gatewayCheck, waits);
    return { ipv4: SkipIPv4, ipv6: SkipIPv6 };
  }

  async createNetwork(network: DriverNetwork, waits: DriverWaits = {}): Promise<void> {
    throwIfAborted(waits.signal);
    await this.#make(`network ${network.id}`, () =>
      this.#call('CreateNetwork', networkMessage(network), nothing, waits),
    );
  }

  async deleteNetwork(network: DriverNetwork, waits?: DriverWaits): Promise<void> {
    await this.#unmake(`network ${network.id}`, () =>
      this.#call('DeleteNetwork', { NetworkID: network.id }, nothing, waits),
    );
  }

  async createEndpoint({ endpoint }: EndpointPlace, waits: DriverWaits = {}): Promise<EndpointDecision> {
    throwIfAborted(waits.signal);
    return this.#queues.run(endpoint.id, async () => {
      const key = `endpoint ${endpoint.id}`;
      const answer = await this.#make(key, () =>
        this.#call('CreateEndpoint', endpointMessage(endpoint), messages.createdEndpoint, waits),
      );
      try {
        return decisionOf(endpoint, answer);
      } catch (error) {
        await this.#rollBack(endpoint, error);
        throw error;
      }
    });
  }

  /** The plugin made an endpoint that can't be used. What is still there is left to `deleteEndpoint`. */
  async #rollBack(endpoint: DriverEndpoint, error: unknown): Promise<void> {
    const { code, message, ...facts } = error as LibnetworkError;
    try {
      await this.#call('DeleteEndpoint', idsOf(endpoint), nothing);
    } catch (failure) {
      throw new LibnetworkError(code, `${message}; failed to roll back: ${messageOf(failure)}`, {
        ...facts,
        cause: error,
      });
    }
    this.#refused.add(`endpoint ${endpoint.id}`);
    throw new LibnetworkError(code, `${message}; rolled back`, { ...facts, cause: error });
  }

  async deleteEndpoint({ endpoint }: EndpointPlace, waits?: DriverWaits): Promise<void> {
    await this.#queues.run(endpoint.id, () =>
      this.#unmake(`endpoint ${endpoint.id}`, () =>
        this.#call('DeleteEndpoint', idsOf(endpoint), nothing, waits),
      ),
    );
    this.#refused.delete(`join ${endpoint.id}`);
    this.#gateways.delete(endpoint.id);
  }

  async join({ endpoint, namespace }: JoinRequest, waits: DriverWaits = {}): Promise<JoinResult> {
    throwIfAborted(waits.signal);
    return this.#queues.run(endpoint.id, async () => {
      const args = { ...idsOf(endpoint), SandboxKey: namespace.path, Options: portOptions(endpoint) };
      const answer = await this.#make(`join ${endpoint.id}`, () =>
        this.#call('Join', args, messages.joined, waits),
      );
      this.#gateways.set(endpoint.id, false);
      return joinResultOf(answer);
    });
  }

  async leave({ endpoint }: EndpointPlace, waits?: DriverWaits): Promise<void> {
    await this.#queues.run(endpoint.id, () =>
      this.#unmake(`join ${endpoint.id}`, () => this.#call('Leave', idsOf(endpoint), nothing, waits)),
    );
    this.#gateways.delete(endpoint.id);
  }

  /** Tells the plugin that the endpoint is its sandbox's gateway now, or that it is no more; with its ports. */
  async publish(
    { network, endpoint }: EndpointPlace,
    families: { readonly ipv4: boolean; readonly ipv6: boolean },
    waits: DriverWaits = {},
  ): Promise<readonly PortBinding[]> {
    throwIfAborted(waits.signal);
    return this.#queues.run(endpoint.id, async () => {
      if (!families.ipv4 && !families.ipv6) {
        await this.#revoke(endpoint, waits);
        return [];
      }
      // Upstream revokes also what it has not programmed: it asks internal networks only when they are left.
      if (!network.internal) await this.#program(endpoint, waits);
      this.#gateways.set(endpoint.id, true);
      return this.#bindings(endpoint, waits);
    });
  }

  async #program(endpoint: DriverEndpoint, waits: DriverWaits): Promise<void> {
    const args = { ...idsOf(endpoint), Options: portOptions(endpoint) };
    await this.#tolerant(() => this.#call('ProgramExternalConnectivity', args, nothing, waits));
  }

  async #revoke(endpoint: DriverEndpoint, waits: DriverWaits): Promise<void> {
    if (this.#gateways.get(endpoint.id) === false) return;
    await this.#forgive(() =>
      this.#tolerant(() => this.#call('RevokeExternalConnectivity', idsOf(endpoint), nothing, waits)),
    );
    this.#gateways.set(endpoint.id, false);
  }

  async #bindings(endpoint: DriverEndpoint, waits: DriverWaits): Promise<readonly PortBinding[]> {
    try {
      return bindingsOf(endpoint, await this.#info(endpoint, waits));
    } catch (error) {
      if (!(error instanceof PluginRefusal)) throw error;
      return bindingsOf(endpoint, {});
    }
  }

  async endpointInfo({ endpoint }: EndpointPlace): Promise<Readonly<Record<string, unknown>>> {
    return this.#info(endpoint, {});
  }

  async #info(endpoint: DriverEndpoint, waits: DriverWaits): Promise<Record<string, unknown>> {
    return (await this.#call('EndpointOperInfo', idsOf(endpoint), messages.operInfo, waits)).Value;
  }

  /** Options for all hosts, from plugins whose networks span them; others are not asked, as with Docker. */
  async allocateNetwork(
    network: DriverNetwork,
    waits?: DriverWaits,
  ): Promise<Readonly<Record<string, string>>> {
    if (this.#capability.dataScope !== 'global') return {};
    const { IPv4Data, IPv6Data } = networkMessage(network) as { IPv4Data: object[]; IPv6Data: object[] };
    const options = Object.fromEntries(
      Object.entries(network.options).map(([key, value]) => [key, String(value)]),
    );
    const args = { NetworkID: network.id, Options: options, IPv4Data, IPv6Data };
    return (await this.#call('AllocateNetwork', args, messages.allocation, waits)).Options;
  }

  async freeNetwork(network: Pick<DriverNetwork, 'id'>, waits?: DriverWaits): Promise<void> {
    if (this.#capability.dataScope !== 'global') return;
    await this.#call('FreeNetwork', { NetworkID: network.id }, nothing, waits);
  }

  /** Tells the plugin of a node that came or went. */
  async discover(change: 'new' | 'gone', node: DiscoveredNode, waits?: DriverWaits): Promise<void> {
    const method = change === 'new' ? 'DiscoverNew' : 'DiscoverDelete';
    const { address: Address, bindAddress: BindAddress = '', self: Self } = node;
    const args = { DiscoveryType: NODE_DISCOVERY, DiscoveryData: { Address, BindAddress, Self } };
    await this.#call(method, args, nothing, waits);
  }

  async restore(): Promise<void> {
    // The plugin keeps what it has; whether it is there shows with the next call.
  }

  async reconcile(): Promise<DriverReport> {
    // The protocol has no question for what a plugin holds.
    return { missing: [], orphaned: [] };
  }

  async close(): Promise<void> {
    await this.#onClose?.();
  }

  #call<S extends v.GenericSchema>(
    method: keyof typeof messages.requests,
    args: object,
    answer: S,
    waits?: DriverWaits,
  ): Promise<v.InferOutput<S>> {
    return this.#plugins.call(this.name, `NetworkDriver.${method}`, args, answer, waits);
  }

  async #make<T>(key: string, act: () => Promise<T>): Promise<T> {
    this.#refused.delete(key);
    try {
      return await act();
    } catch (error) {
      if (error instanceof PluginRefusal) this.#refused.add(key);
      throw error;
    }
  }

  async #unmake(key: string, act: () => Promise<unknown>): Promise<void> {
    if (this.#refused.delete(key)) return;
    await this.#forgive(act);
  }

  /** @throws what is no refusal; a refusal where this driver does not forgive */
  async #forgive(act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!this.#forgiving || !(error instanceof PluginRefusal)) throw error;
      this.#logger.warn(`plugin ${this.name} would not: ${error.message}; going on without it`, { error });
    }
  }

  /** A plugin that has no such method has nothing to do there. */
  async #tolerant(act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof PluginRefusal) || error.status !== 404) throw error;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
