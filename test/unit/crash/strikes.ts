/** Runs seeds of the simulation until enough was struck, or the time is over. */
import { expect } from 'vitest';
import { FIRST_SEED } from '../../support/seed.ts';
import { simulate } from './simulate.ts';

/** How many strikes are enough, of all files together. */
const STRIKES = Number(process.env.LIBNETWORK_CRASH_POINTS ?? 1_000);
/** How long a run goes on that has not struck as often by then, in seconds. */
export const SECONDS = Number(
  process.env.LIBNETWORK_SIMULATE_SECONDS ?? (process.env.LIBNETWORK_CRASH_POINTS ? 180 : 30),
);
/** Each test file is a process of its own, with seeds of its own. */
export const FILES = 2;

/** @param file the number of the test file, from 0 */
export async function strike(file: number): Promise<void> {
  const first = Number(process.env.LIBNETWORK_FIRST_SEED ?? FIRST_SEED) + file;
  const end = performance.now() + SECONDS * 1000;
  let strikes = 0;
  let seed = first;
  for (; strikes < STRIKES / FILES && performance.now() < end; seed += FILES) {
    try {
      strikes += (await simulate(seed)).strikes;
    } catch (error) {
      throw new Error(`seed ${seed} fails; replay it with: npm run simulate -- --seed ${seed}`, {
        cause: error,
      });
    }
  }
  console.log(`struck ${strikes} times, with the seeds ${first} to ${seed - FILES}, each ${FILES}th`);
  expect(strikes).toBeGreaterThan(10);
}
