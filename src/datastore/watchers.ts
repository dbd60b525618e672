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

class Watch implements AsyncIterableIterator<StoreEvent> {
  readonly prefix: string;
  readonly #detach: () => void;
  readonly #events: StoreEvent[] = [];
  readonly #readers: ((result: IteratorResult<StoreEvent>) => void)[] = [];
  #ended = false;
  #overrun = false;

  constructor(prefix: string, detach: () => void) {
    this.prefix = prefix;
    this.#detach = detach;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(event: StoreEvent): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) reader({ value: event, done: false });
    else if (this.#events.push(event) > MAX_WATCH_BACKLOG) {
      this.#events.length = 0;
      this.#overrun = true;
      this.end();
    }
  }

  /** Ends the watch; what is waiting in it can still be read. */
  readonly end = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#detach();
    for (const reader of this.#readers.splice(0)) reader({ value: undefined, done: true });
  };

  next(): Promise<IteratorResult<StoreEvent>> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve({ value: event, done: false });
    if (this.#overrun) return Promise.reject(overrun(this.prefix));
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#readers.push(resolve));
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
