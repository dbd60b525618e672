/** A plugin that takes a question and never answers: whoever asked waits, and nobody else. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Endpoint, Network, Sandbox } from '../../../src/index.ts';
import { answers, RecordingPlugin } from '../../support/recordingplugin.ts';
import {
  expectAllGone,
  expectNothingToRepair,
  refusal,
  type Setting,
  setUp,
  useAnother,
} from '../core/setting.ts';

interface Far extends Setting {
  readonly plugin: RecordingPlugin;
  readonly far: Network;
  readonly end: Endpoint;
  readonly box: Sandbox;
  /** From now on it answers to everything but this. */
  hangAt(method: string): void;
  /** From now on it answers to everything. */
  wake(): void;
}

const opened: RecordingPlugin[] = [];
afterEach(async () => {
  for (const plugin of opened.splice(0)) await plugin.stop();
});

/** Long enough that a test which waits for it fails. */
const OPTIONS = { timeoutMs: 120_000, retryBudgetMs: 0, restMs: 0 };
const REMOTE = { driver: 'peerplug', ipam: { driver: 'peerplug' } };

async function withFar(): Promise<Far> {
  let last = 1;
  let hung: string | undefined;
  const plugin = new RecordingPlugin((asked, response) => {
    if (asked.method === hung) return undefined;
    if (asked.method === 'IpamDriver.RequestPool')
      return { body: { PoolID: `pool-${last++}`, Pool: '10.99.0.0/16' } };
    if (asked.method === 'IpamDriver.RequestAddress') {
      const { Address } = asked.body as { Address: string };
      return { body: { Address: `${Address || `10.99.0.${last++}`}/16` } };
    }
    return answers()(asked, response);
  });
  opened.push(await plugin.start());
  const setting = await setUp({ plugins: { ...plugin.options, ...OPTIONS } });
  const { controller } = setting;
  const far = await controller.createNetwork({ name: 'far', ...REMOTE });
  const box = await controller.createSandbox({ containerId: 'c1' });
  const end = await far.createEndpoint({ name: 'end', ports: [{ protocol: 'tcp', container: 80 }] });
  const hangAt = (method: string): void => {
    hung = method;
  };
  const wake = (): void => {
    hung = undefined;
  };
  return { ...setting, plugin, far, end, box, hangAt, wake };
}

const asked = async ({ plugin }: Far, method: string): Promise<void> => {
  await expect.poll(() => plugin.methods, { timeout: 10_000 }).toContain(method);
};

/** Every wait of an operation for a plugin: what it asks, and the operation, which ends with the signal. */
const WAITS: readonly [string, (far: Far, signal?: AbortSignal) => Promise<unknown>, 'joined'?][] = [
  [
    'IpamDriver.RequestPool',
    ({ controller }, signal) => controller.createNetwork({ name: 'x', ...REMOTE }, { signal }),
  ],
  [
    'NetworkDriver.CreateNetwork',
    ({ controller }, signal) => controller.createNetwork({ name: 'x', ...REMOTE }, { signal }),
  ],
  ['IpamDriver.RequestAddress', ({ far }, signal) => far.createEndpoint({ name: 'x' }, { signal })],
  ['NetworkDriver.CreateEndpoint', ({ far }, signal) => far.createEndpoint({ name: 'x' }, { signal })],
  ['NetworkDriver.Join', ({ end, box }, signal) => end.join(box, { signal })],
  ['NetworkDriver.Leave', ({ end, box }, signal) => end.leave(box, { signal }), 'joined'],
  ['NetworkDriver.Leave', ({ end }, signal) => end.delete({ signal, force: true }), 'joined'],
  ['NetworkDriver.Leave', ({ box }, signal) => box.delete({ signal }), 'joined'],
  ['NetworkDriver.DeleteEndpoint', ({ end }, signal) => end.delete({ signal })],
  ['IpamDriver.ReleaseAddress', ({ end }, signal) => end.delete({ signal })],
];

describe('an operation that waits for a plugin', () => {
  it.each(WAITS)(
    'for %s keeps no other operation and no reconcile, and ends with its signal',
    async (method, run, state) => {
      const it = await withFar();
      if (state === 'joined') {
        await it.end.join(it.box);
        // One of its own host beside it: what goes side by side in one deletion.
        const near = await it.controller.createNetwork({ name: 'beside' });
        await (await near.createEndpoint({ name: 'beside' })).join(it.box);
      }
      it.plugin.asked.length = 0;
      it.hangAt(method);
      const give = new AbortController();
      const waiting = refusal(run(it, give.signal));
      await asked(it, method);
      const start = performance.now();
      await useAnother(it);
      give.abort();
      expect(await waiting).toMatchObject({ code: 'ABORTED' });
      // A second for what it undoes itself; without the signal it were the plugin's deadline of two minutes.
      expect(performance.now() - start).toBeLessThan(10_000);
      it.wake();
      await it.plugin.kill();
      await it.plugin.start();
      await it.controller.reconcile();
      await expectAllGone(it);
    },
  );

  it('for addresses of a bridge has a reconcile make nothing of the network that is not there yet', async () => {
    const it = await withFar();
    it.plugin.asked.length = 0;
    it.hangAt('IpamDriver.RequestPool');
    const give = new AbortController();
    const making = refusal(
      it.controller.createNetwork({ name: 'x', ipam: REMOTE.ipam }, { signal: give.signal }),
    );
    await asked(it, 'IpamDriver.RequestPool');
    await expectNothingToRepair(it);
    const before = it.world.dump();
    await it.controller.reconcile();
    expect(it.world.dump()).toEqual(before);
    give.abort();
    expect(await making).toMatchObject({ code: 'ABORTED' });
  });

  it('is waited for when the controller closes', async () => {
    const it = await withFar();
    it.hangAt('NetworkDriver.Join');
    const waiting = refusal(it.end.join(it.box));
    await asked(it, 'NetworkDriver.Join');
    let closed = false;
    const closing = it.controller.close().then(() => {
      closed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(closed).toBe(false);
    await it.plugin.stop();
    expect(await waiting).toMatchObject({ code: 'UNAVAILABLE' });
    await closing;
  });
});

describe('a reconcile that finishes what a plugin has a part in', () => {
  it('keeps no operation while it waits for the plugin, and ends with its signal', async () => {
    const it = await withFar();
    it.plugin.asked.length = 0;
    it.hangAt('NetworkDriver.DeleteEndpoint');
    const give = new AbortController();
    const deleting = refusal(it.end.delete({ signal: give.signal }));
    await asked(it, 'NetworkDriver.DeleteEndpoint');
    give.abort();
    expect(await deleting).toMatchObject({ code: 'ABORTED' });
    // It is half deleted now, and nobody is at it.
    it.plugin.asked.length = 0;
    const enough = new AbortController();
    const reconciling = refusal(it.controller.reconcile({ signal: enough.signal }));
    await asked(it, 'NetworkDriver.DeleteEndpoint');
    const near = await it.controller.createNetwork({ name: 'near' });
    await near.delete();
    expect((await it.controller.reconcile({ dryRun: true })).orphaned).toEqual([]);
    enough.abort();
    expect(await reconciling).toMatchObject({ code: 'ABORTED' });
    expect((await it.controller.reconcile({ dryRun: true })).orphaned).toEqual([
      'endpoint end of network far (deleting)',
    ]);
    it.wake();
    expect((await it.controller.reconcile()).repaired).toEqual(['endpoint end of network far (deleting)']);
    expect(it.far.endpoints()).toEqual([]);
    await expectNothingToRepair(it);
  });
});
