/**
 * A simulated machine whose controller is killed, or whose kernel or store fails, at any step of a random workload,
 * again and again; after every start the invariants must hold. One seed decides all of it.
 */
import { expect } from 'vitest';
import { LibnetworkError, type NetworkController } from '../../../src/index.ts';
import { countingFaults, type Faults, SimulatedCrash } from '../../../src/testing/faults.ts';
import { checkInvariants } from './invariants.ts';
import { anyOperation, CONTAINERS, type Operation } from './operations.ts';
import { PausingFaults } from './pausing.ts';
import { Random } from './random.ts';
import { deleteAll } from './workload.ts';
import { World } from './world.ts';

/** How often the machine of one seed is struck before it is cleared and checked as a whole. */
const LIVES = 25;
/** Operations of one life, unless it ends before. */
const MOST_OPERATIONS = 40;

export interface Simulation {
  /** How often a step was struck. */
  readonly strikes: number;
}

/** Runs one seed. @throws AssertionError naming the seed, the life, the step and the operation */
export async function simulate(seed: number): Promise<Simulation> {
  const random = new Random(seed);
  const world = new World();
  try {
    const before = world.dump();
    let strikes = 0;
    let active: readonly string[] = [];
    for (let life = 1; life <= LIVES; life++) {
      const struck = await live(world, random, active, `seed ${seed}, life ${life}`);
      if (struck) strikes++;
      active = CONTAINERS.filter(() => random.chance(0.7));
    }
    const { controller } = await world.open(countingFaults(), active);
    await deleteAll(controller);
    await controller.close();
    world.endRuntimes();
    expect(world.dump(), `seed ${seed}: the kernel after all is deleted`).toEqual(before);
    return { strikes };
  } finally {
    world.remove();
  }
}

/** One process, from its start to its end. True when it was struck. */
async function live(
  world: World,
  random: Random,
  active: readonly string[],
  context: string,
): Promise<boolean> {
  const mode = random.pick(['crash-before', 'crash-after', 'fail'] as const);
  // The first steps of a life are those of its start: as often there as in what comes after.
  const at = 1 + random.below(random.pick([12, 60]));
  const faults = new PausingFaults({ at, mode });
  const where = () => `${context}: ${mode} at step ${at} (${faults.trace[at - 1]})`;
  let controller: NetworkController;
  try {
    ({ controller } = await world.open(faults, active));
  } catch (error) {
    expectTyped(error, faults, `${where()} while opening`);
    return true;
  }
  const check = (when: string) => faults.without(() => checkInvariants(world, controller, when));
  if (faults.steps < at) await check(`${context}: after the start`);
  const together = random.pick([1, 1, 4]);
  for (let done = 0; done < MOST_OPERATIONS && !faults.crashed && faults.steps < at; done += together) {
    const operations = Array.from({ length: together }, () => anyOperation(random, controller, world));
    await runTogether(world, operations, faults, mode === 'fail', where);
  }
  if (faults.crashed) return true;
  if (faults.steps >= at) {
    // A failed teardown may leave a rest: the next reconcile, or the next start, takes it away.
    await controller.reconcile();
    await check(`${where()}, after a reconcile`);
  } else await check(`${context}: at the end`);
  const struck = faults.steps >= at;
  await faults.without(() => controller.close());
  return struck;
}

async function runTogether(
  world: World,
  operations: readonly Operation[],
  faults: Faults,
  watch: boolean,
  where: () => string,
): Promise<void> {
  const [only] = operations;
  const watched = watch && operations.length === 1 && only?.makes ? await traces(world) : undefined;
  const outcomes = await Promise.allSettled(operations.map((operation) => operation.run()));
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome.status !== 'rejected') continue;
    const context = `${where()} in ${operations[i]?.name}`;
    expectTyped(outcome.reason, faults, context);
    if (watched === undefined || faults.crashed) continue;
    // What could not be undone is said, and a reconcile does it.
    if (LibnetworkError.is(outcome.reason) && outcome.reason.notUndone) continue;
    expect(await traces(world), `${context}: nothing changed`).toEqual(watched);
  }
}

async function traces(world: World): Promise<unknown> {
  const keys = await world.keys();
  return { kernel: world.dump(), keys: keys.filter((key) => !key.endsWith('/ipam/host')) };
}

function expectTyped(error: unknown, faults: Faults, context: string): void {
  if (faults.crashed) return;
  const typed = LibnetworkError.is(error) && !SimulatedCrash.is(error);
  if (!typed) throw new Error(`${context}: an error without a type`, { cause: error });
}
