import { describe, expect, it, vi } from 'vitest';
import { vethName } from '../../../src/ids.ts';
import { createIpam } from '../../../src/ipam/index.ts';
import { expectNothingToRepair, restart, setUp } from './setting.ts';

const GONE = 'f'.repeat(64);

describe('reconcile', () => {
  it('reports each link without a record once, whichever driver made it, and removes it', async () => {
    const setting = await setUp();
    const alias = `libnetwork:default:${GONE}`;
    const { host } = setting.osl;
    const before = await host.links();
    await host.apply([
      { op: 'createLink', name: vethName(GONE), link: { kind: 'veth', peer: { name: 'far' } }, alias },
      { op: 'createLink', name: 'br-ffffffffffff', link: { kind: 'bridge' }, alias },
      { op: 'createLink', name: 'dummy-lost', link: { kind: 'dummy' }, alias },
    ]);
    const found = await setting.controller.reconcile({ dryRun: true });
    expect([...found.orphaned].sort()).toEqual([
      'bridge br-ffffffffffff',
      `link dummy-lost (${alias})`,
      `veth ${vethName(GONE)}`,
    ]);
    expect(found).toMatchObject({ missing: [], repaired: [] });
    expect((await setting.controller.reconcile()).repaired).toHaveLength(3);
    expect((await host.links()).map(({ name }) => name)).toEqual(before.map(({ name }) => name));
    await expectNothingToRepair(setting);
  });

  it('leaves alone what carries no stamp, or another instance’s', async () => {
    const setting = await setUp();
    await setting.osl.host.apply([
      { op: 'createLink', name: 'br-theirs', link: { kind: 'bridge' } },
      { op: 'createLink', name: 'br-other', link: { kind: 'bridge' }, alias: `libnetwork:other:${GONE}` },
    ]);
    const before = setting.world.dump();
    await setting.controller.reconcile();
    expect(setting.world.dump()).toEqual(before);
  });

  it('finds a namespace of ours that no sandbox has, and removes it', async () => {
    const setting = await setUp();
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
    const lost = sandbox.namespacePath.replace(/[^/]+$/, 'ffffffffffff');
    await (await setting.osl.createNamespace(lost)).close();
    expect((await setting.controller.reconcile()).repaired).toEqual([`namespace ${lost}`]);
    expect(await setting.osl.listNamespaces(lost.replace(/\/[^/]+$/, ''))).toEqual([sandbox.namespacePath]);
  });

  it('changes nothing in a dry run', async () => {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({ name: 'front' });
    await setting.osl.host.deleteLink(`br-${network.id.slice(0, 12)}`);
    const before = setting.world.dump();
    const report = await setting.controller.reconcile({ dryRun: true });
    expect(report.missing).toHaveLength(1);
    expect(report.repaired).toEqual([]);
    expect(setting.world.dump()).toEqual(before);
    expect((await setting.controller.reconcile()).repaired).toEqual(report.missing);
    await expectNothingToRepair(setting);
  });

  it('compares the addresses once at a start, before anything is settled', async () => {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({ name: 'front' });
    await network.createEndpoint({ name: 'web' });
    const allocators = Object.getPrototypeOf(createIpam()) as Required<ReturnType<typeof createIpam>>;
    const compared = vi.spyOn(allocators, 'reconcile');
    try {
      const next = await restart(setting);
      expect(compared).toHaveBeenCalledTimes(1);
      await next.controller.reconcile();
      expect(compared).toHaveBeenCalledTimes(2);
    } finally {
      compared.mockRestore();
    }
  });
});
