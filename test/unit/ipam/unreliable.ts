import type { Datastore } from '../../../src/datastore/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import type { Random } from './random.ts';

/** How often each write meets a fault. */
export interface Odds {
  /** It fails and does nothing. */
  fail: number;
  /** It is done, but its caller hears that it failed. */
  landed: number;
  /** The process dies before or after it. */
  crash: number;
}

/** A store that fails at random, and a process that dies of it. */
export class Unreliable {
  readonly store: Datastore;
  readonly #inner: Datastore;
  readonly #random: Random;
  readonly #odds: Odds;
  faults = 0;
  dead = false;

  constructor(inner: Datastore, random: Random, odds: Odds) {
    this.#inner = inner;
    this.#random = random;
    this.#odds = odds;
    this.store = {
      scope: inner.scope,
      get: (...args) => this.#read(() => inner.get(...args)),
      list: (...args) => this.#read(() => inner.list(...args)),
      put: (...args) => this.#write(() => inner.put(...args)),
      delete: (...args) => this.#write(() => inner.delete(...args)),
      transaction: (...args) => this.#write(() => inner.transaction(...args)),
      watch: (...args) => inner.watch(...args),
      lease: (ttlMs) =>
        this.#write(() => inner.lease?.(ttlMs) ?? Promise.reject(new Error('it knows no leases'))),
      close: () => inner.close(),
    };
  }

  /** Kills the process: nothing that it does arrives any more, and its leases are not renewed. */
  kill(): void {
    this.dead = true;
    void this.#inner.close();
  }

  async #read<T>(act: () => Promise<T>): Promise<T> {
    if (this.dead) throw new LibnetworkError('UNAVAILABLE', 'the process is dead');
    return act();
  }

  async #write<T>(act: () => Promise<T>): Promise<T> {
    if (this.dead) throw new LibnetworkError('UNAVAILABLE', 'the process is dead');
    const fault = this.#roll();
    if (fault === 'none') return act();
    this.faults++;
    if (fault === 'landed' || fault === 'crash after') await act();
    if (fault === 'crash before' || fault === 'crash after') this.kill();
    throw new LibnetworkError('UNAVAILABLE', 'a fault was injected', { operation: 'write' });
  }

  #roll(): 'none' | 'fail' | 'landed' | 'crash before' | 'crash after' {
    const { fail, landed, crash } = this.#odds;
    const roll = this.#random.next();
    if (roll < fail) return 'fail';
    if (roll < fail + landed) return 'landed';
    if (roll < fail + landed + crash / 2) return 'crash before';
    return roll < fail + landed + crash ? 'crash after' : 'none';
  }
}
