import { describe, expect, it } from 'vitest';
import { canUseKernel, whyNot } from '../support/kernel.ts';
import { compare } from './differential/run.ts';

const SEEDS = Number(process.env.DIFFERENTIAL_SEEDS ?? 100);
const STEPS = Number(process.env.DIFFERENTIAL_STEPS ?? 50);
const FIRST = Number(process.env.DIFFERENTIAL_FIRST ?? 1);

describe.skipIf(!canUseKernel)(`the kernel in memory beside the real one ${whyNot}`, () => {
  const groups = Array.from({ length: Math.ceil(SEEDS / 10) }, (_, i) => FIRST + i * 10);
  it.each(groups)(
    `answers and does the same, seeds from %i, ${STEPS} steps each`,
    { timeout: 120_000 },
    async (first) => {
      for (let seed = first; seed < Math.min(first + 10, FIRST + SEEDS); seed++)
        expect(await compare(seed, STEPS)).toBeUndefined();
    },
  );
});
