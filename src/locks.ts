import { AsyncLocalStorage } from 'node:async_hooks';
import { LibnetworkError, throwIfAborted } from './errors.ts';

/** Locks are taken in this order, never against it. */
export const RANKS = ['sandbox', 'network', 'endpoint'] as const;
export type Rank = (typeof RANKS)[number];

/**
 * Keyed mutual exclusion: calls under one rank and key run one after the other, in the order they came.
 * With `checked`, taking a lock out of order throws INTERNAL (tests turn it on; it costs an async context).
 */
export class Locks {
  readonly #tails = new Map<string, Promise<void>>();
  readonly #held: AsyncLocalStorage<readonly Rank[]> | undefined;

  constructor(options: { readonly checked?: boolean } = {}) {
    this.#held = options.checked ? new AsyncLocalStorage() : undefined;
  }

  async with<T>(rank: Rank, key: string, signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> {
    const held = this.#checkOrder(rank);
    const name = `${rank} ${key}`;
    const before = this.#tails.get(name);
    let release: () => void = () => undefined;
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#tails.set(name, mine);
    const done = (): void => {
      if (this.#tails.get(name) === mine) this.#tails.delete(name);
      release();
    };
    try {
      if (before) await abortable(before, signal);
      throwIfAborted(signal);
    } catch (aborted) {
      // Whoever waits behind us still has to wait for those before us.
      void (before ?? Promise.resolve()).then(done);
      throw aborted;
    }
    try {
      return await (this.#held && held ? this.#held.run([...held, rank], act) : act());
    } finally {
      done();
    }
  }

  /** Runs what was only begun under locks, and holds none of them. */
  apart<T>(act: () => Promise<T>): Promise<T> {
    return this.#held ? this.#held.run([], act) : act();
  }

  #checkOrder(rank: Rank): readonly Rank[] | undefined {
    if (!this.#held) return undefined;
    const held = this.#held.getStore() ?? [];
    const wrong = held.find((other) => RANKS.indexOf(other) >= RANKS.indexOf(rank));
    if (wrong)
      throw new LibnetworkError('INTERNAL', `the ${rank} lock was taken while the ${wrong} lock is held`);
    return held;
  }
}

/** Waits for a promise that never rejects, but not beyond the signal. */
function abortable(wait: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return wait;
  return new Promise((resolve, reject) => {
    const onAbort = (): void =>
      reject(new LibnetworkError('ABORTED', 'the operation was aborted', { cause: signal.reason }));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void wait.then(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}

/**
 * Operations pass together; a reconcile passes alone: it waits until those under way have ended, and those that
 * come meanwhile wait for it.
 */
export class Gate {
  #inside = 0;
  #closed: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;

  /** @throws ABORTED when the signal fires while it waits */
  async shared<T>(act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (this.#closed) await abortable(this.#closed, signal);
    this.#inside++;
    try {
      return await act();
    } finally {
      this.#inside--;
      if (this.#inside === 0) this.#onEmpty?.();
    }
  }

  /** @throws ABORTED when the signal fires while it waits */
  async alone<T>(act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (this.#closed) await abortable(this.#closed, signal);
    let open: () => void = () => undefined;
    this.#closed = new Promise((resolve) => {
      open = resolve;
    });
    try {
      if (this.#inside > 0) {
        const empty = new Promise<void>((resolve) => {
          this.#onEmpty = resolve;
        });
        await abortable(empty, signal);
      }
      return await act();
    } finally {
      this.#onEmpty = undefined;
      this.#closed = undefined;
      open();
    }
  }
}
