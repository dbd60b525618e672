/**
 * A network driver behind Docker's protocol. Docker moves a link into the sandbox by itself, so a driver that makes
 * its link in place is given the host's own namespace to make it in, and Docker the link's name there.
 */

import type * as v from 'valibot';
import type { Datastore } from '../datastore/datastore.ts';
import type { Driver, DriverEndpoint, JoinedLink, Logger, PortBinding } from '../driverapi/driver.ts';
import type { LibnetworkError } from '../errors.ts';
import { labels } from '../labels.ts';
import type { Osl } from '../osl/osl.ts';
import { endpointOf, mappingOf, networkOf, portsOf } from './asked.ts';
import { read } from './json.ts';
import * as messages from './messages/network.ts';
import { Queues } from './queues.ts';
import { type ServedEndpoint, ServedRecords } from './served.ts';
import type { Handler, Served } from './server.ts';

type Asked<M extends keyof typeof messages.requests> = v.InferOutput<(typeof messages.requests)[M]>;

const NO_FAMILY = { ipv4: false, ipv6: false };
const BOTH_FAMILIES = { ipv4: true, ipv6: true };
const DONE = {};

export interface ServedNetworkOptions {
  /** The kernel that Docker's own links are in: the plugin runs in the same network namespace as Docker. */
  readonly osl: Osl;
  /** Where what Docker told is kept, for the plugin's next process. @default in memory */
  readonly store?: Datastore | undefined;
  readonly logger: Logger;
}

/** Takes up what an earlier process kept, and brings it to rest. */
export async function servedNetworkDriver(driver: Driver, options: ServedNetworkOptions): Promise<Served> {
  const served = new ServedNetworkDriver(driver, options);
  await served.restore();
  return served;
}

class ServedNetworkDriver implements Served {
  readonly kind = 'NetworkDriver';
  readonly methods: Readonly<Record<string, Handler>>;
  readonly #driver: Driver;
  readonly #osl: Osl;
  readonly #logger: Logger;
  readonly #records: ServedRecords;
  readonly #queues = new Queues();

