import { describe, expect, it } from 'vitest';
import { simulate } from './simulate.ts';
import { SECONDS, strike } from './strikes.ts';

/** Replays one seed: the one that a failure names. */
const SEED = process.env.LIBNETWORK_SEED;

describe('a machine struck at random steps of a random workload', () => {
  it.runIf(SEED !== undefined)(`keeps its invariants with seed ${SEED}`, { timeout: 600_000 }, async () => {
    expect((await simulate(Number(SEED))).strikes).toBeGreaterThan(0);
  });

  it.runIf(SEED === undefined)('keeps its invariants', { timeout: (SECONDS + 120) * 1000 }, () => strike(0));
});
