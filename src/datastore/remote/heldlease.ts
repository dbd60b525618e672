import { LibnetworkError } from '../../errors.ts';
import { pause } from '../../sleep.ts';
import type { Lease, StoreWaits, WriteCondition } from '../datastore.ts';

export interface HeldLeaseParts {
  readonly ttlMs: number;
  /** When the request that granted it went out, by `performance.now()`: the engine counts from no earlier. */
  readonly grantedAt: number;
  /** Renews it once; false when the engine says that it is gone. A failure is tried again until the time is over. */
  readonly renew: (signal: AbortSignal) => Promise<boolean>;
  /** @throws NOT_FOUND when the engine says that the lease is gone */
  readonly put: (key: string, value: unknown, options?: StoreWaits & WriteCondition) => Promise<number>;
  readonly release: () => Promise<void>;
}

/** The leases of one distributed store: their renewals end with it. */
export class LeaseSet {
  readonly #held = new Set<HeldLease>();
  #ended = false;

  hold(parts: HeldLeaseParts): Lease {
    const forget = () => this.#held.delete(lease);
    const lease = new HeldLease({ ...parts, release: () => parts.release().finally(forget) });
    this.#held.add(lease);
    lease.lost.addEventListener('abort', forget, { once: true });
    if (this.#ended) lease.stopRenewing();
    return lease;
  }

  /** Their holder falls silent: the engine takes their keys when their times to live are over. */
  end(): void {
    this.#ended = true;
    for (const lease of this.#held) lease.stopRenewing();
  }
}

/**
 * A lease that its holder renews three times in its time to live. It counts as lost when the engine says so, or when
 * the last renewal that was confirmed was sent longer ago than the time to live: then others may have its keys.
 */
export class HeldLease implements Lease {
  readonly #parts: HeldLeaseParts;
  readonly #lost = new AbortController();
  /** Fires when it needs no renewal any more. */
  readonly #over = new AbortController();
  #confirmedAt: number;

  constructor(parts: HeldLeaseParts) {
    this.#parts = parts;
    this.#confirmedAt = parts.grantedAt;
    void this.#renew();
    void this.#expire();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number> {
    if (this.#over.signal.aborted) throw leaseGone(key);
    try {
      return await this.#parts.put(key, value, options);
    } catch (error) {
      if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
      this.lose();
      throw leaseGone(key, error);
    }
  }

  async release(): Promise<void> {
    if (this.#over.signal.aborted) return;
    this.stopRenewing();
    await this.#parts.release();
  }

  /** The holder falls silent: the engine takes the keys when the time to live is over. */
  stopRenewing(): void {
    this.#over.abort();
  }

  lose(): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.#lost.abort();
  }

  async #expire(): Promise<void> {
    for (;;) {
      const left = this.#confirmedAt + this.#parts.ttlMs - performance.now();
      if (left <= 0) return this.lose();
      await pause(left, this.#over.signal);
      if (this.#over.signal.aborted) return;
    }
  }

  async #renew(): Promise<void> {
    const over = this.#over.signal;
    let wait = this.#parts.ttlMs / 3;
    for (;;) {
      await pause(wait, over);
      if (over.aborted) return;
      const sentAt = performance.now();
      try {
        if (!(await this.#parts.renew(over))) return this.lose();
        this.#confirmedAt = sentAt;
        wait = this.#parts.ttlMs / 3;
      } catch (error) {
        // The time to live decides; until then it is tried more often.
        if (!LibnetworkError.is(error)) throw error;
        wait = Math.min(this.#parts.ttlMs / 10, 1_000);
      }
    }
  }
}

function leaseGone(key: string, cause?: unknown): LibnetworkError {
  return new LibnetworkError('UNAVAILABLE', `the lease for ${key} is gone; take a new one`, {
    operation: `lease put ${key}`,
    cause,
  });
}