  constructor(driver: Driver, { osl, store, logger }: ServedNetworkOptions) {
    this.#driver = driver;
    this.#osl = osl;
    this.#logger = logger;
    this.#records = new ServedRecords(store, driver.name);
    const { dataScope, connectivityScope } = driver.capability;
    this.methods = {
      GetCapabilities: async () => ({
        Scope: dataScope,
        ConnectivityScope: connectivityScope,
        GwAllocChecker: driver.skipGateways !== undefined,
      }),
      AllocateNetwork: asked('AllocateNetwork', async ({ Options }) => ({ Options })),
      FreeNetwork: asked('FreeNetwork', async () => DONE),
      GwAllocCheck: asked('GwAllocCheck', (body, signal) => this.#skipGateways(body, signal)),
      CreateNetwork: asked('CreateNetwork', (body, signal) => this.#createNetwork(body, signal)),
      DeleteNetwork: asked('DeleteNetwork', (body, signal) => this.#deleteNetwork(body, signal)),
      CreateEndpoint: asked('CreateEndpoint', (body, signal) => this.#createEndpoint(body, signal)),
      DeleteEndpoint: asked('DeleteEndpoint', (body, signal) => this.#deleteEndpoint(body, signal)),
      EndpointOperInfo: asked('EndpointOperInfo', (body) => this.#info(body)),
      Join: asked('Join', (body, signal) => this.#join(body, signal)),
      Leave: asked('Leave', (body, signal) => this.#leave(body, signal)),
      ProgramExternalConnectivity: asked('ProgramExternalConnectivity', (body, signal) =>
        this.#publish(body, signal),
      ),
      RevokeExternalConnectivity: asked('RevokeExternalConnectivity', (body, signal) =>
        this.#unpublish(body, signal),
      ),
      DiscoverNew: asked('DiscoverNew', async () => DONE),
      DiscoverDelete: asked('DiscoverDelete', async () => DONE),
    };
  }

  async restore(): Promise<void> {
    const records = this.#records;
    await records.load();
    await this.#driver.restore(records.state());
    for (const each of [...records.endpoints.values()]) await this.#settleEndpoint(each);
    for (const { state, network } of [...records.networks.values()]) {
      if (state !== 'creating') continue;
      await this.#driver.deleteNetwork(network);
      await records.removeNetwork(network);
    }
    await this.#driver.reconcile(records.state());
  }

  /** What was being made is unmade: whoever asked for it has got no answer, and asks again. */
  async #settleEndpoint(record: ServedEndpoint): Promise<void> {
    if (!this.#records.networks.has(record.endpoint.networkId)) {
      await this.#records.removeEndpoint(record.endpoint);
      return;
    }
    const place = this.#records.place(record);
    if (record.state === 'joining') {
      await this.#driver.leave(place);
      await this.#records.putEndpoint({ state: 'ready', endpoint: record.endpoint });
    } else if (record.state === 'creating') {
      await this.#driver.deleteEndpoint?.(place);
      await this.#records.removeEndpoint(record.endpoint);
    }
  }

  async #skipGateways(body: Asked<'GwAllocCheck'>, signal: AbortSignal): Promise<object> {
    const network = networkOf({ ...body, NetworkID: '', IPv4Data: [], IPv6Data: [] });
    const skip = await this.#driver.skipGateways?.(network, { signal });
    return { SkipIPv4: skip?.ipv4 ?? false, SkipIPv6: skip?.ipv6 ?? false };
  }

  #createNetwork(body: Asked<'CreateNetwork'>, signal: AbortSignal): Promise<object> {
    const network = networkOf(body);
    return this.#queues.run(`network ${network.id}`, async () => {
      await this.#driver.validateNetwork?.(network);
      const known = this.#records.networks.get(network.id);
      if (known === undefined) await this.#records.putNetwork({ state: 'creating', network });
      try {
        await this.#driver.createNetwork(network, { signal });
        await this.#records.putNetwork({ state: 'ready', network });
      } catch (error) {
        // A second creation that fails leaves the first one as it is.
        if (known === undefined)
          await this.#undo(`network ${network.name}`, error, async () => {
            await this.#driver.deleteNetwork(network);
            await this.#records.removeNetwork(network);
          });
        throw error;
      }
      return DONE;
    });
  }

  /** What is unknown is gone: an answer may have been lost, and Docker asks again. */
  #deleteNetwork({ NetworkID }: Asked<'DeleteNetwork'>, signal: AbortSignal): Promise<object> {
    return this.#queues.run(`network ${NetworkID}`, async () => {
      if (![...this.#records.networks.keys()].some((id) => id === NetworkID)) return DONE;
      const { network } = this.#records.network(NetworkID);
      for (const each of this.#records.endpointsOf(network.id)) await this.#removeEndpoint(each, signal);
      await this.#driver.deleteNetwork(network, { signal });
      await this.#records.removeNetwork(network);
      return DONE;
    });
  }

  #createEndpoint(body: Asked<'CreateEndpoint'>, signal: AbortSignal): Promise<object> {
    const given = endpointOf(body);
    return this.#queues.run(`network ${given.networkId}`, () =>
      this.#inTurn(given, async () => {
        const { network } = this.#records.network(given.networkId);
        const known = this.#records.endpoints.get(given.id);
        // Asked again for the same endpoint, it has the same address.
        const asked = { ...given, macAddress: given.macAddress ?? known?.endpoint.macAddress };
        this.#driver.checkEndpoint?.({ network, endpoint: asked });
        const decided = { ...asked, ...named(this.#driver.decideEndpoint?.({ network, endpoint: asked })) };
        const endpoint = await this.#makeEndpoint(decided, signal);
        return { Interface: newlyDecided(given, endpoint) };
      }),
    );
  }

  async #makeEndpoint(endpoint: DriverEndpoint, signal: AbortSignal): Promise<DriverEndpoint> {
    const place = { network: this.#records.network(endpoint.networkId).network, endpoint };
    const known = this.#records.endpoints.get(endpoint.id);
    if (known === undefined && this.#driver.createEndpoint)
      await this.#records.putEndpoint({ state: 'creating', endpoint });
    try {
      const made = { ...endpoint, ...named(await this.#driver.createEndpoint?.(place, { signal })) };
      await this.#records.putEndpoint({ ...known, state: known?.state ?? 'ready', endpoint: made });
      return made;
    } catch (error) {
      if (known === undefined)
        await this.#undo(`endpoint ${endpoint.name}`, error, async () => {
          await this.#driver.deleteEndpoint?.(place);
          await this.#records.removeEndpoint(endpoint);
        });
      throw error;
    }
  }

  async #deleteEndpoint({ EndpointID }: Asked<'DeleteEndpoint'>, signal: AbortSignal): Promise<object> {
    const known = [...this.#records.endpoints.values()].find(({ endpoint }) => endpoint.id === EndpointID);
    if (known !== undefined) await this.#removeEndpoint(known, signal);
    return DONE;
  }

  #removeEndpoint({ endpoint: { id } }: ServedEndpoint, signal: AbortSignal): Promise<void> {
    return this.#inTurn({ id }, async () => {
      const record = this.#records.endpoints.get(id);
      if (record === undefined) return;
      const place = this.#records.place(record);
      if (record.state === 'joined' || record.state === 'joining')
        await this.#driver.leave(place, { signal });
      await this.#driver.deleteEndpoint?.(place, { signal });
      // When a container ends, Docker brings its link back to the host.
      if (record.link !== undefined) await this.#osl.host.deleteLink(record.link);
      await this.#records.removeEndpoint(record.endpoint);
    });
  }

  async #join({ EndpointID }: Asked<'Join'>, signal: AbortSignal): Promise<object> {
    return this.#inTurn({ id: EndpointID }, async () => {
      const record = this.#records.endpoint(EndpointID);
      const place = this.#records.place(record);
      const link = linkName(record.endpoint);
      await this.#records.putEndpoint({ ...record, state: 'joining', link });
      try {
        const request = { ...place, namespace: this.#osl.host, interfaceName: link };
        const result = await this.#driver.join(request, { signal });
        await this.#records.putEndpoint({ ...record, state: 'joined', link });
        const prefix = String(place.network.options[labels.containerInterfacePrefix] ?? 'eth');
        return {
          InterfaceName: interfaceOf(result.link, link, prefix),
          Gateway: result.gateway4 ?? '',
          GatewayIPv6: result.gateway6 ?? '',
          StaticRoutes: (result.routes ?? []).map(({ destination, gateway }) =>
            gateway === undefined
              ? { Destination: destination, RouteType: messages.CONNECTED, NextHop: '' }
              : { Destination: destination, RouteType: messages.NEXT_HOP, NextHop: gateway },
          ),
          DisableGatewayService: result.disableGatewayService ?? false,
        };
      } catch (error) {
        await this.#undo(`join of ${record.endpoint.name}`, error, async () => {
          await this.#driver.leave(place);
          await this.#records.putEndpoint({ ...record, state: 'ready', link: undefined });
        });
        throw error;
      }
    });
  }

  #leave({ EndpointID }: Asked<'Leave'>, signal: AbortSignal): Promise<object> {
    return this.#ifKnown(EndpointID, async (record) => {
      await this.#driver.leave(this.#records.place(record), { signal });
      await this.#records.putEndpoint({
        ...record,
        state: 'ready',
        endpoint: { ...record.endpoint, bindings: [] },
      });
    });
  }

  #publish(
    { EndpointID, Options }: Asked<'ProgramExternalConnectivity'>,
    signal: AbortSignal,
  ): Promise<object> {
    const ports = portsOf(Options);
    return this.#inTurn({ id: EndpointID }, async () => {
      const before = this.#records.endpoint(EndpointID);
      const endpoint = { ...before.endpoint, ports };
      const former = this.#records.place(before);
      const wasPublished = before.endpoint.bindings.length > 0;
      try {
        const bindings = await this.#publishIn({ ...former, endpoint }, BOTH_FAMILIES, signal);
        await this.#records.putEndpoint({ ...before, endpoint: { ...endpoint, bindings } });
      } catch (error) {
        await this.#undo(`publication of ${endpoint.name}`, error, async () => {
          await this.#publishIn(
            wasPublished ? former : { ...former, endpoint },
            wasPublished ? BOTH_FAMILIES : NO_FAMILY,
          );
        });
        throw error;
      }
      return DONE;
    });
  }

  #unpublish({ EndpointID }: Asked<'RevokeExternalConnectivity'>, signal: AbortSignal): Promise<object> {
    return this.#ifKnown(EndpointID, async (record) => {
      await this.#publishIn(this.#records.place(record), NO_FAMILY, signal);
      await this.#records.putEndpoint({ ...record, endpoint: { ...record.endpoint, bindings: [] } });
    });
  }

  async #publishIn(
    place: Parameters<NonNullable<Driver['publish']>>[0],
    families: typeof NO_FAMILY,
    signal?: AbortSignal,
  ): Promise<readonly PortBinding[]> {
    const { capability, publish } = this.#driver;
    if (publish === undefined || (place.endpoint.ports.length === 0 && !capability.followsGateway)) return [];
    return publish.call(this.#driver, place, families, { signal });
  }

  async #info({ EndpointID }: Asked<'EndpointOperInfo'>): Promise<object> {
    const record = this.#records.endpoint(EndpointID);
    const told = (await this.#driver.endpointInfo?.(this.#records.place(record))) ?? {};
    return { Value: { ...told, [labels.portMap]: record.endpoint.bindings.map(mappingOf) } };
  }

  #ifKnown(id: string, act: (record: ServedEndpoint) => Promise<void>): Promise<object> {
    return this.#inTurn({ id }, async () => {
      const record = [...this.#records.endpoints.values()].find(({ endpoint }) => endpoint.id === id);
      if (record !== undefined) await act(record);
      return DONE;
    });
  }

  #inTurn<T>({ id }: { readonly id: string }, act: () => Promise<T>): Promise<T> {
    return this.#queues.run(`endpoint ${id}`, act);
  }

  /** What can't be unmade now is unmade with the next process; the caller hears of the first failure. */
  async #undo(what: string, cause: unknown, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      const { message } = cause as LibnetworkError;
      this.#logger.error(`${what} failed (${message}) and could not be undone`, { error });
    }
  }

  async close(): Promise<void> {
    await this.#driver.close?.();
  }
}

