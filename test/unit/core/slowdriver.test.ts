import { describe, expect, it } from 'vitest';
import type { Driver, DriverFactory, DriverWaits } from '../../../src/driverapi/driver.ts';
import { type Endpoint, LibnetworkError, type Network, type Sandbox } from '../../../src/index.ts';
import { FaultScript } from '../../../src/testing/faults.ts';
import {
  expectAllGone,
  expectNothingToRepair,
  refusal,
  type Setting,
  setUp,
  traces,
  useAnother,
} from './setting.ts';

/** A driver in this process that answers when it is told to, as a plugin in another one may. */
class SlowDriver {
  readonly asked: string[] = [];
  /** What it answers its own reconcile with. */
  found: readonly string[] = [];
  /** What its own reconcile throws. */
  broken: LibnetworkError | undefined;
  readonly #slow = new Set<string>();
  #answers: (() => void)[] = [];

  readonly factory: DriverFactory = (): Driver => ({
    name: 'slow',
    capability: {
      dataScope: 'local',
      connectivityScope: 'local',
      usesIpam: true,
      resolvesNames: true,
    },
    createNetwork: ({ name }, waits) => this.#do('create', name, waits),
    updateNetwork: ({ name }, waits) => this.#do('update', name, waits),
    deleteNetwork: ({ name }, waits) => this.#do('delete', name, waits),
    createEndpoint: async ({ endpoint }, waits) => {
      await this.#do('create endpoint', endpoint.name, waits);
      return {};
    },
    deleteEndpoint: ({ endpoint }, waits) => this.#do('delete endpoint', endpoint.name, waits),
    join: async ({ endpoint }, waits) => {
      await this.#do('join', endpoint.name, waits);
      return { link: { kind: 'none' } };
    },
    leave: ({ endpoint }, waits) => this.#do('leave', endpoint.name, waits),
    restore: async () => undefined,
    reconcile: async (_, waits) => {
      await this.#do('reconcile', 'all', waits);
      if (this.broken) throw this.broken;
      return { missing: [], orphaned: this.found };
    },
  });

  /** From now on it is slow to do these. */
  slowAt(...what: string[]): void {
    for (const each of what) this.#slow.add(each);
  }

  /** From now on it is slow at nothing. */
  hurry(): void {
    this.#slow.clear();
    this.answer();
  }

  /** Lets it answer what it was asked so far. */
  answer(): void {
    for (const answer of this.#answers.splice(0)) answer();
  }

  async isAsked(what: string): Promise<void> {
    await expect.poll(() => this.asked, { timeout: 10_000 }).toContain(what);
  }

  #do(what: string, name: string, { signal }: DriverWaits = {}): Promise<void> {
    this.asked.push(`${what} ${name}`);
    if (!this.#slow.has(what)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#answers.push(resolve);
      signal?.addEventListener('abort', () => reject(new LibnetworkError('ABORTED', `${what}: aborted`)));
    });
  }
}

async function withSlowDriver(...at: string[]) {
  const slow = new SlowDriver();
  slow.slowAt(...at);
  const setting = await setUp({ drivers: [slow.factory] });
  return { ...setting, slow };
}

