import { invalid } from '../errors.ts';
import type { Entry, StoreEvent, StoreOperation } from './datastore.ts';
import { compareKeys, conditionFailed, decodeValue, encodeValue, holds } from './entry.ts';

/** Time as a backing sees it: leases run by it. Tests bring one that they turn by hand. */
export interface StoreClock {
  /** Calls `action` after `ms` milliseconds; the answer cancels it. */
  after(ms: number, action: () => void): () => void;
}

const systemClock: StoreClock = {
  after(ms, action) {
    const timer = setTimeout(action, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** What memory stores keep their data in. Default clock: the system's. */
export function memoryBacking(options: { readonly clock?: StoreClock | undefined } = {}): MemoryBacking {
  return new MemoryBacking(options.clock ?? systemClock);
}

/** The data of memory stores. All of it is synchronous, so every call is atomic. */
export class MemoryBacking {
  /** Called for every change, after it. */
  readonly listeners = new Set<(event: StoreEvent) => void>();
  readonly #clock: StoreClock;
  readonly #entries = new Map<string, Entry>();
  readonly #holders = new Map<string, LeaseGrant>();
  readonly #grants = new Set<LeaseGrant>();
  #revision = 0;

  constructor(clock: StoreClock) {
    this.#clock = clock;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  list(prefix: string): readonly Entry[] {
    return [...this.#entries.values()]
      .filter((entry) => entry.key.startsWith(prefix))
      .sort((a, b) => compareKeys(a.key, b.key));
  }

  /** Applies all or, when a condition does not hold, throws CONFLICT and applies none. */
  commit(operations: readonly StoreOperation[], grant?: LeaseGrant): readonly number[] {
    for (const { key, ifVersion } of operations) {
      const version = this.#entries.get(key)?.version ?? 0;
      if (!holds(ifVersion, version)) throw conditionFailed(key, ifVersion, version);
    }
    const values = operations.map((each) =>
      each.op === 'put' ? decodeValue(encodeValue(each.key, each.value)) : undefined,
    );
    const versions: number[] = [];
    operations.forEach((each, i) => {
      if (each.op === 'put') versions.push(this.#put(each.key, values[i], grant));
      else this.#delete(each.key);
    });
    return versions;
  }

  /** A lease that renews itself three times in its time to live. */
  grant(ttlMs: number): LeaseGrant {
    if (!(ttlMs > 0)) throw invalid('ttlMs', ttlMs, 'must be a positive number of milliseconds');
    const grant = new LeaseGrant(this.#clock, ttlMs, () => this.#lose(grant));
    this.#grants.add(grant);
    return grant;
  }

  /** Ends a lease by its holder's wish and deletes its keys. */
  revoke(grant: LeaseGrant): void {
    if (!this.#grants.delete(grant)) return;
    grant.end();
    for (const [key, holder] of [...this.#holders]) if (holder === grant) this.#delete(key);
  }

  /** Ends every lease at once, as if all their holders had been silent for too long. */
  expireLeases(): void {
    for (const grant of [...this.#grants]) this.#lose(grant);
  }

  #lose(grant: LeaseGrant): void {
    this.revoke(grant);
    grant.tellLost();
  }

  #put(key: string, value: unknown, grant: LeaseGrant | undefined): number {
    // Versions come from one counter for all keys, so that a key made again never repeats an old version.
    const version = ++this.#revision;
    const entry = Object.freeze({ key, value, version });
    this.#entries.set(key, entry);
    if (grant === undefined) this.#holders.delete(key);
    else this.#holders.set(key, grant);
    this.#emit({ type: 'put', entry });
    return version;
  }

  #delete(key: string): void {
    this.#holders.delete(key);
    if (this.#entries.delete(key)) this.#emit({ type: 'delete', key });
  }

  #emit(event: StoreEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

/** One lease: it lives as long as it is renewed. */
export class LeaseGrant {
  readonly #lost = new AbortController();
  readonly #clock: StoreClock;
  readonly #ttlMs: number;
  readonly #expire: () => void;
  #ended = false;
  #cancelExpiry: () => void = () => undefined;
  #cancelRenewal: () => void = () => undefined;

  constructor(clock: StoreClock, ttlMs: number, expire: () => void) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#expire = expire;
    this.#renew();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get alive(): boolean {
    return !this.#ended;
  }

  /** The holder falls silent: the lease runs out one time to live after the last renewal. */
  stopRenewing(): void {
    this.#cancelRenewal();
  }

  end(): void {
    this.#ended = true;
    this.#cancelExpiry();
    this.#cancelRenewal();
  }

  tellLost(): void {
    this.#lost.abort();
  }

  #renew(): void {
    this.#cancelExpiry();
    this.#cancelExpiry = this.#clock.after(this.#ttlMs, this.#expire);
    this.#cancelRenewal = this.#clock.after(this.#ttlMs / 3, () => this.#renew());
  }
}
