/**
 * A simulated machine whose controller is killed, or whose kernel or store fails, at any step of a random workload,
 * again and again; after every start the invariants must hold. Operations go side by side, in another order with each
 * seed; on some machines beside a second controller that lives on through all of it. One seed decides all.
 */
import { expect } from 'vitest';
import { LibnetworkError, type NetworkController } from '../../../src/index.ts';
import { countingFaults, type Faults, SimulatedCrash, seededDelays } from '../../../src/testing/faults.ts';
import { checkInvariants, type Share } from './invariants.ts';
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
    const neighbour = random.chance(0.3) ? await settle(world) : undefined;
    let strikes = 0;
    let active: readonly string[] = [];
    for (let life = 1; life <= LIVES; life++) {
      const struck = await live({ world, random, active, neighbour, context: `seed ${seed}, life ${life}` });
      if (struck) strikes++;
      active = CONTAINERS.filter(() => random.chance(0.7));
    }
    const { controller } = await world.open(countingFaults(), active);
    for (const share of neighbour ? [{ world, controller }, neighbour] : [{ world, controller }]) {
      await deleteAll(share.controller);
      await share.controller.close();
      share.world.endRuntimes();
    }
    expect(world.dump(), `seed ${seed}: the kernel after all is deleted`).toEqual(before);
    expect(
      neighbour?.world.complaints ?? [],
      `seed ${seed}: what the second controller complains of`,
    ).toEqual([]);
    neighbour?.world.remove();
    return { strikes };
  } finally {
    world.remove();
  }
}

/** A second controller on the machine, of another instance: nothing of the first one's is its own. */
async function settle({ kernel }: World): Promise<Share> {
  const world = new World(kernel);
  const { controller } = await world.open(countingFaults(), [], { instance: 'other' });
  return { world, controller };
}

interface Life {
  readonly world: World;
  readonly random: Random;
  /** Containers that outlived the last process. */
  readonly active: readonly string[];
  readonly neighbour: Share | undefined;
  readonly context: string;
}

/** One process, from its start to its end. True when it was struck. */
async function live({ world, random, active, neighbour, context }: Life): Promise<boolean> {
  const mode = random.pick(['crash-before', 'crash-after', 'fail'] as const);
  // The first steps of a life are those of its start: as often there as in what comes after.
  const at = 1 + random.below(random.pick([12, 60]));
  const delays = random.chance(0.5) ? { delays: seededDelays(random.below(2 ** 32), 2) } : {};
  const faults = new PausingFaults({ at, mode }, delays);
  const where = () => `${context}: ${mode} at step ${at} (${faults.trace[at - 1]})`;
  let controller: NetworkController;
  try {
    ({ controller } = await world.open(faults, active));
  } catch (error) {
    expectTyped(error, faults, `${where()} while opening`);
    return true;
  }
  const shares = () => (neighbour ? [{ world, controller }, neighbour] : [{ world, controller }]);
  const check = (when: string) => faults.without(() => checkInvariants(shares(), when));
  if (faults.steps < at) await check(`${context}: after the start`);
  const together = random.pick([1, 1, 4]);
  for (let done = 0; done < MOST_OPERATIONS && !faults.crashed && faults.steps < at; done += together) {
    const operations = Array.from({ length: together }, () => anyOperation(random, controller, world));
    const beside =
      neighbour && random.chance(0.3)
        ? anyOperation(random, neighbour.controller, neighbour.world)
        : undefined;
    const [settled] = await Promise.allSettled([
      runTogether(world, operations, faults, mode === 'fail' && beside === undefined, where),
      beside
        ?.run()
        .catch((error: unknown) => expectTyped(error, countingFaults(), `${where()} beside ${beside.name}`)),
    ]);
    if (settled.status === 'rejected') throw settled.reason;
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
