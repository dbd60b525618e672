import { expect } from 'vitest';
import { type MemoryBacking, memoryBacking, memoryStore } from '../../../src/datastore/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { overlaps, parsePrefix } from '../../../src/ip.ts';
import { createIpam, type Ipam, SERIAL } from '../../../src/ipam/index.ts';
import { PoolModel, REST_MS } from './model.ts';
import { Random } from './random.ts';
import { type Odds, Unreliable } from './unreliable.ts';

const SPACE = 'LocalDefault';
/** From the smallest to more than one page, and to what no list could hold; some overlap. */
const SUBNETS = [
  '10.1.0.0/30',
  '10.1.0.0/29',
  '10.2.0.0/28',
  '10.2.0.0/25',
  '10.3.0.0/31',
  '10.3.0.2/32',
  '10.4.0.0/20',
  '10.5.0.0/19',
  '10.5.16.0/20',
  '11.0.0.0/8',
  'fd01::/126',
  'fd01::/124',
  'fd02::/116',
  'fd03::/115',
  'fd04::/64',
  'fd05::/40',
  'fd06::/127',
];
const FAULTS: Odds = { fail: 0.01, landed: 0.01, crash: 0.001 };
const NO_FAULTS: Odds = { fail: 0, landed: 0, crash: 0 };

export interface Outcome {
  readonly operations: number;
  readonly faults: number;
  readonly restarts: number;
  /** How often each operation had which answer. */
  readonly answers: Readonly<Record<string, number>>;
}

