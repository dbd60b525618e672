/** The records of networks that all hosts share. A name is taken by a conditional write, once among all hosts. */
import type { Datastore, Entry } from '../datastore/datastore.ts';
import type { Logger } from '../driverapi/driver.ts';
import { LibnetworkError } from '../errors.ts';
import type { NetworkId } from '../ids.ts';
import type { NetworkRecord } from '../records.ts';
import type { Debts } from './debts.ts';
import { Follower } from './follow.ts';
import { lastPart, networkKey, networkNameKey, networks, readNetwork } from './shapes.ts';

export interface SharedNetworksOptions {
  readonly store: Datastore;
  readonly logger: Logger;
  readonly debts: Debts;
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
    const { debts } = this.#options;
    if (await this.#replace(record)) return;
    try {
      this.#versions.set(record.id, await this.#make(record));
    } catch (error) {
      if (!LibnetworkError.is(error, 'CONFLICT')) throw error;
      const holder = await this.#holderOf(record.name);
      if (holder === record.id) {
        // Its own name: this host started without the store, and has not followed it far enough yet.
        const entry = await this.#options.store.get(networkKey(record.id));
        if (entry) this.#put(entry);
        if (await this.#replace(record)) return;
      }
      if (holder !== undefined && !debts.has(holder)) throw nameTaken(record.name, holder);
      // Left by a creation of this host's own that failed, or gone just now.
      await debts.payOff();
      this.#versions.set(record.id, await this.#make(record));
    }
  }

  /** Erases a network's record and gives its name back. Gone already: nothing happens. */
  async erase({ id, name }: Pick<NetworkRecord, 'id' | 'name'>): Promise<void> {
    const { store } = this.#options;
    const holder = await this.#holderOf(name);
    await store.transaction([
      { op: 'delete', key: networkKey(id) },
      ...(holder === id ? [{ op: 'delete', key: networkNameKey(name) } as const] : []),
    ]);
    this.#versions.delete(id);
  }

  end(): Promise<void> {
    return this.#follower.end();
  }

  /** Over what this host knows to be stored; false where it knows nothing. */
  async #replace(record: NetworkRecord): Promise<boolean> {
    const known = this.#versions.get(record.id);
    if (known === undefined) return false;
    const key = networkKey(record.id);
    this.#versions.set(record.id, await this.#options.store.put(key, record, { ifVersion: known }));
    return true;
  }

  async #make(record: NetworkRecord): Promise<number> {
    const [, version = 0] = await this.#options.store.transaction([
      { op: 'put', key: networkNameKey(record.name), value: { id: record.id }, ifVersion: 0 },
      { op: 'put', key: networkKey(record.id), value: record, ifVersion: 0 },
    ]);
    return version;
  }

  async #holderOf(name: string): Promise<string | undefined> {
    const entry = await this.#options.store.get(networkNameKey(name));
    return (entry?.value as { readonly id: string } | undefined)?.id;
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

function nameTaken(name: string, holder: string): LibnetworkError {
  return new LibnetworkError('ALREADY_EXISTS', `network with name ${name} already exists`, {
    field: 'name',
    value: name,
    holder: `network ${holder}`,
  });
}
