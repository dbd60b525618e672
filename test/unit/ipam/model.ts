import { expect } from 'vitest';
import { type Family, formatAddress, type Prefix, parseCidr, parsePrefix, sizeOf } from '../../../src/ip.ts';
import type { AllocatedPool, HeldPool } from '../../../src/ipam/index.ts';

/** How long a released address rests, in the model's milliseconds. */
export const REST_MS = 1000;
/** Rests are stored rounded up by at most this much. */
const ROUNDING_MS = REST_MS / 16 + 1;

/** What a pool must do, with plain sets: who holds what, and what rests. */
export class PoolModel {
  readonly pool: AllocatedPool;
  readonly prefix: Prefix;
  readonly size: bigint;
  readonly held = new Set<bigint>();
  /** Until when an address rests at least, and at most, since a release takes its time. */
  readonly #restsUntil = new Map<bigint, { readonly least: number; readonly most: number }>();
  #unsureUntil = 0;

  constructor(pool: AllocatedPool) {
    this.pool = pool;
    this.prefix = parsePrefix(pool.subnet) ?? expect.unreachable(pool.subnet);
    this.size = sizeOf(this.prefix);
  }

  get family(): Family {
    return this.prefix.family;
  }

  text(ordinal: bigint): string {
    return formatAddress({ family: this.family, value: this.prefix.value + ordinal });
  }

  ordinal(address: string): bigint {
    const parsed = parseCidr(address) ?? expect.unreachable(address);
    expect(parsed.prefix).toEqual(this.prefix);
    return parsed.address.value - this.prefix.value;
  }

  isEdge(ordinal: bigint): boolean {
    if (this.family === 'ipv6') return ordinal === 0n;
    return this.prefix.length < 31 && (ordinal === 0n || ordinal === this.size - 1n);
  }

  get capacity(): bigint {
    if (this.family === 'ipv6') return this.size - 1n;
    return this.prefix.length < 31 ? this.size - 2n : this.size;
  }

  get isFull(): boolean {
    return BigInt(this.held.size) === this.capacity;
  }

  hold(ordinal: bigint): void {
    // The one promise that all else is for.
    if (this.held.has(ordinal))
      expect.unreachable(`${this.text(ordinal)} of ${this.pool.id} was given twice`);
    if (this.isEdge(ordinal))
      expect.unreachable(`${this.text(ordinal)} of ${this.pool.id} must never be given`);
    this.held.add(ordinal);
    this.#restsUntil.delete(ordinal);
  }

  /** A release began and ended. */
  rest(ordinal: bigint, began: number, ended: number): void {
    this.#restsUntil.set(ordinal, { least: began + REST_MS, most: ended + REST_MS });
  }

  rests(ordinal: bigint, now: number): boolean {
    return (this.#restsUntil.get(ordinal)?.least ?? 0) > now;
  }

  forgetRests(): void {
    this.#restsUntil.clear();
  }

  /** Addresses may rest of which the model does not know. */
  unsure(now: number): void {
    this.#unsureUntil = now + REST_MS + ROUNDING_MS;
  }

  /** An address that rests may only be given when every other one is held, or may rest still. */
  checkGiven(ordinal: bigint, now: number): void {
    if (!this.rests(ordinal, now) || this.#unsureUntil > now) return;
    let unavailable = BigInt(this.held.size);
    for (const [other, until] of this.#restsUntil) {
      if (until.most + ROUNDING_MS <= now) this.#restsUntil.delete(other);
      else if (!this.held.has(other)) unavailable++;
    }
    if (unavailable < this.capacity)
      expect.unreachable(
        `${this.text(ordinal)} of ${this.pool.id} was given while it rested, and others were free`,
      );
  }

  record(addressSpace: string): HeldPool {
    const addresses = [...this.held].map((ordinal) => {
      const address = this.text(ordinal);
      return { address, holder: `holder of ${address}` };
    });
    return { pool: this.pool, addressSpace, addresses };
  }
}
