/** Takes the same random steps on the kernel in memory and on the real one, and compares after each. */
import { LibnetworkError } from '../../../src/errors.ts';
import { FakeKernel, fakeOsl } from '../../../src/osl/fake/index.ts';
import { withTestHost } from '../../support/kernel.ts';
import { Random } from './random.ts';
import { difference, snapshot } from './snapshot.ts';
import { describeStep, type Place, type Places, type Step, Steps, take } from './steps.ts';

export interface Divergence {
  readonly seed: number;
  /** Every step up to the one where the kernels went apart. */
  readonly steps: readonly string[];
  readonly differences: readonly string[];
}

/** The first divergence of a seed, or how many steps were the same. */
export async function compare(seed: number, length: number): Promise<Divergence | undefined> {
  return await withTestHost(async ({ create }) => {
    const fake = fakeOsl({ kernel: new FakeKernel({ renamesWhileUp: true }) });
    const [real, unreal] = [
      { a: await create('a'), b: await create('b') },
      await both(fake.createNamespace.bind(fake)),
    ];
    const steps = new Steps(new Random(seed));
    const taken: string[] = [];
    for (let i = 0; i < length; i++) {
      const step = steps.next();
      taken.push(describeStep(step));
      const differences = [
        ...compareAnswers(await answer(step, unreal), await answer(step, real)),
        ...difference(await snapshot(unreal), await snapshot(real)),
      ];
      if (differences.length > 0) return { seed, steps: taken, differences };
    }
    return undefined;
  });
}

async function both(create: (path: string) => Promise<Places[Place]>): Promise<Places> {
  return { a: await create('/run/a'), b: await create('/run/b') };
}

async function answer(step: Step, places: Places): Promise<string> {
  try {
    return String(await take(step, places));
  } catch (error) {
    if (!LibnetworkError.is(error)) throw error;
    return `${error.code} ${error.errno}`;
  }
}

function compareAnswers(fake: string, real: string): readonly string[] {
  return fake === real ? [] : [`the fake answers ${fake}, the kernel ${real}`];
}
