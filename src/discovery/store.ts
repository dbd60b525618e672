import { setTimeout as delay } from 'node:timers/promises';
import type { Datastore, Entry } from '../datastore/datastore.ts';
import { invalid, LibnetworkError, throwIfAborted } from '../errors.ts';
import { Announcement } from './announcement.ts';
import type { Advertisement, Discovery, DiscoveryWaits, Host, HostEvent } from './discovery.ts';
import { checkHost, HOSTS, sameHost } from './host.ts';

export interface StoreDiscoveryOptions {
  /** A store with leases, shared by all hosts. Closing the discovery does not close it. */
  readonly store: Datastore;
  /** How long a host may be silent before it counts as gone, in milliseconds. Default 60,000, as Docker's. */
  readonly ttlMs?: number | undefined;
  /** Where the hosts are kept. Default: where controllers with a global store say that they are there. */
  readonly prefix?: string | undefined;
  /** Told of what fails in the background: a lease that lapsed, a store that is away, a record that is no host. */
  readonly report?: ((error: LibnetworkError) => void) | undefined;
}

const DEFAULT_TTL_MS = 60_000;
const RETRY_MS = 1_000;

/**
 * Hosts on a store's leases: each keeps a key `<prefix><id>` alive, and all watch them.
 * @throws INVALID_ARGUMENT when the store knows no leases
 */
export function storeDiscovery(options: StoreDiscoveryOptions): Discovery {
  if (options.store.lease === undefined)
    throw invalid('store', options.store.scope, 'must be a store with leases, such as etcdStore');
  return new StoreDiscovery(options);
}

class StoreDiscovery implements Discovery {
  readonly #store: Datastore;
  readonly #ttlMs: number;
  readonly #prefix: string;
  readonly #report: (error: LibnetworkError) => void;
  readonly #announced = new Map<string, Announcement<Host>>();
  readonly #own = new Set<string>();
  readonly #closed = new AbortController();

  constructor({ store, ttlMs, prefix, report }: StoreDiscoveryOptions) {
    this.#store = store;
    this.#ttlMs = ttlMs ?? DEFAULT_TTL_MS;
    this.#prefix = prefix ?? HOSTS;
    this.#report = report ?? (() => undefined);
  }

  async hosts(options?: DiscoveryWaits): Promise<readonly Host[]> {
    this.#admit(options);
    const entries = await this.#store.list(this.#prefix, options);
    return entries.flatMap((entry) => this.#read(entry) ?? []);
  }

  watch(options?: DiscoveryWaits): AsyncIterable<HostEvent> {
    this.#admit(options);
    return this.#watch(AbortSignal.any([this.#closed.signal, ...(options?.signal ? [options.signal] : [])]));
  }

  async advertise(given: Host, options?: DiscoveryWaits): Promise<Advertisement> {
    this.#admit(options);
    const host = checkHost(given);
    await this.#announced.get(host.id)?.withdraw();
    // Before it is written, since this host's own watch may tell of it at once.
    this.#own.add(host.id);
    const announced = new Announcement({
      store: this.#store,
      key: this.#prefix + host.id,
      host,
      ttlMs: this.#ttlMs,
      report: this.#report,
    });
    try {
      await announced.begin(options?.signal);
    } catch (error) {
      this.#own.delete(host.id);
      // Its time to live ends the lease, where the store is away.
      await announced.withdraw().catch((failure: unknown) => this.#tell(failure));
      throw error;
    }
    this.#announced.set(host.id, announced);
    return announced;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    const outcomes = await Promise.allSettled([...this.#announced.values()].map((each) => each.withdraw()));
    // A store that is away lets the lease run out instead.
    for (const outcome of outcomes) if (outcome.status === 'rejected') this.#tell(outcome.reason);
  }

  async *#watch(over: AbortSignal): AsyncGenerator<HostEvent> {
    const known = new Map<string, { readonly host: Host; readonly version: number }>();
    while (!over.aborted) {
      // First the watch, then the list: what happens between the two is told, and told once by its version.
      const round = new AbortController();
      const changes = this.#store.watch(this.#prefix, { signal: AbortSignal.any([over, round.signal]) });
      try {
        yield* this.#differences(known, await this.#store.list(this.#prefix, { signal: over }));
        for await (const change of changes) {
          if (change.type === 'put') yield* this.#changed(known, change.entry.key, change.entry);
          else yield* this.#changed(known, change.key, undefined);
        }
        // A watch that ends unasked is that of a store that was closed.
        return;
      } catch (error) {
        if (over.aborted) return;
        if (!LibnetworkError.is(error, 'UNAVAILABLE')) throw error;
        this.#tell(error);
        await delay(RETRY_MS, undefined, { signal: over }).catch(() => undefined);
      } finally {
        round.abort();
      }
    }
  }

  *#differences(known: Known, entries: readonly Entry[]): Generator<HostEvent> {
    const now = new Set(entries.map((entry) => entry.key));
    for (const key of [...known.keys()]) if (!now.has(key)) yield* this.#changed(known, key, undefined);
    for (const entry of entries) yield* this.#changed(known, entry.key, entry);
  }

  *#changed(known: Known, key: string, entry: Entry | undefined): Generator<HostEvent> {
    const before = known.get(key);
    if (entry !== undefined && before !== undefined && entry.version <= before.version) return;
    const host = entry && this.#read(entry);
    if (before !== undefined && host !== undefined && sameHost(before.host, host)) {
      known.set(key, { host, version: entry?.version ?? 0 });
      return;
    }
    known.delete(key);
    if (before !== undefined) yield this.#event('leave', before.host);
    if (host === undefined || entry === undefined) return;
    known.set(key, { host, version: entry.version });
    yield this.#event('join', host);
  }

  #event(type: HostEvent['type'], host: Host): HostEvent {
    return { type, host, self: this.#own.has(host.id) };
  }

  /** Undefined, and a report, for what is no host. */
  #read(entry: Entry): Host | undefined {
    // A controller without an address: its networks end at its host, and nobody sends to it.
    if (isAddressless(entry.value)) return undefined;
    try {
      const host = checkHost(entry.value as Host);
      if (this.#prefix + host.id === entry.key) return host;
      throw invalid('host.id', host.id, `must be the last part of its key ${entry.key}`);
    } catch (cause) {
      this.#report(
        new LibnetworkError('INTERNAL', `the record ${entry.key} is no host`, { field: entry.key, cause }),
      );
      return undefined;
    }
  }

  #tell(error: unknown): void {
    this.#report(
      LibnetworkError.is(error)
        ? error
        : new LibnetworkError('INTERNAL', 'discovery failed', { cause: error }),
    );
  }

  #admit(options: DiscoveryWaits | undefined): void {
    if (this.#closed.signal.aborted) throw new LibnetworkError('UNAVAILABLE', 'discovery is closed');
    throwIfAborted(options?.signal);
  }
}

type Known = Map<string, { readonly host: Host; readonly version: number }>;

function isAddressless(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'id' in value && !('address' in value);
}
