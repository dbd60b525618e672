import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { countingFaults, faultScript, SimulatedCrash, seededDelays } from '../../../src/testing/faults.ts';

/** Takes three steps and tells which acted and what each answered. */
function run(faults: ReturnType<typeof faultScript>): { acted: string[]; outcomes: string[] } {
  const acted: string[] = [];
  const outcomes = ['a', 'b', 'c'].map((name) => {
    try {
      faults.around(name, () => acted.push(name));
      return 'ok';
    } catch (error) {
      return error instanceof Error ? error.name : String(error);
    }
  });
  return { acted, outcomes };
}

describe('a fault script', () => {
  it('counts and names the steps and lets them pass without a plan', () => {
    const faults = countingFaults();
    expect(run(faults)).toEqual({ acted: ['a', 'b', 'c'], outcomes: ['ok', 'ok', 'ok'] });
    expect(faults.steps).toBe(3);
    expect(faults.trace).toEqual(['a', 'b', 'c']);
  });

  it('fails one step without acting, and goes on', () => {
    const faults = faultScript({ at: 2, mode: 'fail' });
    expect(run(faults)).toEqual({ acted: ['a', 'c'], outcomes: ['ok', 'LibnetworkError', 'ok'] });
    expect(faults.crashed).toBe(false);
  });

  it('throws the planned error', () => {
    const error = new LibnetworkError('TIMEOUT', 'too late');
    expect(() => faultScript({ at: 1, mode: 'fail', error }).around('x', () => 1)).toThrow(error);
    const named = faultScript({ at: 1, mode: 'fail', error: (step) => new Error(`at ${step}`) });
    expect(() => named.around('x', () => 1)).toThrow('at x');
  });

  it('crashes before a step and never acts again', () => {
    const faults = faultScript({ at: 2, mode: 'crash-before' });
    expect(run(faults)).toEqual({ acted: ['a'], outcomes: ['ok', 'SimulatedCrash', 'SimulatedCrash'] });
    expect(faults.crashed).toBe(true);
    expect(faults.steps).toBe(2);
  });

  it('crashes right after a step, which acted', () => {
    const faults = faultScript({ at: 2, mode: 'crash-after' });
    expect(run(faults)).toEqual({ acted: ['a', 'b'], outcomes: ['ok', 'SimulatedCrash', 'SimulatedCrash'] });
  });

  it('crashes after a step that failed by itself too, without showing its error', () => {
    const faults = faultScript({ at: 1, mode: 'crash-after' });
    expect(() =>
      faults.around('x', () => {
        throw new Error('by itself');
      }),
    ).toThrow('simulated crash');
    expect(faults.crashed).toBe(true);
  });

  it('tells listeners of the crash once, and late ones at once', () => {
    const faults = countingFaults();
    const told: string[] = [];
    faults.onCrash(() => told.push('early'));
    faults.crash();
    faults.crash();
    faults.onCrash(() => told.push('late'));
    expect(told).toEqual(['early', 'late']);
  });

  it('lets no answer reach a process that died while it waited', async () => {
    const faults = countingFaults();
    let answer = (_: string): void => undefined;
    const waiting = faults.aroundAsync('slow', () => new Promise<string>((resolve) => (answer = resolve)));
    faults.crash();
    answer('too late');
    await expect(waiting).rejects.toSatisfy(SimulatedCrash.is);
  });

  it('strikes asynchronous steps in the same order', async () => {
    const faults = faultScript({ at: 2, mode: 'crash-after' });
    const acted: number[] = [];
    await faults.aroundAsync('one', async () => acted.push(1));
    await expect(faults.aroundAsync('two', async () => acted.push(2))).rejects.toSatisfy(SimulatedCrash.is);
    await expect(faults.aroundAsync('three', async () => acted.push(3))).rejects.toSatisfy(SimulatedCrash.is);
    expect(acted).toEqual([1, 2]);
  });

  it('lets calls that run at once come in another order with another seed, and in the same with the same', async () => {
    const order = async (seed: number): Promise<readonly string[]> => {
      const faults = faultScript(undefined, { delays: seededDelays(seed) });
      const { host } = fakeOsl({ faults });
      const names = ['br0', 'br1', 'br2', 'br3'];
      const links = names.map((name) => ({ op: 'createLink', name, link: { kind: 'bridge' } }) as const);
      await Promise.all(links.map((link) => host.apply([link])));
      return (await host.links()).slice(1).map((link) => link.name);
    };
    expect(await order(7)).toEqual(await order(7));
    const orders = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(order));
    expect(new Set(orders.map(String)).size).toBeGreaterThan(1);
    for (const names of orders) expect([...names].sort()).toEqual(['br0', 'br1', 'br2', 'br3']);
  });

  it('keeps the order of the changes of one call, however long it waits', async () => {
    const { host } = fakeOsl({ faults: faultScript(undefined, { delays: seededDelays(3) }) });
    await host.apply([
      { op: 'createLink', name: 'br0', link: { kind: 'bridge' } },
      { op: 'setLink', name: 'br0', mtu: 1400 },
      { op: 'setLink', name: 'br0', rename: 'br1' },
    ]);
    expect(await host.link('br1')).toMatchObject({ mtu: 1400 });
  });
});
