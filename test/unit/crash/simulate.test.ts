import { describe, expect, it } from 'vitest';
import { FIRST_SEED } from '../../support/seed.ts';
import { simulate } from './simulate.ts';

/** Replays one seed: the one that a failure names. */
const SEED = process.env.LIBNETWORK_SEED;
/** How many strikes are enough. */
const STRIKES = Number(process.env.LIBNETWORK_CRASH_POINTS ?? 10_000);
/** How long a run without a number of strikes goes on, in seconds. */
const SECONDS = Number(
  process.env.LIBNETWORK_SIMULATE_SECONDS ?? (process.env.LIBNETWORK_CRASH_POINTS ? 86_400 : 30),
);

describe('a machine struck at random steps of a random workload', () => {
  it.runIf(SEED !== undefined)(`keeps its invariants with seed ${SEED}`, { timeout: 600_000 }, async () => {
    expect((await simulate(Number(SEED))).strikes).toBeGreaterThan(0);
  });

  it.runIf(SEED === undefined)('keeps its invariants', { timeout: (SECONDS + 60) * 1000 }, async () => {
    const first = Number(process.env.LIBNETWORK_FIRST_SEED ?? FIRST_SEED);
    const end = performance.now() + SECONDS * 1000;
    let strikes = 0;
    let seed = first;
    for (; strikes < STRIKES && performance.now() < end; seed++) {
      try {
        strikes += (await simulate(seed)).strikes;
      } catch (error) {
        throw new Error(`seed ${seed} fails; replay it with: npm run simulate -- --seed ${seed}`, {
          cause: error,
        });
      }
    }
    console.log(`struck ${strikes} times, with seeds ${first} to ${seed - 1}`);
    expect(strikes).toBeGreaterThan(100);
  });
});
