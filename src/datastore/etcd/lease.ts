import type { LeaseClient } from 'etcd3';
import { LibnetworkError } from '../../errors.ts';
import type { Lease, StoreWaits, WriteCondition } from '../datastore.ts';
import { Backoff, pause } from '../remote/pause.ts';
import { failureKind } from './failure.ts';
import type { Members } from './members.ts';

export interface EtcdLeaseParts {
  readonly members: Members;
  readonly id: string;
  readonly ttlMs: number;
  /** When the request that granted it went out, by `performance.now()`: etcd counts from no earlier. */
  readonly grantedAt: number;
  readonly put: (
    id: string,
    key: string,
    value: unknown,
    options?: StoreWaits & WriteCondition,
  ) => Promise<number>;
  readonly revoke: (id: string) => Promise<void>;
}

type KeepAlive = Awaited<ReturnType<LeaseClient['leaseKeepAlive']>>;

/**
 * A lease that renews itself three times in its time to live. Its holder counts it as lost when etcd says so, or
 * when the last renewal that etcd confirmed was sent longer ago than the time to live: then etcd may have given its
 * keys away.
 */
export class EtcdLease implements Lease {
  readonly #parts: EtcdLeaseParts;
  readonly #lost = new AbortController();
  /** Fires when it needs no renewal any more. */
  readonly #over = new AbortController();
  #sentAt: number;
  #confirmedAt: number;

  constructor(parts: EtcdLeaseParts) {
    this.#parts = parts;
    this.#sentAt = parts.grantedAt;
    this.#confirmedAt = parts.grantedAt;
    void this.#renew();
    void this.#expire();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async put(key: string, value: unknown, options?: StoreWaits & WriteCondition): Promise<number> {
    if (this.#over.signal.aborted) throw gone(key);
    try {
      return await this.#parts.put(this.#parts.id, key, value, options);
    } catch (error) {
      if (!isLeaseGone(error)) throw error;
      this.#lose();
      throw gone(key, error);
    }
  }

  async release(): Promise<void> {
    if (this.#over.signal.aborted) return;
    this.stopRenewing();
    try {
      await this.#parts.revoke(this.#parts.id);
    } catch (error) {
      if (!isLeaseGone(error)) throw error;
    }
  }

  /** The holder falls silent: etcd takes the keys when the time to live is over. */
  stopRenewing(): void {
    this.#over.abort();
  }

  #lose(): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.#lost.abort();
  }

  /** The holder's own clock, for when etcd can't be asked. */
  async #expire(): Promise<void> {
    for (;;) {
      const left = this.#confirmedAt + this.#parts.ttlMs - performance.now();
      if (left <= 0) return this.#lose();
      await pause(left, this.#over.signal);
      if (this.#over.signal.aborted) return;
    }
  }

  async #renew(): Promise<void> {
    const backoff = new Backoff();
    while (!this.#over.signal.aborted) {
      const { client, options, failed } = this.#parts.members.stream();
      try {
        const stream = await client.leaseClient.leaseKeepAlive(options);
        await this.#keepAlive(stream, backoff);
      } catch (error) {
        if (isLeaseGone(error)) return this.#lose();
        if (failureKind(error) !== 'final') failed();
        await backoff.wait(this.#over.signal);
      }
    }
  }

  /** Sends a renewal at every third of the time to live; throws when one stays unanswered until the next. */
  async #keepAlive(stream: KeepAlive, backoff: Backoff): Promise<void> {
    const { id, ttlMs } = this.#parts;
    const broken = new Promise<never>((_, reject) => {
      stream.on('error', reject);
      stream.on('end', () => reject(new LibnetworkError('UNAVAILABLE', 'etcd ended the renewals')));
      stream.on('data', (response) => {
        if (Number(response.TTL) <= 0) reject(new LibnetworkError('NOT_FOUND', 'lease not found'));
        this.#confirmedAt = Math.max(this.#confirmedAt, this.#sentAt);
        backoff.reset();
      });
    });
    broken.catch(() => undefined);
    try {
      while (!this.#over.signal.aborted) {
        const before = this.#sentAt;
        this.#sentAt = performance.now();
        stream.write({ ID: id });
        await Promise.race([pause(ttlMs / 3, this.#over.signal), broken]);
        if (this.#confirmedAt < this.#sentAt && !this.#over.signal.aborted) {
          this.#sentAt = before;
          throw new LibnetworkError('UNAVAILABLE', 'etcd did not answer a renewal');
        }
      }
    } finally {
      stream.cancel();
    }
  }
}

function isLeaseGone(error: unknown): boolean {
  return error instanceof Error && /lease not found|is expired or revoked/i.test(error.message);
}

function gone(key: string, cause?: unknown): LibnetworkError {
  return new LibnetworkError('UNAVAILABLE', `the lease for ${key} is gone; take a new one`, {
    operation: `lease put ${key}`,
    cause,
  });
}
