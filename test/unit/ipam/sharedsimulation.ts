import { expect } from 'vitest';
import {
  type MemoryBacking,
  memoryBacking,
  memoryStore,
  type StoreClock,
} from '../../../src/datastore/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { createIpam, type Ipam } from '../../../src/ipam/index.ts';
import type { Random } from './random.ts';
import { type Odds, Unreliable } from './unreliable.ts';

const SPACE = 'GlobalDefault';
const SUBNET = '10.0.0.0/24';
const POOL = { id: `${SPACE}/${SUBNET}`, subnet: SUBNET, meta: {} };
const LEASE_MS = 10_000;
/** The least that a lease lasts when its holder dies: it is renewed three times in its time to live. */
const LEASE_LEFT_MS = LEASE_MS * 0.6;
const FAULTS: Odds = { fail: 0.02, landed: 0.02, crash: 0.004 };
const NO_FAULTS: Odds = { fail: 0, landed: 0, crash: 0 };

/** Time that the simulation turns. */
class Time implements StoreClock {
  now = 1_000_000;
  readonly #due = new Map<object, { readonly at: number; readonly action: () => void }>();

  after(ms: number, action: () => void): () => void {
    const key = {};
    this.#due.set(key, { at: this.now + ms, action });
    return () => this.#due.delete(key);
  }

  /** Moves on, running what is due on the way in its order. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = [...this.#due].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (next === undefined) break;
      const [key, { at, action }] = next;
      this.#due.delete(key);
      this.now = Math.max(this.now, at);
      action();
    }
    this.now = end;
  }
}

/** One controller, in one life after the other. */
interface Controller {
  readonly host: string;
  ipam: Ipam;
  unreliable: Unreliable;
  /** What it has on record: it outlives the process. */
  readonly held: Set<string>;
  /** When it died, of the time; undefined while it lives. */
  diedAt: number | undefined;
}

/** Several controllers on one global store that fails, with crashes; no address may be held twice. */
export class SharedSimulation {
  readonly #random: Random;
  readonly #time = new Time();
  readonly #backing: MemoryBacking = memoryBacking({ clock: this.#time });
  readonly #controllers: Controller[] = [];
  #deaths = 0;
  #takenOver = 0;
  #done = 0;

  constructor(random: Random, controllers: number) {
    this.#random = random;
    for (let i = 0; i < controllers; i++) {
      const host = `host${i}`;
      this.#controllers.push({ host, held: new Set(), diedAt: undefined, ...this.#process(host, NO_FAULTS) });
    }
  }

