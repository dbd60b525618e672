import { describe, expect, it } from 'vitest';
import { LibnetworkError, type Sandbox } from '../../../src/index.ts';
import { expectNothingToRepair, setUp } from './setting.ts';

/** What operations that cross each other may be refused with; everything else would be a fault of ours. */
const CROSSED = new Set(['FORBIDDEN', 'NOT_FOUND', 'ALREADY_EXISTS', 'CONFLICT']);

async function crossing(operation: Promise<unknown>): Promise<void> {
  try {
    await operation;
  } catch (error) {
    if (!LibnetworkError.is(error) || !CROSSED.has(error.code)) throw error;
  }
}

describe('operations side by side', () => {
  it('a hundred joins into shared sandboxes all succeed', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const network = await controller.createNetwork({ name: 'front' });
    const boxes = await Promise.all(
      Array.from({ length: 10 }, (_, i) => controller.createSandbox({ containerId: `c${i}` })),
    );
    const ends = await Promise.all(
      Array.from({ length: 100 }, (_, i) => network.createEndpoint({ name: `e${i}` })),
    );
    expect(new Set(ends.map(({ ipv4 }) => ipv4)).size).toBe(100);
    await Promise.all(ends.map((end, i) => end.join(boxes[i % 10] as Sandbox)));
    for (const box of boxes) {
      expect(new Set(box.endpoints().map(({ interfaceName }) => interfaceName)).size).toBe(10);
    }
    await expectNothingToRepair(setting);
    await Promise.all(boxes.map((box) => box.delete()));
    expect(network.endpoints()).toEqual([]);
    await expectNothingToRepair(setting);
  });

  it('a hundred operations that cross each other on two networks and three sandboxes end, and leave order', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const names = ['n0', 'n1'];
    const containers = ['c0', 'c1', 'c2'];
    for (const name of names) await controller.createNetwork({ name });
    for (const containerId of containers) await controller.createSandbox({ containerId });
    const act = async (i: number): Promise<void> => {
      const network = controller.network(names[i % 2] ?? '');
      const containerId = containers[i % 3] ?? '';
      const sandbox = controller.sandbox(containerId);
      const endpoint = network?.endpoint(`e${i % 7}`);
      switch (i % 9) {
        case 0:
        case 1:
        case 2:
          return void (await network?.createEndpoint({ name: `e${i % 7}` }));
        case 3:
        case 4:
          return sandbox && endpoint?.join(sandbox);
        case 5:
          return sandbox && endpoint?.leave(sandbox);
        case 6:
          return endpoint?.delete({ force: true });
        case 7:
          return sandbox?.delete().then(async () => void (await controller.createSandbox({ containerId })));
        default:
          return void (await controller.reconcile());
      }
    };
    for (let round = 0; round < 4; round++)
      await Promise.all(Array.from({ length: 100 }, (_, i) => crossing(act(i * 5 + round))));
    await expectNothingToRepair(setting);
    expect(setting.world.complaints).toEqual([]);
  });

  // Upstream's TestParallel: three workers, 25 rounds each, one on the host network and two on one bridge.
  it('joins and leaves in rounds, on one bridge and on the host', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const bridge = await controller.createNetwork({ name: 'bridge' });
    const host = await controller.createNetwork({ name: 'host', driver: 'host' });
    const worker = async (i: number): Promise<void> => {
      const onHost = i === 0;
      const sandbox = await controller.createSandbox({
        containerId: `c${i}`,
        ...(onHost ? { namespacePath: 'host' } : {}),
      });
      const endpoint = await (onHost ? host : bridge).createEndpoint({ name: `e${i}` });
      for (let round = 0; round < 25; round++) {
        await endpoint.join(sandbox);
        await endpoint.leave(sandbox);
      }
      await sandbox.delete();
      await endpoint.delete();
    };
    await Promise.all([0, 1, 2].map(worker));
    await expectNothingToRepair(setting);
  });
});
