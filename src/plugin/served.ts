/** What a served network driver has been asked to make: Docker tells it once, and names it by ids from then on. */
import type { Datastore } from '../datastore/datastore.ts';
import type { DriverEndpoint, DriverNetwork, DriverState, EndpointPlace } from '../driverapi/driver.ts';
import { LibnetworkError } from '../errors.ts';
import type { EndpointId, NetworkId } from '../ids.ts';

const SCHEMA = 1;

export interface ServedNetwork {
  readonly schema: typeof SCHEMA;
  readonly state: 'creating' | 'ready';
  readonly network: DriverNetwork;
}

export interface ServedEndpoint {
  readonly schema: typeof SCHEMA;
  readonly state: 'creating' | 'ready' | 'joining' | 'joined';
  readonly endpoint: DriverEndpoint;
  /** The name of its link on the host, where the driver made it under a name of our choosing. */
  readonly link?: string | undefined;
}

export class ServedRecords {
  readonly networks = new Map<NetworkId, ServedNetwork>();
  readonly endpoints = new Map<EndpointId, ServedEndpoint>();
  readonly #store: Datastore | undefined;
  readonly #prefix: string;

  constructor(store: Datastore | undefined, driver: string) {
    this.#store = store;
    this.#prefix = `docker/network/v1.0/plugin/${driver}/`;
  }

  /** Takes up what an earlier process kept. @throws INTERNAL for records of another version */
  async load(): Promise<void> {
    for (const { key, value } of (await this.#store?.list(this.#prefix)) ?? []) {
      const record = value as ServedNetwork | ServedEndpoint;
      if (record.schema !== SCHEMA)
        throw new LibnetworkError('INTERNAL', `the record at ${key} was written by another version`, {
          field: key,
          value: record.schema,
        });
      if ('network' in record) this.networks.set(record.network.id, record);
      else this.endpoints.set(record.endpoint.id, record);
    }
  }

  /** @throws NOT_FOUND */
  network(id: string): ServedNetwork {
    const network = this.networks.get(id as NetworkId);
    if (network !== undefined) return network;
    throw new LibnetworkError('NOT_FOUND', `there is no network ${id.slice(0, 12)}`, {
      field: 'NetworkID',
      value: id,
    });
  }

  /** @throws NOT_FOUND */
  endpoint(id: string): ServedEndpoint {
    const endpoint = this.endpoints.get(id as EndpointId);
    if (endpoint !== undefined) return endpoint;
    throw new LibnetworkError('NOT_FOUND', `there is no endpoint ${id.slice(0, 12)}`, {
      field: 'EndpointID',
      value: id,
    });
  }

  place({ endpoint }: ServedEndpoint): EndpointPlace {
    return { network: this.network(endpoint.networkId).network, endpoint };
  }

  endpointsOf(networkId: NetworkId): ServedEndpoint[] {
    return [...this.endpoints.values()].filter(({ endpoint }) => endpoint.networkId === networkId);
  }

  state(): DriverState {
    return {
      networks: [...this.networks.values()].map(({ network }) => network),
      endpoints: [...this.endpoints.values()]
        .filter(({ endpoint }) => this.networks.has(endpoint.networkId))
        .map((each) => ({ ...this.place(each), joined: each.state === 'joined' })),
    };
  }

  async putNetwork(record: Omit<ServedNetwork, 'schema'>): Promise<void> {
    const kept: ServedNetwork = { schema: SCHEMA, ...record };
    await this.#store?.put(`${this.#prefix}network/${record.network.id}`, kept);
    this.networks.set(record.network.id, kept);
  }

  async removeNetwork({ id }: DriverNetwork): Promise<void> {
    await this.#store?.delete(`${this.#prefix}network/${id}`);
    this.networks.delete(id);
  }

  async putEndpoint(record: Omit<ServedEndpoint, 'schema'>): Promise<ServedEndpoint> {
    const kept: ServedEndpoint = { schema: SCHEMA, ...record };
    await this.#store?.put(`${this.#prefix}endpoint/${record.endpoint.id}`, kept);
    this.endpoints.set(record.endpoint.id, kept);
    return kept;
  }

  async removeEndpoint({ id }: DriverEndpoint): Promise<void> {
    await this.#store?.delete(`${this.#prefix}endpoint/${id}`);
    this.endpoints.delete(id);
  }
}