  async run(
    operations: number,
  ): Promise<{ readonly deaths: number; readonly takenOver: number; readonly done: number }> {
    const [first] = this.#controllers;
    await first?.ipam.requestPool({ addressSpace: SPACE, family: 'ipv4', subnet: SUBNET });
    for (const controller of this.#controllers)
      Object.assign(controller, this.#process(controller.host, FAULTS));
    for (let i = 0; i < operations; i += this.#controllers.length) {
      await Promise.all(this.#controllers.map((controller) => this.#step(controller)));
      this.#time.pass(this.#random.below(60));
    }
    await this.#checkNothingIsLost();
    return { deaths: this.#deaths, takenOver: this.#takenOver, done: this.#done };
  }

  async #step(controller: Controller): Promise<void> {
    if (controller.diedAt === undefined && controller.unreliable.dead) {
      controller.diedAt = this.#time.now;
      this.#deaths++;
    }
    if (controller.diedAt !== undefined) {
      // Some come back before their lease ends, some after.
      if (this.#random.chance(0.01)) await this.#revive(controller, FAULTS);
      return;
    }
    const [oldest] = controller.held;
    if (oldest !== undefined && this.#random.chance(controller.held.size / 80))
      await this.#release(controller, oldest);
    else await this.#request(controller);
  }

  async #request(controller: Controller): Promise<void> {
    const { ipam, unreliable } = controller;
    const answer = await outcome(ipam.requestAddress({ poolId: POOL.id }));
    if (!answer || unreliable.dead) return;
    this.#done++;
    this.#hold(controller, answer.address.split('/')[0] ?? '');
  }

  async #release(controller: Controller, address: string): Promise<void> {
    const { ipam, unreliable } = controller;
    controller.held.delete(address);
    // Of a release that failed nobody knows whether it was done; its caller asks again until it is.
    for (let tries = 0; tries < 20 && !unreliable.dead; tries++) {
      const released = ipam.releaseAddress(POOL.id, address).then(() => ({}));
      if ((await outcome(released)) !== undefined) return;
    }
  }

  /** The one promise that all else is for. */
  #hold(controller: Controller, address: string): void {
    for (const other of this.#controllers) {
      if (!other.held.has(address)) continue;
      const gone = other.diedAt !== undefined && this.#time.now - other.diedAt >= LEASE_LEFT_MS;
      if (!gone)
        expect.unreachable(`${address} is held by ${other.host} and was given to ${controller.host}`);
      other.held.delete(address);
      this.#takenOver++;
    }
    controller.held.add(address);
  }

  /** The next life of a controller, which asks first for what it has on record. */
  async #revive(controller: Controller, odds: Odds): Promise<void> {
    Object.assign(controller, this.#process(controller.host, odds));
    const late = controller.diedAt !== undefined && this.#time.now - controller.diedAt >= LEASE_LEFT_MS;
    const before = new Set(controller.held);
    const report = await outcome(reconcile(controller));
    if (report === undefined) {
      controller.unreliable.kill();
      return;
    }
    for (const line of report.missing) {
      // A controller that comes back in time has lost nothing that it was given.
      if (!late) expect.unreachable(`${controller.host} came back in time: ${line}`);
      if (line.includes(' holds it')) controller.held.delete(line.split(' ')[0] ?? '');
    }
    for (const address of controller.held) {
      expect(before.has(address)).toBe(true);
      for (const other of this.#controllers)
        if (other !== controller && other.held.has(address)) {
          expect(other.diedAt).toBeDefined();
          other.held.delete(address);
        }
    }
    controller.diedAt = undefined;
  }

  /** When all have repaired what they have on record, every other address can be had. */
  async #checkNothingIsLost(): Promise<void> {
    this.#time.pass(2 * LEASE_MS);
    for (const controller of this.#controllers) {
      controller.unreliable.kill();
      controller.diedAt ??= 0;
    }
    for (const controller of this.#controllers) await this.#revive(controller, NO_FAULTS);
    const [first] = this.#controllers;
    if (first === undefined) return;
    const held = this.#controllers.reduce((sum, { held }) => sum + held.size, 0);
    for (let i = held; i < 254; i++) {
      const { address } = await first.ipam.requestAddress({ poolId: POOL.id });
      this.#hold(first, address.split('/')[0] ?? '');
    }
    expect(await outcome(first.ipam.requestAddress({ poolId: POOL.id }))).toBeUndefined();
  }

  #process(host: string, odds: Odds): Pick<Controller, 'ipam' | 'unreliable'> {
    const store = memoryStore({ backing: this.#backing, scope: 'global' });
    const unreliable = new Unreliable(store, this.#random, odds);
    const clock = () => this.#time.now;
    const ipam = createIpam({
      globalStore: unreliable.store,
      hostId: host,
      leaseMs: LEASE_MS,
      reuseDelayMs: 200,
      clock,
    });
    return { ipam, unreliable };
  }
}

async function reconcile({ ipam, held }: Controller) {
  const addresses = [...held].map((address) => ({ address, holder: `endpoint at ${address}` }));
  return (await ipam.reconcile?.([{ pool: POOL, addressSpace: SPACE, addresses }])) ?? expect.unreachable();
}

/** The answer, or undefined where there is none; only what a caller may meet is a failure that counts as none. */
async function outcome<T extends object>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (LibnetworkError.is(error, 'UNAVAILABLE') || LibnetworkError.is(error, 'CONFLICT')) return undefined;
    throw error;
  }
}
