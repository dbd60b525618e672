/** What the core's tests work with: a machine in memory, and a controller on it. */
import { afterEach, expect, vi } from 'vitest';
import type { Logger } from '../../../src/driverapi/driver.ts';
import { type ControllerOptions, LibnetworkError, type NetworkController } from '../../../src/index.ts';
import type { FakeOsl } from '../../../src/osl/fake/index.ts';
import { countingFaults, FaultScript, type Faults } from '../../../src/testing/faults.ts';
import { World } from '../crash/world.ts';

export interface Setting {
  readonly world: World;
  readonly controller: NetworkController;
  readonly osl: FakeOsl;
}

const made: { readonly world: World; controller: NetworkController | undefined }[] = [];

afterEach(async () => {
  for (const { world, controller } of made.splice(0)) {
    await controller?.close();
    world.remove();
  }
  vi.unstubAllEnvs();
});

/** A controller on a machine of its own, with the order of locks checked. Both end with the test. */
export async function setUp(
  options: ControllerOptions = {},
  faults: Faults = countingFaults(),
): Promise<Setting> {
  vi.stubEnv('LIBNETWORK_CHECK_LOCKS', '1');
  const world = new World();
  const entry: (typeof made)[number] = { world, controller: undefined };
  made.push(entry);
  const { controller, osl } = await world.open(faults, [], options);
  if (!faults.crashed) entry.controller = controller;
  return { world, controller, osl };
}

/** The next process on the same machine. */
export async function restart(
  { world, controller }: Setting,
  active: readonly string[] = [],
  options: ControllerOptions = {},
): Promise<Setting> {
  await controller.close();
  const opened = await world.open(countingFaults(), active, options);
  made.push({ world, controller: opened.controller });
  return { world, ...opened };
}

/** What an operation is refused with. */
export async function refusal(operation: Promise<unknown>): Promise<LibnetworkError> {
  try {
    await operation;
  } catch (error) {
    if (LibnetworkError.is(error)) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** All that is stored and all of the kernel: for comparing before and after. */
export async function everything({ world }: Setting): Promise<unknown> {
  return { kernel: world.dump(), store: await world.entries() };
}

/** The kernel and the records, without the allocator's memory of what was free when and of who this host is. */
export async function traces({ world }: Setting): Promise<unknown> {
  const keys = await world.keys();
  return { kernel: world.dump(), keys: keys.filter((key) => !key.endsWith('/ipam/host')) };
}

export async function expectNothingToRepair({ controller }: Setting, context?: string): Promise<void> {
  expect(await controller.reconcile({ dryRun: true }), context).toEqual({
    missing: [],
    orphaned: [],
    repaired: [],
  });
}

/** Another network is made, used, reconciled and deleted: what must go on whatever a driver does. */
export async function useAnother({ controller }: Setting): Promise<void> {
  const near = await controller.createNetwork({ name: 'near' });
  const sandbox = await controller.createSandbox({ containerId: 'near' });
  const endpoint = await near.createEndpoint({ name: 'web' });
  const joined = endpoint.join(sandbox);
  await Promise.all([joined, controller.reconcile()]);
  await endpoint.leave(sandbox);
  await endpoint.delete();
  await sandbox.delete();
  await near.delete();
}

/** Everything is deleted, by force where it must be: nothing is left of it. */
export async function expectAllGone(setting: Setting): Promise<void> {
  const { controller, world } = setting;
  for (const sandbox of controller.sandboxes()) await sandbox.delete();
  for (const network of controller.networks()) {
    for (const endpoint of network.endpoints()) await endpoint.delete({ force: true });
    await network.delete();
  }
  await expectNothingToRepair(setting);
  expect((await world.keys()).filter((key) => /\/(network|endpoint|sandbox)\//.test(key))).toEqual([]);
}

/** Calls `strike` right before one step of the process, counted from when `arm` is called. */
export class StrikeAt extends FaultScript {
  #left = 0;
  #strike: ((step: string) => void) | undefined;

  arm(at: number, strike: (step: string) => void): void {
    this.#left = at;
    this.#strike = strike;
  }

  override around<T>(name: string, act: () => T): T {
    this.#count(name);
    return super.around(name, act);
  }

  override aroundAsync<T>(name: string, act: () => Promise<T>): Promise<T> {
    try {
      this.#count(name);
    } catch (error) {
      return Promise.reject(error);
    }
    return super.aroundAsync(name, act);
  }

  #count(name: string): void {
    if (this.#strike === undefined || --this.#left !== 0) return;
    const strike = this.#strike;
    this.#strike = undefined;
    strike(name);
  }
}

/** A logger that keeps what it is told. */
export function listening(): Logger & { readonly said: string[] } {
  const said: string[] = [];
  const say = (message: string) => void said.push(message);
  return { said, debug: say, info: say, warn: say, error: say };
}
