import { setTimeout as delay } from 'node:timers/promises';
import type { Datastore, Lease } from '../datastore/datastore.ts';
import { invalid, LibnetworkError } from '../errors.ts';
import type { Advertisement, Host } from './discovery.ts';

export interface AnnouncementParts {
  readonly store: Datastore;
  readonly key: string;
  readonly host: Host;
  readonly ttlMs: number;
  readonly report: (error: LibnetworkError) => void;
  readonly signal: AbortSignal | undefined;
}

export type Announced = Advertisement;

const RETRY_MS = 500;

/** Writes the host under a lease, and again under a new one whenever the lease was lost. */
export async function announce(parts: AnnouncementParts): Promise<Announced> {
  const lease = await takeLease(parts, parts.signal);
  return new Announcement(parts, lease);
}

class Announcement implements Announced {
  readonly host: Host;
  readonly #parts: AnnouncementParts;
  readonly #withdrawn = new AbortController();
  readonly #keeping: Promise<void>;
  #lease: Lease | undefined;

  constructor(parts: AnnouncementParts, lease: Lease) {
    this.host = parts.host;
    this.#parts = parts;
    this.#lease = lease;
    this.#keeping = this.#keep(lease);
  }

  get live(): boolean {
    return this.#lease !== undefined && !this.#lease.lost.aborted;
  }

  async withdraw(): Promise<void> {
    this.#withdrawn.abort();
    await this.#keeping;
    const lease = this.#lease;
    this.#lease = undefined;
    await lease?.release();
  }

  async #keep(first: Lease): Promise<void> {
    const over = this.#withdrawn.signal;
    for (let lease: Lease | undefined = first; lease !== undefined; lease = await this.#again()) {
      this.#lease = lease;
      await fired(lease.lost, over);
      if (over.aborted) return;
      this.#lease = undefined;
      const { host } = this;
      this.#parts.report(
        new LibnetworkError('UNAVAILABLE', `the lease of host ${host.id} lapsed; it is advertised anew`),
      );
    }
  }

  /** A new lease as soon as there is one to be had; none when it was withdrawn meanwhile. */
  async #again(): Promise<Lease | undefined> {
    const over = this.#withdrawn.signal;
    while (!over.aborted) {
      try {
        return await takeLease(this.#parts, over);
      } catch (error) {
        if (over.aborted) return undefined;
        this.#parts.report(
          LibnetworkError.is(error)
            ? error
            : new LibnetworkError('INTERNAL', `host ${this.host.id} can't be advertised`, { cause: error }),
        );
        await delay(RETRY_MS, undefined, { signal: over }).catch(() => undefined);
      }
    }
    return undefined;
  }
}

async function takeLease(parts: AnnouncementParts, signal: AbortSignal | undefined): Promise<Lease> {
  const { store, key, host, ttlMs } = parts;
  const lease = await store.lease?.(ttlMs, { signal });
  if (lease === undefined) throw invalid('store', store.scope, 'must be a store with leases');
  try {
    await lease.put(key, host, { ifVersion: await versionToReplace(store, key, host, signal), signal });
    return lease;
  } catch (error) {
    // Its time to live ends it, where the store is away.
    await lease.release().catch((failure: unknown) => {
      if (LibnetworkError.is(failure)) parts.report(failure);
    });
    throw error;
  }
}

/** What this host left under its id before a restart is its own; another address is another host. */
async function versionToReplace(
  store: Datastore,
  key: string,
  host: Host,
  signal: AbortSignal | undefined,
): Promise<number> {
  const found = await store.get(key, { signal });
  if (found === undefined) return 0;
  const { address } = found.value as Partial<Host>;
  if (address === host.address) return found.version;
  throw new LibnetworkError(
    'CONFLICT',
    `host ${host.id} lives already at ${address}; give this host an id of its own, or wait until that one's lease is over`,
    { field: 'host.id', value: host.id, holder: String(address) },
  );
}

function fired(...signals: AbortSignal[]): Promise<void> {
  const any = AbortSignal.any(signals);
  if (any.aborted) return Promise.resolve();
  return new Promise((resolve) => any.addEventListener('abort', () => resolve(), { once: true }));
}
