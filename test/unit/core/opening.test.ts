import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LibnetworkError, NetworkController } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { World } from '../crash/world.ts';
import { expectNothingToRepair, refusal, StrikeAt } from './setting.ts';

/** A machine on which a container outlives its controller, and another one does not. */
async function leftMachine(): Promise<World> {
  const world = new World();
  const { controller } = await world.open();
  const network = await controller.createNetwork({ name: 'front' });
  for (const name of ['lives', 'dies']) {
    const sandbox = await controller.createSandbox({ containerId: name });
    await (await network.createEndpoint({ name })).join(sandbox);
  }
  await controller.close();
  return world;
}

describe('a start', () => {
  it('whose signal has fired opens nothing', async () => {
    const world = await leftMachine();
    const before = world.dump();
    const opening = world.open(undefined, ['lives'], {}, { signal: AbortSignal.abort(new Error('enough')) });
    expect(await refusal(opening)).toMatchObject({ code: 'ABORTED', cause: new Error('enough') });
    expect(world.dump()).toEqual(before);
    world.remove();
  });

  it('ends when its signal fires at any step, and the next one finds what lives as it was', async () => {
    let aborted = 0;
    for (let step = 1, more = true; more; step++) {
      const world = await leftMachine();
      const faults = new StrikeAt();
      const give = new AbortController();
      more = false;
      faults.arm(step, () => {
        more = true;
        give.abort();
      });
      try {
        const { controller } = await world.open(faults, ['lives'], {}, { signal: give.signal });
        await controller.close();
      } catch (error) {
        if (!LibnetworkError.is(error, 'ABORTED')) throw error;
        aborted++;
      }
      const next = await world.open(undefined, ['lives']);
      const endpoints = next.controller.sandbox('lives')?.endpoints() ?? [];
      expect(
        endpoints.map(({ name }) => name),
        `step ${step}`,
      ).toEqual(['lives']);
      await expectNothingToRepair({ world, ...next }, `step ${step}`);
      expect(world.complaints, `step ${step}`).toEqual([]);
      await next.controller.close();
      world.remove();
    }
    expect(aborted).toBeGreaterThan(10);
  });

  it.each([
    { osl: {} },
    { osl: null },
    { store: { get: () => undefined } },
    { globalStore: 'etcd' },
    { drivers: [{ name: 'mine' }] },
    { drivers: {} },
    { logger: 5 },
    { dataDirectory: '/tmp/a' },
    { instance: 'a/b' },
    { runDir: 'relative' },
  ])('refuses %j, naming the option', async (wrong) => {
    const [option] = Object.keys(wrong);
    const error = await refusal(NetworkController.open(wrong as never));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(error.field).toMatch(new RegExp(`^${option}(\\.0)?$`));
  });

  it('on the fake kernel leaves no directory behind, once all is deleted', async () => {
    const directory = join(tmpdir(), `libnetwork-${process.pid}`);
    const controller = await NetworkController.open({ osl: fakeOsl() });
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    expect(sandbox.hostsPath.startsWith(`${directory}/`)).toBe(true);
    await sandbox.delete();
    await controller.close();
    expect(existsSync(directory)).toBe(false);
  });

  it('takes no signal that is none', async () => {
    const opening = NetworkController.open({}, { signal: 'soon' as never });
    expect(await refusal(opening)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'signal',
      value: 'soon',
    });
  });
});
