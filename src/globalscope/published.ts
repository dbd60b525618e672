/** What this host shows of its own endpoints: records in the global store, written only as long as they are its own. */
import type { Datastore, Entry, StoreOperation } from '../datastore/datastore.ts';
import { LibnetworkError } from '../errors.ts';
import type { EndpointId, NetworkId } from '../ids.ts';
import { isWritten } from '../written.ts';
import type { Debts } from './debts.ts';
import { endpointKey, endpointNameKey, readEndpoint, type SharedEndpoint } from './shapes.ts';

export interface PublishedOptions {
  readonly store: Datastore;
  readonly host: string;
  readonly debts: Debts;
  /** Another host has taken the endpoint, since this one counted as gone. */
  readonly onLost: (networkId: NetworkId, id: EndpointId) => void;
}

interface Known {
  /** What is stored, as text. Undefined: it is stored, but not known how. */
  readonly text: string | undefined;
  readonly shown: Pick<SharedEndpoint, 'networkId' | 'name'>;
  /** 0: not known. */
  readonly version: number;
}

export class Published {
  readonly #options: PublishedOptions;
  readonly #known = new Map<EndpointId, Known>();
  readonly #turns = new Map<EndpointId, Promise<unknown>>();

  constructor(options: PublishedOptions) {
    this.#options = options;
  }

  /** An endpoint that the local records say was shown by an earlier life of this host. */
  assume(endpoint: SharedEndpoint): void {
    this.#known.set(endpoint.id, { text: undefined, shown: endpoint, version: 0 });
  }

  has(id: EndpointId): boolean {
    return this.#known.has(id);
  }

