import { describe, expect, it } from 'vitest';
import type { Driver, DriverFactory, DriverWaits } from '../../../src/driverapi/driver.ts';
import { LibnetworkError } from '../../../src/index.ts';
import { expectNothingToRepair, refusal, setUp, traces } from './setting.ts';

/** A driver that answers only when it is told to, as a plugin in another process may. */
class SlowDriver {
  readonly asked: string[] = [];
  #answers: (() => void)[] = [];

  readonly factory: DriverFactory = (): Driver => ({
    name: 'slow',
    capability: {
      dataScope: 'local',
      connectivityScope: 'local',
      usesIpam: true,
      resolvesNames: true,
    },
    createNetwork: (network, waits) => this.#wait(`create ${network.name}`, waits),
    deleteNetwork: async () => undefined,
    join: async ({ endpoint }, waits) => {
      await this.#wait(`join ${endpoint.name}`, waits);
      return { link: { kind: 'none' } };
    },
    leave: async () => undefined,
    restore: async () => undefined,
    reconcile: async () => ({ missing: [], orphaned: [] }),
  });

  /** Lets it answer what it was asked so far. */
  answer(): void {
    for (const answer of this.#answers.splice(0)) answer();
  }

  async isAsked(what: string): Promise<void> {
    await expect.poll(() => this.asked, { timeout: 10_000 }).toContain(what);
  }

  #wait(what: string, { signal }: DriverWaits = {}): Promise<void> {
    this.asked.push(what);
    return new Promise((resolve, reject) => {
      this.#answers.push(resolve);
      signal?.addEventListener('abort', () => reject(new LibnetworkError('ABORTED', `${what}: aborted`)));
    });
  }
}

async function withSlowDriver() {
  const slow = new SlowDriver();
  const setting = await setUp({ drivers: [slow.factory] });
  return { ...setting, slow };
}

describe('a driver that is waited for', () => {
  it('keeps no other network from being made, used and deleted', async () => {
    const setting = await withSlowDriver();
    const { controller, slow } = setting;
    const waiting = controller.createNetwork({ name: 'far', driver: 'slow' });
    await slow.isAsked('create far');
    const near = await controller.createNetwork({ name: 'near' });
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const endpoint = await near.createEndpoint({ name: 'web' });
    await endpoint.join(sandbox);
    await sandbox.delete();
    await near.delete();
    expect(controller.network('far')).toBeUndefined();
    slow.answer();
    expect((await waiting).name).toBe('far');
    await expectNothingToRepair(setting);
  });

  it('keeps a join waiting, and no other endpoint, sandbox or network with it', async () => {
    const setting = await withSlowDriver();
    const { controller, slow } = setting;
    const making = controller.createNetwork({ name: 'far', driver: 'slow' });
    await slow.isAsked('create far');
    slow.answer();
    const far = await making;
    const near = await controller.createNetwork({ name: 'near' });
    const [one, two] = [
      await controller.createSandbox({ containerId: 'c1' }),
      await controller.createSandbox({ containerId: 'c2' }),
    ];
    const first = await far.createEndpoint({ name: 'first' });
    const joining = first.join(one);
    await slow.isAsked('join first');
    // Of the same network, and of another.
    const second = await far.createEndpoint({ name: 'second' });
    const alsoJoining = second.join(two);
    await slow.isAsked('join second');
    const third = await near.createEndpoint({ name: 'third' });
    await third.delete();
    const other = await controller.createSandbox({ containerId: 'c3' });
    await (await near.createEndpoint({ name: 'fourth' })).join(other);
    await other.delete();
    slow.answer();
    await Promise.all([joining, alsoJoining]);
    expect(first.sandboxId).toBe(one.id);
    expect(second.sandboxId).toBe(two.id);
    await expectNothingToRepair(setting);
  });

  it('is waited for no longer than the signal allows, and nothing is left of what was begun', async () => {
    const setting = await withSlowDriver();
    const { controller, slow } = setting;
    const before = await traces(setting);
    const abort = new AbortController();
    const waiting = controller.createNetwork({ name: 'far', driver: 'slow' }, { signal: abort.signal });
    await slow.isAsked('create far');
    abort.abort();
    expect(await refusal(waiting)).toMatchObject({ code: 'ABORTED' });
    expect(await traces(setting)).toEqual(before);
  });
});

describe('what waits for a reconcile', () => {
  it('gives up when its signal fires, and so does the reconcile', async () => {
    const setting = await withSlowDriver();
    const { controller, slow } = setting;
    const making = controller.createNetwork({ name: 'far', driver: 'slow' });
    await slow.isAsked('create far');
    const [first, second] = [new AbortController(), new AbortController()];
    const reconciling = controller.reconcile({ signal: first.signal });
    const behind = controller.createNetwork({ name: 'near' }, { signal: second.signal });
    second.abort();
    expect(await refusal(behind)).toMatchObject({ code: 'ABORTED' });
    first.abort();
    expect(await refusal(reconciling)).toMatchObject({ code: 'ABORTED' });
    // The way is free again.
    await controller.createNetwork({ name: 'near' });
    slow.answer();
    await making;
    await expectNothingToRepair(setting);
  });
});