function asked<M extends keyof typeof messages.requests>(
  method: M,
  act: (body: Asked<M>, signal: AbortSignal) => Promise<object>,
): Handler {
  return async (body, signal) =>
    act(
      read<v.GenericSchema<unknown, Asked<M>>>(
        messages.requests[method] as unknown as v.GenericSchema<unknown, Asked<M>>,
        body,
        `NetworkDriver.${method}`,
        'INVALID_ARGUMENT',
      ),
      signal,
    );
}

/** The container's end of a link, while it is on the host: as long and as traceable as the host's end. */
function linkName({ id }: DriverEndpoint): string {
  return `c${id.slice(0, 11)}`;
}

function interfaceOf(link: JoinedLink, ours: string, prefix: string): object | null {
  switch (link.kind) {
    case 'none':
      return null;
    case 'in-place':
      return { SrcName: ours, DstPrefix: prefix };
    case 'move':
      return { SrcName: link.sourceName, DstPrefix: link.prefix ?? prefix };
  }
}

/** Only what was decided: what is not named stays. */
function named<T extends object>(decision: T | undefined): Partial<T> {
  return Object.fromEntries(
    Object.entries(decision ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}

/** Docker refuses an answer that repeats what it has given. */
function newlyDecided(given: DriverEndpoint, made: DriverEndpoint): object {
  const news = (before: string | undefined, now: string | undefined) =>
    before === undefined ? (now ?? '') : '';
  return {
    Address: news(given.ipv4, made.ipv4),
    AddressIPv6: news(given.ipv6, made.ipv6),
    MacAddress: news(given.macAddress, made.macAddress),
  };
}
