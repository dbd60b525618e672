import { describe, expect, it } from 'vitest';
import { fakeOsl } from '../../src/osl/fake/index.ts';
import { canUseKernel, whyNot, withTestHost } from '../support/kernel.ts';
import { ask, questionsOf, showQuestion } from './reachability/ask.ts';
import { build } from './reachability/build.ts';
import { makePlan } from './reachability/plan.ts';

const SEEDS = Number(process.env.REACHABILITY_SEEDS ?? 100);
const FIRST = Number(process.env.REACHABILITY_FIRST ?? 1);
/** In memory nothing is slow; on the real kernel a neighbour may have to be asked for twice. */
const FAKE_MS = 5;
const REAL_MS = 400;
const PATIENT_MS = 2500;

/** The questions that the two kernels answer differently, each with both answers. */
async function differences(seed: number): Promise<readonly string[]> {
  return await withTestHost(async ({ osl: real, path }) => {
    const fake = fakeOsl();
    const plan = makePlan(seed);
    const questions = questionsOf(plan);
    const unreal = await build(plan, async (name) => await fake.createNamespace(`/run/reach/${name}`));
    const places = await build(plan, async (name) => await real.createNamespace(path(`reach-${name}`)));
    const expected = await Promise.all(
      questions.map(async (question) => await ask(unreal, question, FAKE_MS)),
    );
    const seen = await Promise.all(questions.map(async (question) => await ask(places, question, REAL_MS)));
    const found: string[] = [];
    for (const [i, question] of questions.entries()) {
      // What was lost may have been slow: it is asked for once more, alone.
      const again = expected[i] !== seen[i] ? await ask(places, question, PATIENT_MS) : seen[i];
      if (again !== expected[i])
        found.push(`${showQuestion(question)}: in memory "${expected[i]}", in the kernel "${again}"`);
    }
    await fake.close();
    return found;
  });
}

describe.skipIf(!canUseKernel)(`packets in memory and on the real kernel ${whyNot}`, () => {
  const seeds = Array.from({ length: SEEDS }, (_, i) => FIRST + i);
  it.each(seeds)('get to the same places on the random machine %i', { timeout: 120_000 }, async (seed) => {
    expect(await differences(seed)).toEqual([]);
  });
});