  /** What is shown of a network. */
  idsOf(networkId: NetworkId): EndpointId[] {
    return [...this.#known].flatMap(([id, { shown }]) => (shown.networkId === networkId ? [id] : []));
  }

  /**
   * Shows an endpoint, or what changed of it.
   * @throws ALREADY_EXISTS when another host has an endpoint of the name; CONFLICT when it was taken from this host
   */
  show(endpoint: SharedEndpoint): Promise<void> {
    return this.#inTurn(endpoint.id, async () => {
      this.#options.debts.forgive(endpoint.id);
      await this.#write(endpoint);
    });
  }

  /** The same for what takes something back: it is owed where the store can't be asked. */
  withdraw(endpoint: SharedEndpoint): Promise<void> {
    const { id } = endpoint;
    return this.#options.debts.settle(id, () => this.#inTurn(id, () => this.#write(endpoint)));
  }

  /** Erases an endpoint's record, if it is still this host's. @throws UNAVAILABLE */
  erase(endpoint: Pick<SharedEndpoint, 'id' | 'networkId' | 'name'>): Promise<void> {
    return this.#inTurn(endpoint.id, async () => {
      const known = this.#known.get(endpoint.id);
      const { networkId, name } = known?.shown ?? endpoint;
      const key = endpointKey(networkId, endpoint.id);
      for (;;) {
        const entry = await this.#options.store.get(key);
        if (!entry || readEndpoint(entry).host !== this.#options.host) break;
        if (await this.#tryErase(entry, endpointNameKey(networkId, name))) break;
      }
      this.#known.delete(endpoint.id);
      this.#options.debts.forgive(endpoint.id);
    });
  }

  /** What a listing or a watch tells of one of this host's endpoints. */
  seen(entry: Entry): void {
    const endpoint = readEndpoint(entry);
    const known = this.#known.get(endpoint.id);
    if (!known || known.version >= entry.version) return;
    this.#known.set(endpoint.id, { text: textOf(endpoint), shown: endpoint, version: entry.version });
  }

  /** The record of an endpoint of this host is not there: it is asked again before that is believed. */
  async missed(networkId: NetworkId, id: EndpointId): Promise<void> {
    await this.#inTurn(id, async () => {
      if (!this.#known.has(id) || (await this.#isOurs(networkId, id))) return;
      this.#known.delete(id);
      this.#options.debts.forgive(id);
      this.#options.onLost(networkId, id);
    });
  }

  async #write(endpoint: SharedEndpoint): Promise<void> {
    const text = textOf(endpoint);
    let known = this.#known.get(endpoint.id);
    if (known?.text === text) return;
    for (let tries = 0; tries < 3; tries++) {
      try {
        const version = await this.#put(endpoint, known);
        this.#known.set(endpoint.id, { text, shown: endpoint, version });
        return;
      } catch (error) {
        if (!LibnetworkError.is(error, 'CONFLICT')) throw error;
        // Ours nevertheless, where the answer to an earlier write was lost, or another life of this host wrote it.
        known = await this.#adopt(endpoint, known !== undefined);
      }
    }
    throw new LibnetworkError('CONFLICT', `endpoint ${endpoint.name} is being changed by others`);
  }

  async #put(endpoint: SharedEndpoint, known: Known | undefined): Promise<number> {
    const { store, host } = this.#options;
    const key = endpointKey(endpoint.networkId, endpoint.id);
    const record = { op: 'put', key, value: endpoint, ifVersion: known?.version ?? 0 } as const;
    if (known?.shown.name === endpoint.name) {
      return store.put(key, endpoint, { ifVersion: record.ifVersion });
    }
    const nameKey = endpointNameKey(endpoint.networkId, endpoint.name);
    const operations: StoreOperation[] = [
      { op: 'put', key: nameKey, value: { id: endpoint.id, host }, ifVersion: 0 },
      record,
    ];
    if (known) operations.push({ op: 'delete', key: endpointNameKey(endpoint.networkId, known.shown.name) });
    const [, version = 0] = await store.transaction(operations);
    return version;
  }

  /** How an endpoint of this host is stored. @throws CONFLICT when it is not; ALREADY_EXISTS for its name */
  async #adopt(endpoint: SharedEndpoint, wasShown: boolean): Promise<Known | undefined> {
    const { store, host, debts, onLost } = this.#options;
    const { networkId, id, name } = endpoint;
    const entry = await store.get(endpointKey(networkId, id));
    const stored = entry && readEndpoint(entry);
    if (entry && stored?.host === host) return { text: undefined, shown: stored, version: entry.version };
    if (wasShown) {
      this.#known.delete(id);
      onLost(networkId, id);
      throw new LibnetworkError(
        'CONFLICT',
        `endpoint ${name} was taken from this host while it counted as gone: make a new one`,
      );
    }
    const holder = (await store.get(endpointNameKey(networkId, name)))?.value as
      | { readonly id: string; readonly host: string }
      | undefined;
    if (!holder) return undefined;
    // Left by a creation of this host's own that failed.
    if (debts.has(holder.id)) {
      await debts.payOff();
      return undefined;
    }
    throw new LibnetworkError('ALREADY_EXISTS', `endpoint with name ${name} already exists on another host`, {
      field: 'name',
      value: name,
      holder: `endpoint ${holder.id} of host ${holder.host}`,
    });
  }

  #tryErase(entry: Entry, nameKey: string): Promise<boolean> {
    return isWritten(
      this.#options.store.transaction([
        { op: 'delete', key: entry.key, ifVersion: entry.version },
        { op: 'delete', key: nameKey },
      ]),
    );
  }

  async #isOurs(networkId: NetworkId, id: EndpointId): Promise<boolean> {
    const { store, host } = this.#options;
    const entry = await store.get(endpointKey(networkId, id));
    return entry !== undefined && readEndpoint(entry).host === host;
  }

  #inTurn<T>(id: EndpointId, act: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const mine = before.then(act, act);
    const settled = mine.catch(() => undefined);
    this.#turns.set(id, settled);
    void settled.then(() => {
      if (this.#turns.get(id) === settled) this.#turns.delete(id);
    });
    return mine;
  }
}

function textOf(endpoint: SharedEndpoint): string {
  return JSON.stringify(endpoint);
}
