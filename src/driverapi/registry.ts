import { invalid, LibnetworkError } from '../errors.ts';
import type { Driver, DriverFactory, DriverHost } from './driver.ts';

/** The drivers of one controller, by name. */
export class DriverRegistry {
  readonly #drivers = new Map<string, Driver>();

  /** Makes the drivers of all factories, in order. @throws what a factory throws, and what `register` does */
  static async create(factories: Iterable<DriverFactory>, host: DriverHost): Promise<DriverRegistry> {
    const registry = new DriverRegistry();
    try {
      for (const factory of factories) registry.register(await factory(host));
    } catch (error) {
      await registry.close();
      throw error;
    }
    return registry;
  }

  /** All drivers by name. */
  get drivers(): ReadonlyMap<string, Driver> {
    return this.#drivers;
  }

  /** @throws INVALID_ARGUMENT for a blank name; FORBIDDEN when a driver of that name is there */
  register(driver: Driver): void {
    const { name } = driver;
    if (typeof name !== 'string' || name.trim() === '')
      throw invalid('driver.name', name, 'must be a non-empty text');
    if (this.#drivers.has(name))
      throw new LibnetworkError(
        'FORBIDDEN',
        `a driver named ${name} is registered already; give this one another name`,
        {
          field: 'driver.name',
          value: name,
          holder: `driver ${name}`,
        },
      );
    this.#drivers.set(name, driver);
  }

  /** @throws NOT_FOUND naming the drivers that there are */
  get(name: string): Driver {
    const driver = this.#drivers.get(name);
    if (driver !== undefined) return driver;
    throw new LibnetworkError(
      'NOT_FOUND',
      `there is no driver ${JSON.stringify(name)}; there are ${[...this.#drivers.keys()].sort().join(', ') || 'none'}`,
      { field: 'driver', value: name },
    );
  }

  /** Closes every driver, past failures. @throws INTERNAL naming the drivers that failed to close */
  async close(): Promise<void> {
    const closings = [...this.#drivers.values()].map(async (driver) => driver.close?.());
    const outcomes = await Promise.allSettled(closings);
    const failures = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
    );
    if (failures.length > 0)
      throw new LibnetworkError('INTERNAL', `${failures.length} drivers failed to close`, {
        cause: new AggregateError(failures),
      });
  }
}
