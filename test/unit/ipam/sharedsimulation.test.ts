/**
 * Several controllers, one store, crashes. `IPAM_OPERATIONS` sets how many operations, `IPAM_SEED` repeats a run.
 */
import { expect, it } from 'vitest';
import { FIRST_SEED } from '../../support/seed.ts';
import { Random } from './random.ts';
import { SharedSimulation } from './sharedsimulation.ts';

const OPERATIONS = Number(process.env.IPAM_OPERATIONS ?? 20_000);
const SEED = Number(process.env.IPAM_SEED ?? FIRST_SEED);

it(
  `no address is held twice, none is lost, over ${OPERATIONS} operations of 6 controllers (seed ${SEED})`,
  async () => {
    const outcome = await new SharedSimulation(new Random(SEED), 6).run(OPERATIONS);
    if (process.env.IPAM_OPERATIONS !== undefined) console.info(outcome);
    expect(outcome.deaths).toBeGreaterThan(OPERATIONS / 2000);
    expect(outcome.takenOver).toBeGreaterThan(0);
    expect(outcome.done).toBeGreaterThan(OPERATIONS / 20);
  },
  // Ten milliseconds each, for machines that are busy with other work.
  Math.max(120_000, OPERATIONS * 10),
);
