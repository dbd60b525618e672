/**
 * Random operations with injected faults, each checked against a model. By default 50,000 of them; for the million:
 * `IPAM_OPERATIONS=1000000 npx vitest run test/unit/ipam/simulation.test.ts`. A failure names its seed, which
 * `IPAM_SEED` repeats.
 */
import { expect, it } from 'vitest';
import { FIRST_SEED } from '../../support/seed.ts';
import { Simulation } from './simulation.ts';

const OPERATIONS = Number(process.env.IPAM_OPERATIONS ?? 50_000);
const SEED = Number(process.env.IPAM_SEED ?? FIRST_SEED);

it(
  `keeps every promise over ${OPERATIONS} random operations with faults (seed ${SEED})`,
  async () => {
    const outcome = await new Simulation(SEED).run(OPERATIONS);
    if (process.env.IPAM_OPERATIONS !== undefined) console.info(outcome);
    expect(outcome.operations).toBeGreaterThanOrEqual(OPERATIONS);
    // A run without faults, restarts and full pools would show little.
    expect(outcome.faults).toBeGreaterThan(OPERATIONS / 200);
    expect(outcome.restarts).toBeGreaterThan(OPERATIONS / 10_000);
    for (const answer of [
      'request any: UNAVAILABLE',
      'request certain: FORBIDDEN',
      'request pool: FORBIDDEN',
    ])
      expect(outcome.answers[answer]).toBeGreaterThan(0);
  },
  // Ten milliseconds each, for machines that are busy with other work.
  Math.max(120_000, OPERATIONS * 10),
);
