import { afterEach, describe, expect, it } from 'vitest';
import type { NetworkController } from '../../../src/index.ts';
import { LibnetworkError } from '../../../src/index.ts';
import {
  countingFaults,
  type FaultMode,
  type Faults,
  faultScript,
  SimulatedCrash,
} from '../../../src/testing/faults.ts';
import { deleteAll, LIFE, type Step } from './workload.ts';
import { World } from './world.ts';

const worlds: World[] = [];
const newWorld = (): World => {
  const world = new World();
  worlds.push(world);
  return world;
};
afterEach(() => {
  for (const world of worlds.splice(0)) world.remove();
});

/** Runs the life until it ends or an operation throws. */
async function live(controller: NetworkController): Promise<{ step: string; error: unknown } | undefined> {
  for (const step of LIFE) {
    try {
      await step.run(controller);
    } catch (error) {
      return { step: step.name, error };
    }
  }
  return undefined;
}

/** How many steps the whole life takes, start included. */
async function countSteps(): Promise<Faults> {
  const faults = countingFaults();
  const world = newWorld();
  const { controller } = await world.open(faults);
  expect(await live(controller)).toBeUndefined();
  await controller.close();
  return faults;
}

/** After a restart nothing differs from the records, and deleting all leaves the machine as it was. */
async function checkAfterRestart(
  world: World,
  before: unknown,
  active: readonly string[],
  context: string,
): Promise<void> {
  const { controller } = await world.open(countingFaults(), active);
  const report = await controller.reconcile({ dryRun: true });
  expect(report, `${context}: a restart must leave nothing to repair`).toEqual({
    missing: [],
    orphaned: [],
    repaired: [],
  });
  await expectNoGhosts(controller, context);
  await deleteAll(controller);
  await controller.close();
  expect(world.dump(), `${context}: the kernel after all is deleted`).toEqual(before);
  expect(
    (await world.keys()).filter((key) => !key.includes('/ipam/')),
    `${context}: records after all is deleted`,
  ).toEqual([]);
  expect(world.complaints, `${context}: complaints`).toEqual([]);
}

/** Every address of the pools can be had again: nothing was lost to what is not there any more. */
async function expectNoGhosts(controller: NetworkController, context: string): Promise<void> {
  const front = controller.network('front');
  if (!front || front.endpoint('web')) return;
  if (front.endpoints().some((endpoint) => endpoint.ipv4 === '10.9.0.2/24')) return;
  const web = await front.createEndpoint({ name: 'web', ipv4: '10.9.0.2' }).catch((error: unknown) => {
    throw new Error(`${context}: the address of a dead endpoint is lost`, { cause: error });
  });
  await web.delete();
}

async function crashAt(at: number, mode: FaultMode, active: readonly string[]): Promise<void> {
  const world = newWorld();
  const before = world.dump();
  const faults = faultScript({ at, mode });
  let where = 'opening';
  try {
    const { controller } = await world.open(faults);
    const ended = await live(controller);
    where = ended?.step ?? 'the end';
    if (ended && !faults.crashed) throw ended.error;
  } catch (error) {
    if (!faults.crashed) throw error;
  }
  const context = `${mode} at step ${at} (${faults.trace[at - 1]}) in ${where}`;
  expect(faults.crashed, context).toBe(true);
  await checkAfterRestart(world, before, active, context);
  world.remove();
}

describe('a crash at any step', () => {
  it('runs the whole life without a fault and leaves nothing', async () => {
    const world = newWorld();
    const before = world.dump();
    const { controller } = await world.open();
    expect(await live(controller)).toBeUndefined();
    expect(await controller.reconcile({ dryRun: true })).toEqual({ missing: [], orphaned: [], repaired: [] });
    await controller.close();
    expect(world.dump()).toEqual(before);
    expect(world.complaints).toEqual([]);
  });

  for (const mode of ['crash-before', 'crash-after'] as const) {
    it.each([
      { alive: [] as string[], what: 'containers dead' },
      { alive: ['c1', 'c2'], what: 'containers alive' },
    ])(
      `leaves no object, address or record behind: ${mode}, $what`,
      { timeout: 300_000 },
      async ({ alive }) => {
        const { steps } = await countSteps();
        expect(steps).toBeGreaterThan(100);
        for (let at = 1; at <= steps; at++) await crashAt(at, mode, alive);
      },
    );
  }
});

describe('a failure at any step', () => {
  it('changes nothing, or the same call again succeeds', { timeout: 300_000 }, async () => {
    const { steps } = await countSteps();
    for (let at = 1; at <= steps; at++) await failAt(at);
  });

  /** A deletion that failed late may have deleted its object all the same. */
  function isThere(step: Step, controller: NetworkController): boolean {
    if (!/^delete/.test(step.name)) return true;
    const [, name = ''] = /(\w+)( by force)?$/.exec(step.name) ?? [];
    const endpoints = controller.networks().flatMap((network) => network.endpoints());
    return (
      [...endpoints, ...controller.networks()].some((it) => it.name === name) ||
      controller.sandbox(name) !== undefined
    );
  }

  async function failAt(at: number): Promise<void> {
    const world = newWorld();
    const start = world.dump();
    const faults = faultScript({ at, mode: 'fail' });
    let controller: NetworkController;
    try {
      ({ controller } = await world.open(faults));
    } catch (error) {
      expect(LibnetworkError.is(error) && !SimulatedCrash.is(error)).toBe(true);
      ({ controller } = await world.open());
    }
    for (const step of LIFE) {
      const before = { kernel: world.dump(), keys: await world.keys() };
      const context = `step ${at} (${faults.trace[at - 1]}) in ${step.name}`;
      try {
        await step.run(controller);
      } catch (error) {
        expect(LibnetworkError.is(error), `${context}: ${String(error)}`).toBe(true);
        // Making is all or nothing. Unmaking goes on past failures, so part of it may be done.
        if (/^(create|join)/.test(step.name)) {
          expect({ kernel: world.dump(), keys: await world.keys() }, context).toEqual(before);
        }
        if (isThere(step, controller)) await step.run(controller);
        // What a teardown could not give back, a reconcile does.
        await controller.reconcile();
      }
    }
    const report = await controller.reconcile({ dryRun: true });
    expect(report, `after failing step ${at} (${faults.trace[at - 1]})`).toEqual({
      missing: [],
      orphaned: [],
      repaired: [],
    });
    await controller.close();
    expect(world.dump(), `after failing step ${at} (${faults.trace[at - 1]})`).toEqual(start);
    world.remove();
  }
});