describe('a driver that is waited for', () => {
  it('keeps no other network from being made, used and deleted', async () => {
    const setting = await withSlowDriver('create', 'join');
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
    const setting = await withSlowDriver('create', 'join');
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
    const setting = await withSlowDriver('create');
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

interface Far extends Setting {
  readonly slow: SlowDriver;
  readonly far: Network;
  readonly end: Endpoint;
  readonly box: Sandbox;
}

async function withFar(): Promise<Far> {
  const setting = await withSlowDriver();
  const far = await setting.controller.createNetwork({ name: 'far', driver: 'slow' });
  const end = await far.createEndpoint({ name: 'end' });
  const box = await setting.controller.createSandbox({ containerId: 'c1' });
  return { ...setting, far, end, box };
}

/** Every wait of an operation for a driver: what the driver is slow at, for whom, and the operation. */
const WAITS: readonly [string, string, (far: Far, signal: AbortSignal) => Promise<unknown>, 'joined'?][] = [
  [
    'create',
    'x',
    ({ controller }, signal) => controller.createNetwork({ name: 'x', driver: 'slow' }, { signal }),
  ],
  ['update', 'far', ({ far }, signal) => far.update({ labels: { a: 'b' }, options: { c: 'd' }, signal })],
  ['create endpoint', 'x', ({ far }, signal) => far.createEndpoint({ name: 'x' }, { signal })],
  ['join', 'end', ({ end, box }, signal) => end.join(box, { signal })],
  ['leave', 'end', ({ end, box }, signal) => end.leave(box, { signal }), 'joined'],
  ['leave', 'end', ({ end }, signal) => end.delete({ signal, force: true }), 'joined'],
  ['leave', 'end', ({ box }, signal) => box.delete({ signal }), 'joined'],
  ['delete endpoint', 'end', ({ end }, signal) => end.delete({ signal })],
];

describe('an operation that waits for a driver from outside', () => {
  it.each(WAITS)(
    'at %s %s keeps no other operation and no reconcile, and ends with its signal',
    async (what, name, run, state) => {
      const it = await withFar();
      if (state === 'joined') {
        await it.end.join(it.box);
        // One of another driver beside it: what goes side by side in one deletion.
        const near = await it.controller.createNetwork({ name: 'beside' });
        await (await near.createEndpoint({ name: 'beside' })).join(it.box);
      }
      it.slow.slowAt(what);
      const give = new AbortController();
      const waiting = refusal(run(it, give.signal));
      await it.slow.isAsked(`${what} ${name}`);
      await useAnother(it);
      give.abort();
      expect(await waiting).toMatchObject({ code: 'ABORTED' });
      it.slow.hurry();
      await it.controller.reconcile();
      await expectAllGone(it);
    },
  );

  it('leaves what the driver has to the next reconcile', async () => {
    const it = await withFar();
    it.slow.found = ['thing 7'];
    it.slow.slowAt('join');
    const joining = it.end.join(it.box);
    await it.slow.isAsked('join end');
    expect((await it.controller.reconcile()).orphaned).toEqual([]);
    it.slow.hurry();
    await joining;
    expect((await it.controller.reconcile()).orphaned).toEqual(['thing 7']);
  });

  it('is waited for when the controller closes', async () => {
    const it = await withFar();
    it.slow.slowAt('join');
    const joining = it.end.join(it.box);
    await it.slow.isAsked('join end');
    let closed = false;
    const closing = it.controller.close().then(() => {
      closed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(closed).toBe(false);
    it.slow.hurry();
    await Promise.all([joining, closing]);
  });
});

describe('a driver from outside that is slow to reconcile', () => {
  it('keeps whoever asked for the reconcile, until the signal, and no operation and no other reconcile', async () => {
    const it = await withFar();
    it.slow.slowAt('reconcile');
    it.slow.asked.length = 0;
    const enough = new AbortController();
    const reconciling = refusal(it.controller.reconcile({ signal: enough.signal }));
    await it.slow.isAsked('reconcile all');
    await useAnother(it);
    expect(await it.controller.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
    enough.abort();
    expect(await reconciling).toMatchObject({ code: 'ABORTED' });
    it.slow.hurry();
    await expectNothingToRepair(it);
  });

  it('is given nothing else to do meanwhile', async () => {
    const it = await withFar();
    it.slow.slowAt('reconcile');
    const reconciling = it.controller.reconcile();
    await it.slow.isAsked('reconcile all');
    const making = it.far.createEndpoint({ name: 'later' });
    await useAnother(it);
    expect(it.slow.asked).not.toContain('create endpoint later');
    it.slow.hurry();
    await Promise.all([reconciling, making]);
    expect(it.slow.asked).toContain('create endpoint later');
    await expectNothingToRepair(it);
  });

  it('fails the reconcile when it fails, and only that', async () => {
    const it = await withFar();
    it.slow.broken = new LibnetworkError('UNAVAILABLE', 'its switch is off');
    expect(await refusal(it.controller.reconcile())).toMatchObject({ code: 'UNAVAILABLE' });
    await it.end.join(it.box);
    it.slow.broken = undefined;
    await expectNothingToRepair(it);
  });

  it('finishes what it has half done beside the operations that go on', async () => {
    const it = await withFar();
    it.slow.slowAt('delete endpoint');
    const give = new AbortController();
    const deleting = refusal(it.end.delete({ signal: give.signal }));
    await it.slow.isAsked('delete endpoint end');
    give.abort();
    expect(await deleting).toMatchObject({ code: 'ABORTED' });
    it.slow.asked.length = 0;
    const enough = new AbortController();
    const reconciling = refusal(it.controller.reconcile({ signal: enough.signal }));
    await it.slow.isAsked('delete endpoint end');
    await useAnother(it);
    enough.abort();
    expect(await reconciling).toMatchObject({ code: 'ABORTED' });
    it.slow.hurry();
    expect((await it.controller.reconcile()).repaired).toEqual(['endpoint end of network far (deleting)']);
    expect(it.far.endpoints()).toEqual([]);
    await expectNothingToRepair(it);
  });
});

/** A kernel whose changes are held back once `hold` was called. */
class HeldBack extends FaultScript {
  #free: Promise<void> | undefined;

  /** Answers with what lets them go on. */
  hold(): () => void {
    let free = (): void => undefined;
    this.#free = new Promise((resolve) => {
      free = resolve;
    });
    return () => free();
  }

  override readonly pause = async (): Promise<void> => this.#free;
}

describe('what waits for a reconcile', () => {
  it('gives up when its signal fires, and so does the reconcile', async () => {
    const kernel = new HeldBack();
    const setting = await setUp({}, kernel);
    const { controller } = setting;
    const release = kernel.hold();
    const making = controller.createNetwork({ name: 'far' });
    const [first, second] = [new AbortController(), new AbortController()];
    const reconciling = controller.reconcile({ signal: first.signal });
    const behind = controller.createNetwork({ name: 'near' }, { signal: second.signal });
    second.abort();
    expect(await refusal(behind)).toMatchObject({ code: 'ABORTED' });
    first.abort();
    expect(await refusal(reconciling)).toMatchObject({ code: 'ABORTED' });
    // The way is free again.
    await controller.createNetwork({ name: 'near', configOnly: true });
    release();
    await making;
    await expectNothingToRepair(setting);
  });
});
