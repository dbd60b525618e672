/** The store that hosts share, as a start sees it: where it does not answer, that is waited for once. */
import { abortable } from '../abortable.ts';
import type { Datastore, Lease, StoreEvent, StoreWaits } from '../datastore/datastore.ts';
import { LibnetworkError } from '../errors.ts';
import { isCutOff } from './follow.ts';

type Ask<T> = (waits: StoreWaits) => Promise<T>;

export class StartingStore implements Datastore {
  readonly scope: Datastore['scope'];
  readonly lease?: NonNullable<Datastore['lease']>;
  readonly #store: Datastore;
  readonly #timeoutMs: number;
  #isStarting = false;
  /** Of the first call of the start that was not answered. */
  #silence: LibnetworkError | undefined;

  /** @param timeoutMs how long a call of the start may take */
  constructor(store: Datastore, timeoutMs: number) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.scope = store.scope;
    if (store.lease !== undefined) this.lease = (ttlMs, waits) => this.#takeLease(ttlMs, waits);
  }

  /** Has every call fail at once after the first that is not answered, until the start is over. */
  async whileStarting<T>(start: () => Promise<T>): Promise<T> {
    this.#isStarting = true;
    try {
      return await start();
    } finally {
      this.#isStarting = false;
      this.#silence = undefined;
    }
  }

  get(...[key, waits]: Parameters<Datastore['get']>): ReturnType<Datastore['get']> {
    return this.#ask(waits, (until) => this.#store.get(key, until));
  }

  put(...[key, value, waits]: Parameters<Datastore['put']>): Promise<number> {
    return this.#ask(waits, (until) => this.#store.put(key, value, { ...waits, ...until }));
  }

  delete(...[key, waits]: Parameters<Datastore['delete']>): Promise<boolean> {
    return this.#ask(waits, (until) => this.#store.delete(key, { ...waits, ...until }));
  }

  list(...[prefix, waits]: Parameters<Datastore['list']>): ReturnType<Datastore['list']> {
    return this.#ask(waits, (until) => this.#store.list(prefix, until));
  }

  transaction(
    ...[operations, waits]: Parameters<Datastore['transaction']>
  ): ReturnType<Datastore['transaction']> {
    return this.#ask(waits, (until) => this.#store.transaction(operations, until));
  }

  watch(prefix: string, waits?: StoreWaits): AsyncIterable<StoreEvent> {
    return this.#store.watch(prefix, waits);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #takeLease(ttlMs: number, waits: StoreWaits | undefined): Promise<Lease> {
    const lease = await this.#ask(waits, async (until) => this.#store.lease?.(ttlMs, until));
    if (!lease) throw new LibnetworkError('INTERNAL', 'the global store has no leases any more');
    return {
      lost: lease.lost,
      put: (key, value, options) =>
        this.#ask(options, (until) => lease.put(key, value, { ...options, ...until })),
      release: () => lease.release(),
    };
  }

  async #ask<T>(waits: StoreWaits | undefined, ask: Ask<T>): Promise<T> {
    if (!this.#isStarting) return ask({ signal: waits?.signal });
    if (this.#silence) throw this.#silence;
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(), this.#timeoutMs);
    const signal = waits?.signal ? AbortSignal.any([waits.signal, over.signal]) : over.signal;
    try {
      return await abortable(ask({ signal }), over.signal);
    } catch (error) {
      if (!isCutOff(error) && !(over.signal.aborted && LibnetworkError.is(error, 'ABORTED'))) throw error;
      this.#silence = new LibnetworkError(
        'UNAVAILABLE',
        `the global store did not answer within ${this.#timeoutMs} ms: the start goes on without it`,
        { limit: 'cluster.startTimeoutMs', value: this.#timeoutMs, cause: error },
      );
      throw this.#silence;
    } finally {
      clearTimeout(timer);
    }
  }
}
