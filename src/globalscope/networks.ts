/** The records of networks that all hosts share. A name is taken by a conditional write, once among all hosts. */
import type { Datastore, Entry } from '../datastore/datastore.ts';
import type { Logger } from '../driverapi/driver.ts';
import { LibnetworkError } from '../errors.ts';
import type { NetworkId } from '../ids.ts';
import type { NetworkRecord } from '../records.ts';
import { Follower } from './follow.ts';
import { lastPart, networkKey, networkNameKey, networks, readNetwork } from './shapes.ts';

export interface SharedNetworksOptions {
  readonly store: Datastore;
  readonly logger: Logger;
  /** A network that any host made or changed. */
  readonly onNetwork: (record: NetworkRecord) => void;
  readonly onGone: (id: NetworkId) => void;
}

export class SharedNetworks {
  readonly #options: SharedNetworksOptions;
  readonly #versions = new Map<NetworkId, number>();
  readonly #follower: Follower;

  constructor(options: SharedNetworksOptions) {
    this.#options = options;
    this.#follower = new Follower({
      store: options.store,
      prefix: networks,
      onPut: (entry) => this.#put(entry),
      onDelete: (key) => this.#delete(lastPart(key) as NetworkId),
      onFailure: (error) => options.logger.debug('the networks can not be followed at present', { error }),
    });
  }

  listed(): Promise<void> {
    return this.#follower.listed();
  }

  resync(): Promise<void> {
    return this.#follower.resync();
  }

  /** The record as it is stored now. @throws UNAVAILABLE */
  async now(id: NetworkId): Promise<NetworkRecord | undefined> {
    const entry = await this.#options.store.get(networkKey(id));
    return entry && readNetwork(entry);
  }

  /** @throws ALREADY_EXISTS when another network has the name; CONFLICT when another host has changed the network */
  async save(record: NetworkRecord): Promise<void> {
    const { store } = this.#options;
    const key = networkKey(record.id);
    const known = this.#versions.get(record.id);
    if (known !== undefined) {
      this.#versions.set(record.id, await store.put(key, record, { ifVersion: known }));
      return;
    }
    try {
      const [, version = 0] = await store.transaction([
        { op: 'put', key: networkNameKey(record.name), value: { id: record.id }, ifVersion: 0 },
        { op: 'put', key, value: record, ifVersion: 0 },
      ]);
      this.#versions.set(record.id, version);
    } catch (error) {
      if (!LibnetworkError.is(error, 'CONFLICT')) throw error;
      const holder = (await store.get(networkNameKey(record.name)))?.value as
        | { readonly id: string }
        | undefined;
      throw new LibnetworkError('ALREADY_EXISTS', `network with name ${record.name} already exists`, {
        field: 'name',
        value: record.name,
        holder: `network ${holder?.id}`,
      });
    }
  }

  /** Erases a network's record and gives its name back. Gone already: nothing happens. */
  async erase({ id, name }: Pick<NetworkRecord, 'id' | 'name'>): Promise<void> {
    const { store } = this.#options;
    const holder = (await store.get(networkNameKey(name)))?.value as { readonly id: string } | undefined;
    await store.transaction([
      { op: 'delete', key: networkKey(id) },
      ...(holder?.id === id ? [{ op: 'delete', key: networkNameKey(name) } as const] : []),
    ]);
    this.#versions.delete(id);
  }

  end(): Promise<void> {
    return this.#follower.end();
  }

  #put(entry: Entry): void {
    const record = readNetwork(entry);
    if ((this.#versions.get(record.id) ?? 0) < entry.version) this.#versions.set(record.id, entry.version);
    this.#options.onNetwork(record);
  }

  #delete(id: NetworkId): void {
    this.#versions.delete(id);
    this.#options.onGone(id);
  }
}
