import { describe, expect, it } from 'vitest';
import type { NetworkController } from '../../../src/index.ts';
import { LibnetworkError } from '../../../src/index.ts';
import { expectNothingToRepair, type Setting, StrikeAt, setUp, traces } from './setting.ts';

interface Operation {
  readonly name: string;
  prepare(controller: NetworkController): Promise<void>;
  run(controller: NetworkController, signal?: AbortSignal): Promise<unknown>;
}

const need = <T>(found: T | undefined): T => {
  if (found === undefined) throw new Error('the preparation made it');
  return found;
};
const front = (c: NetworkController) => need(c.network('front'));
const box = (c: NetworkController) => need(c.sandbox('c1'));
const end = (c: NetworkController, name: string) =>
  need(
    c
      .networks()
      .flatMap((n) => n.endpoints())
      .find((e) => e.name === name),
  );

/** Everything that makes something, each on what it needs. */
const OPERATIONS: readonly Operation[] = [
  {
    name: 'createNetwork',
    prepare: async () => undefined,
    run: (c, signal) =>
      c.createNetwork(
        {
          name: 'front',
          ipv6: true,
          ipam: {
            pools: [
              { subnet: '10.34.0.0/16', gateway: '10.34.255.254', auxAddresses: { router: '10.34.0.9' } },
            ],
          },
        },
        { signal },
      ),
  },
  {
    name: 'createSandbox',
    prepare: async () => undefined,
    run: (c, signal) => c.createSandbox({ containerId: 'c1', hostname: 'one' }, { signal }),
  },
  {
    name: 'createEndpoint',
    prepare: async (c) => void (await c.createNetwork({ name: 'front', ipv6: true })),
    run: (c, signal) =>
      front(c).createEndpoint({ name: 'web', ports: [{ container: 80, protocol: 'tcp' }] }, { signal }),
  },
  {
    name: 'join, as the first',
    prepare: async (c) => {
      const network = await c.createNetwork({ name: 'front', ipv6: true });
      await c.createSandbox({ containerId: 'c1', hostname: 'one' });
      await network.createEndpoint({
        name: 'web',
        ports: [{ container: 80, host: 8080, protocol: 'tcp' }],
        sysctls: { 'net.ipv4.conf.IFNAME.forwarding': '1' },
      });
    },
    run: (c, signal) => end(c, 'web').join(box(c), { signal }),
  },
  {
    name: 'join, taking routes and ports over',
    prepare: async (c) => {
      const network = await c.createNetwork({ name: 'front', ipv6: true });
      const back = await c.createNetwork({ name: 'back', ipv6: true });
      const sandbox = await c.createSandbox({ containerId: 'c1', hostname: 'one' });
      const web = await network.createEndpoint({
        name: 'web',
        ports: [{ container: 80, host: 8080, protocol: 'tcp' }],
      });
      await web.join(sandbox);
      await back.createEndpoint({ name: 'db', ports: [{ container: 81, host: 8081, protocol: 'tcp' }] });
    },
    run: (c, signal) => end(c, 'db').join(box(c), { priority: 9, signal }),
  },
];

/** Runs an operation that is struck at one of its steps; false when it has fewer steps. */
async function struck(
  operation: Operation,
  at: number,
  strike: (step: string, give: AbortController) => void,
  check: (
    setting: Setting,
    outcome: PromiseSettledResult<unknown>,
    before: unknown,
    context: string,
  ) => Promise<void>,
): Promise<boolean> {
  const faults = new StrikeAt();
  const setting = await setUp({}, faults);
  await operation.prepare(setting.controller);
  const before = await traces(setting);
  const give = new AbortController();
  let where: string | undefined;
  faults.arm(at, (step) => {
    where = step;
    strike(step, give);
  });
  const [outcome] = await Promise.allSettled([operation.run(setting.controller, give.signal)]);
  if (where === undefined) return false;
  await check(setting, outcome, before, `${operation.name}: step ${at} (${where})`);
  await setting.controller.close();
  return true;
}

async function atEveryStep(run: (at: number) => Promise<boolean>): Promise<void> {
  let at = 1;
  while (await run(at)) at++;
  // A sweep that never struck would say nothing.
  expect(at).toBeGreaterThan(3);
}

describe.each(OPERATIONS)('$name', (operation) => {
  it('changes nothing when any of its steps fails, and succeeds when it is tried again', async () => {
    await atEveryStep((at) =>
      struck(
        operation,
        at,
        (step) => {
          throw new LibnetworkError('UNAVAILABLE', `struck at ${step}`, { operation: step });
        },
        async (setting, outcome, before, context) => {
          // Connections that are tracked under old rules are forgotten as far as that is possible.
          if (context.includes('flushConntrack')) return expectNothingToRepair(setting, context);
          expect(outcome, context).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
          expect(await traces(setting), context).toEqual(before);
          await expectNothingToRepair(setting, context);
          await operation.run(setting.controller);
        },
      ),
    );
  });

  it('changes nothing when it is aborted at any of its steps', async () => {
    await atEveryStep((at) =>
      struck(
        operation,
        at,
        (_, give) => give.abort(new Error('enough')),
        async (setting, outcome, before, context) => {
          if (outcome.status === 'rejected') {
            expect(outcome.reason, context).toMatchObject({ code: 'ABORTED' });
            expect(await traces(setting), context).toEqual(before);
            await expectNothingToRepair(setting, context);
            await operation.run(setting.controller);
          }
          await expectNothingToRepair(setting, context);
        },
      ),
    );
  });

  it('does nothing at all when its signal has fired before', async () => {
    const setting = await setUp();
    await operation.prepare(setting.controller);
    const before = { traces: await traces(setting), steps: setting.osl.faults.steps };
    const outcome = operation.run(setting.controller, AbortSignal.abort());
    await expect(outcome).rejects.toMatchObject({ code: 'ABORTED' });
    expect({ traces: await traces(setting), steps: setting.osl.faults.steps }).toEqual(before);
  });
});

describe('an operation that waits for a lock', () => {
  it('gives up when it is aborted, and leaves the one before it alone', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const network = await controller.createNetwork({ name: 'front' });
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const web = await network.createEndpoint({ name: 'web' });
    const give = new AbortController();
    const first = web.join(sandbox);
    const second = sandbox.delete({ signal: give.signal });
    give.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    await first;
    expect(sandbox.endpoints()).toEqual([web]);
    await sandbox.delete();
  });
});
