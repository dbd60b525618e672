/** Drivers and IPAMs whose code is not this package's: how long one of their calls takes is nobody else's business. */

import type { Driver, DriverReport, DriverState, DriverWaits } from './driverapi/driver.ts';
import { throwIfAborted } from './errors.ts';
import type { Gate } from './locks.ts';

/** A part of which every method answers later, with each call waited for outside the gate. */
export function outsideOf<T extends object>(gate: Gate, part: T): T {
  return withCalls(part, (call) => gate.outside(async () => call()));
}

/** A driver that was given to this process. Unlike a plugin's it compares what is there with the records. */
export class ForeignDriver {
  /** The driver as operations call it. */
  readonly part: Driver;
  readonly #driver: Driver;
  /** Calls of operations that are under way, or whose operation has not come back through the gate yet. */
  #calls = 0;
  #comparing: Promise<unknown> | undefined;

  constructor(gate: Gate, driver: Driver) {
    this.#driver = driver;
    this.part = withCalls(driver, async (call) => {
      this.#calls++;
      try {
        return await gate.outside(async () => {
          await this.#comparing;
          return call();
        });
      } finally {
        this.#calls--;
      }
    });
  }

  /** Whether nothing is under way in it. With the gate closed it stays so, and the records say what it has made. */
  get isIdle(): boolean {
    return this.#calls === 0 && this.#comparing === undefined;
  }

  /** Its own reconcile, begun while it is idle. Calls of operations wait for it, but nobody else. */
  reconcile(state: DriverState, options: DriverWaits & { readonly dryRun?: boolean }): Promise<DriverReport> {
    const report = (async () => {
      throwIfAborted(options.signal);
      return this.#driver.reconcile(state, options);
    })();
    const done = (): void => {
      this.#comparing = undefined;
    };
    this.#comparing = report.then(done, done);
    return report;
  }
}

/** Methods that answer at once, and touch nothing. */
const IMMEDIATE: ReadonlySet<string | symbol> = new Set<keyof Driver>(['decideEndpoint']);

/** The same part with its calls made by `around`. */
function withCalls<T extends object>(part: T, around: (call: () => unknown) => Promise<unknown>): T {
  return new Proxy(part, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const call = (): unknown => Reflect.apply(value, target, args);
        return IMMEDIATE.has(key) ? call() : around(call);
      };
    },
  });
}
