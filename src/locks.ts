import { AsyncLocalStorage } from 'node:async_hooks';
import { abortable } from './abortable.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';

/** Locks are taken in this order, never against it. */
const RANKS = ['sandbox', 'network', 'endpoint'] as const;
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

  /** Whether an operation holds it or waits for it. */
  isHeld(rank: Rank, key: string): boolean {
    return this.#tails.has(`${rank} ${key}`);
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

/**
 * Operations pass together; a reconcile passes alone: it waits until those under way have ended, and those that
 * come meanwhile wait for it. An operation that waits for another process (a plugin) is outside meanwhile: nobody
 * waits for a stranger. What it had begun is recorded, and under its locks.
 */
export class Gate {
  /** Operations, or parts of one that go side by side. */
  #inside = 0;
  #outside = 0;
  #closed: Promise<void> | undefined;
  #watchers: (() => void)[] = [];

  /** @throws ABORTED when the signal fires while it waits */
  async shared<T>(act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(signal);
    try {
      return await act();
    } finally {
      this.#leave();
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
      await this.#until(() => this.#inside === 0, signal);
      return await act();
    } finally {
      this.#closed = undefined;
      open();
    }
  }

  /** The wait of an operation for another process. It comes back in when nobody is alone. */
  async outside<T>(act: () => Promise<T>): Promise<T> {
    // No operation asks: it is who is alone, a start, or an end.
    if (this.#inside === 0) return act();
    this.#outside++;
    this.#leave();
    try {
      return await act();
    } finally {
      await this.#enter();
      this.#outside--;
    }
  }

  /** An operation of which only parts pass the gate: it is waited for at the end, and by nobody else. */
  async beside<T>(act: () => Promise<T>): Promise<T> {
    this.#outside++;
    try {
      return await act();
    } finally {
      this.#outside--;
      this.#tell();
    }
  }

  /** Parts of one operation, side by side: one that waits outside does not let the others count as outside, too. */
  sideBySide<T>(parts: readonly (() => Promise<T>)[]): Promise<T>[] {
    if (this.#inside === 0) return parts.map((part) => part());
    let left = parts.length;
    this.#inside += Math.max(0, left - 1);
    return parts.map(async (part) => {
      try {
        return await part();
      } finally {
        if (--left > 0) this.#leave();
      }
    });
  }

  /** Waits for all operations, those outside too. */
  drained(): Promise<void> {
    return this.#until(() => this.#inside === 0 && this.#outside === 0, undefined);
  }

  async #enter(signal?: AbortSignal): Promise<void> {
    while (this.#closed) await abortable(this.#closed, signal);
    this.#inside++;
  }

  #leave(): void {
    this.#inside--;
    this.#tell();
  }

  #tell(): void {
    for (const tell of this.#watchers.splice(0)) tell();
  }

  async #until(reached: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    while (!reached()) {
      const change = new Promise<void>((resolve) => void this.#watchers.push(resolve));
      await abortable(change, signal);
    }
  }
}
