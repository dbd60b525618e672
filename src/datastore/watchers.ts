import { LibnetworkError, throwIfAborted } from '../errors.ts';
import type { StoreEvent } from './datastore.ts';

/** A watcher that falls this many events behind is ended, so that it can't fill the memory. */
export const MAX_WATCH_BACKLOG = 65_536;

/** The watches of one store: every event goes to those whose prefix its key has. */
export class Watchers {
  readonly #watches = new Set<Watch>();
  #ended = false;

  /** Events from this call on, until the signal fires or the store closes. */
  watch(prefix: string, signal?: AbortSignal): AsyncIterable<StoreEvent> {
    throwIfAborted(signal);
    const watch = new Watch(prefix, () => {
      this.#watches.delete(watch);
      signal?.removeEventListener('abort', watch.end);
    });
    if (this.#ended) watch.end();
    else this.#watches.add(watch);
    signal?.addEventListener('abort', watch.end, { once: true });
    return watch;
  }

  emit(event: StoreEvent): void {
    if (this.#watches.size === 0) return;
    const key = event.type === 'put' ? event.entry.key : event.key;
    for (const watch of this.#watches) if (key.startsWith(watch.prefix)) watch.push(event);
  }

  get watching(): boolean {
    return this.#watches.size > 0;
  }

  end(): void {
    this.#ended = true;
    for (const watch of [...this.#watches]) watch.end();
  }
}

interface Reader {
  readonly resolve: (result: IteratorResult<StoreEvent>) => void;
  readonly reject: (error: unknown) => void;
}

/** One watch's events, between who tells them and who reads them. */
export class Watch implements AsyncIterableIterator<StoreEvent> {
  readonly prefix: string;
  readonly #detach: () => void;
  readonly #events: StoreEvent[] = [];
  readonly #readers: Reader[] = [];
  #ended = false;
  #failure: LibnetworkError | undefined;

  constructor(prefix: string, detach: () => void) {
    this.prefix = prefix;
    this.#detach = detach;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(event: StoreEvent): void {
    if (this.#ended) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve({ value: event, done: false });
    else if (this.#events.push(event) > MAX_WATCH_BACKLOG) {
      this.#events.length = 0;
      this.fail(overrun(this.prefix));
    }
  }

  /** Ends the watch: its reader gets the error after what is waiting. */
  fail(error: LibnetworkError): void {
    if (this.#ended) return;
    const reader = this.#readers[0];
    if (reader === undefined) this.#failure = error;
    else {
      this.#readers.shift();
      reader.reject(error);
    }
    this.end();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the watch; what is waiting in it can still be read. */
  readonly end = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#detach();
    for (const reader of this.#readers.splice(0)) reader.resolve({ value: undefined, done: true });
  };

  next(): Promise<IteratorResult<StoreEvent>> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve({ value: event, done: false });
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<StoreEvent>> {
    this.#events.length = 0;
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }
}

function overrun(prefix: string): LibnetworkError {
  return new LibnetworkError(
    'UNAVAILABLE',
    `the watch on ${prefix} fell more than ${MAX_WATCH_BACKLOG} events behind and was ended; list the prefix again and watch anew`,
    { operation: `watch ${prefix}`, limit: 'MAX_WATCH_BACKLOG' },
  );
}