/** Random operations on the built-in IPAM, over a store that fails, each answer checked against a model. */
export class Simulation {
  readonly #random: Random;
  readonly #backing: MemoryBacking = memoryBacking();
  readonly #pools = new Map<string, PoolModel>();
  readonly #answers: Record<string, number> = {};
  #now = 1_000_000;
  #operations = 0;
  #faults = 0;
  #restarts = 0;
  #process!: { readonly unreliable: Unreliable; readonly ipam: Ipam };
  /** Pools whose set of addresses is under change by several operations: only what is always true is checked. */
  #together = false;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#start(FAULTS);
  }

  async run(operations: number): Promise<Outcome> {
    while (this.#operations < operations) {
      if (this.#random.chance(0.2)) await this.#several(2 + this.#random.below(10));
      else await this.#one();
      if (this.#process.unreliable.dead || this.#random.chance(0.0005)) await this.#restart();
      if (this.#random.chance(0.001)) await this.#checkUsage();
    }
    await this.#restart();
    await this.#checkUsage();
    return {
      operations: this.#operations,
      faults: this.#faults,
      restarts: this.#restarts,
      answers: this.#answers,
    };
  }

  async #several(count: number): Promise<void> {
    this.#together = true;
    await Promise.all(Array.from({ length: count }, () => this.#one()));
    this.#together = false;
  }

  async #one(): Promise<void> {
    this.#operations++;
    this.#now += this.#random.below(40);
    const pool = this.#random.pick([...this.#pools.values()]);
    const roll = this.#random.next();
    if (pool === undefined || roll < 0.01) return this.#requestPool();
    if (roll < 0.014) return this.#releasePool(pool);
    // Pools that could fill for ever are kept small, so that a repair stays quick; the one of a page fills up.
    if (pool.held.size > (pool.size === 4096n ? 5000 : 300)) return this.#release(pool);
    if (roll < 0.45) return this.#requestAny(pool);
    if (roll < 0.6) return this.#requestCertain(pool);
    return this.#release(pool);
  }

  async #requestPool(): Promise<void> {
    const subnet = this.#random.pick([...SUBNETS, undefined, undefined]);
    const family = subnet?.includes(':') === true ? 'ipv6' : 'ipv4';
    const wanted = subnet === undefined ? undefined : parsePrefix(subnet);
    const models = [...this.#pools.values()];
    const overlapping = wanted && models.some((model) => overlaps(model.prefix, wanted));
    const answer = await this.#call(
      'request pool',
      this.#process.ipam.requestPool({ addressSpace: SPACE, family, subnet }),
    );
    if (this.#together && answer.failed) return;
    if (answer.failed === 'FORBIDDEN') expect(overlapping).toBe(true);
    else if (answer.failed === 'UNAVAILABLE') expect(models.length).toBeGreaterThanOrEqual(8);
    if (!answer.value) return;
    const model = new PoolModel(answer.value);
    for (const other of this.#pools.values()) expect(overlaps(other.prefix, model.prefix)).toBe(false);
    this.#pools.set(model.pool.id, model);
  }

  async #releasePool(model: PoolModel): Promise<void> {
    // Others must not be using it, as a network's endpoints are gone before the network.
    if (this.#together) return;
    const answer = await this.#call('release pool', this.#process.ipam.releasePool(model.pool.id));
    if (!answer.failed) this.#pools.delete(model.pool.id);
    // Half a release may have taken the stored rests with it; a repair restores only what is held.
    else model.forgetRests();
  }

  async #requestAny(model: PoolModel): Promise<void> {
    const options: Record<string, string> = this.#random.chance(0.3) ? { [SERIAL]: 'true' } : {};
    const holder = 'an endpoint';
    const request = this.#process.ipam.requestAddress({ poolId: model.pool.id, options, holder });
    const answer = await this.#call('request any', request);
    if (answer.failed === 'UNAVAILABLE' && !this.#together) expect(model.isFull).toBe(true);
    if (!answer.value) return;
    const ordinal = model.ordinal(answer.value.address);
    if (!this.#together) model.checkGiven(ordinal, this.#now);
    model.hold(ordinal);
  }

  async #requestCertain(model: PoolModel): Promise<void> {
    const ordinal = this.#anyOrdinal(model);
    const address = model.text(ordinal);
    const taken = model.held.has(ordinal) || model.isEdge(ordinal);
    const request = this.#process.ipam.requestAddress({
      poolId: model.pool.id,
      address,
      holder: `holder of ${address}`,
    });
    const answer = await this.#call('request certain', request);
    if (!this.#together && answer.failed !== 'FAULT')
      expect(answer.failed).toBe(taken ? 'FORBIDDEN' : undefined);
    if (answer.value) model.hold(model.ordinal(answer.value.address));
  }

  async #release(model: PoolModel): Promise<void> {
    const [first] = model.held;
    const ordinal = this.#random.chance(0.8) ? first : this.#anyOrdinal(model);
    if (ordinal === undefined) return;
    const wasHeld = model.held.has(ordinal);
    // A release of what is not one's own, just as another gets it, takes it from them: callers don't do that.
    if (this.#together && !wasHeld) return;
    // Whoever releases an address gives it up before the answer: from now on it may be someone else's.
    model.held.delete(ordinal);
    const began = this.#now;
    const answer = await this.#call(
      'release',
      this.#process.ipam.releaseAddress(model.pool.id, model.text(ordinal)),
    );
    if (answer.failed && wasHeld && !this.#process.unreliable.dead) model.hold(ordinal);
    else if (wasHeld && !model.held.has(ordinal)) model.rest(ordinal, began, this.#now);
  }

  /** Ordinals at the edges of pages and of the pool more often than others. */
  #anyOrdinal(model: PoolModel): bigint {
    const last = model.size - 1n;
    const edges = [0n, 1n, 4095n, 4096n, 4097n, last - 4096n, last - 1n, last, last / 2n];
    const edge = this.#random.pick(edges.filter((ordinal) => ordinal >= 0n && ordinal <= last)) ?? 0n;
    if (this.#random.chance(0.3)) return edge;
    return BigInt(this.#random.below(2 ** 32)) % (model.size < 300n ? model.size : 300n);
  }

  async #call<T>(
    name: string,
    call: Promise<T>,
  ): Promise<{ readonly value?: T; readonly failed?: LibnetworkError['code'] | 'FAULT' }> {
    const count = (answer: string) => {
      this.#answers[`${name}: ${answer}`] = (this.#answers[`${name}: ${answer}`] ?? 0) + 1;
    };
    try {
      const value = await call;
      // An answer of a process that died meanwhile reaches nobody.
      if (this.#process.unreliable.dead) return { failed: 'FAULT' };
      count('done');
      return { value };
    } catch (error) {
      if (!LibnetworkError.is(error)) throw error;
      const injected = error.operation === 'write' || this.#process.unreliable.dead;
      count(injected ? 'a fault' : error.code);
      return { failed: injected ? 'FAULT' : error.code };
    }
  }

  #start(odds: Odds): void {
    const unreliable = new Unreliable(memoryStore({ backing: this.#backing }), this.#random, odds);
    const ipam = createIpam({
      store: unreliable.store,
      defaultAddressPools: [{ base: '10.200.0.0/24', size: 27 }],
      reuseDelayMs: REST_MS,
      clock: () => this.#now,
    });
    this.#process = { unreliable, ipam };
  }

  /** A new process over the same store, repaired by what the model has on record. */
  async #restart(): Promise<void> {
    this.#restarts++;
    this.#faults += this.#process.unreliable.faults;
    const held = () => [...this.#pools.values()].map((model) => model.record(SPACE));
    for (let tries = 1; ; tries++) {
      expect(tries, 'a repair without faults succeeds').toBeLessThan(4);
      this.#start(tries === 1 ? FAULTS : NO_FAULTS);
      // A repair that fails half-way is repaired by the next one.
      const repaired = await this.#call('reconcile', reconcile(this.#process.ipam, held()));
      if (!repaired.value) {
        // What it released before it failed rests, too, but it could not tell what that was.
        for (const model of this.#pools.values()) model.unsure(this.#now);
        continue;
      }
      for (const line of repaired.value.orphaned) this.#noteOrphan(line);
      break;
    }
    expect(await reconcile(this.#process.ipam, held())).toEqual({ missing: [], orphaned: [] });
  }

  /** What the repair released rests like anything else. */
  #noteOrphan(line: string): void {
    const [address = '', id = ''] = line.split(' of ').map((part) => part.split(' ')[0] ?? '');
    const model = this.#pools.get(id);
    if (model) model.rest(model.ordinal(`${address}/${model.prefix.length}`), this.#now, this.#now);
  }

  async #checkUsage(): Promise<void> {
    for (const model of this.#pools.values()) {
      const usage = await this.#process.ipam.usage?.(model.pool.id);
      expect(usage).toEqual({
        capacity: model.capacity,
        used: BigInt(model.held.size),
        reserved: model.size - model.capacity,
      });
    }
  }
}

async function reconcile(ipam: Ipam, held: Parameters<NonNullable<Ipam['reconcile']>>[0]) {
  return (await ipam.reconcile?.(held)) ?? expect.unreachable();
}
