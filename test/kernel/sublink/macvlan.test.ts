/** The macvlan driver on the real kernel, with a parent that is wired to a namespace outside. */
import { describe, expect, it } from 'vitest';
import { type ControllerOptions, NetworkController } from '../../../src/index.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';

interface Ground extends TestHost {
  readonly outside: Namespace;
  readonly options: ControllerOptions;
}

/** The host's link `p` and its far end outside, which is the router of both families. */
function onGround(work: (ground: Ground) => Promise<void>): Promise<void> {
  return withTestHost(async (test) => {
    const outside = await test.create('outside');
    const peer = { name: 'q', namespace: outside };
    await test.host.apply([{ op: 'createLink', name: 'p', link: { kind: 'veth', peer }, up: true }]);
    await outside.apply([
      { op: 'addAddress', link: 'q', address: '10.9.1.1/24' },
      { op: 'addAddress', link: 'q', address: 'fd00:9:1::1/64', noDad: true },
      { op: 'setLink', name: 'q', up: true },
    ]);
    const options = { osl: test.osl, dataDir: `${test.directory}/data`, runDir: `${test.directory}/run` };
    await work({ ...test, outside, options });
  });
}

async function start(controller: NetworkController, mode: string, containers: readonly string[]) {
  const network = await controller.createNetwork({
    name: 'lan',
    driver: 'macvlan',
    ipv6: true,
    ipam: {
      pools: [
        { subnet: '10.9.1.0/24', gateway: '10.9.1.1' },
        { subnet: 'fd00:9:1::/64', gateway: 'fd00:9:1::1' },
      ],
    },
    options: { parent: 'p', macvlan_mode: mode },
  });
  const made = [];
  for (const containerId of containers) {
    const sandbox = await controller.createSandbox({ containerId });
    const endpoint = await network.createEndpoint({ name: containerId });
    await endpoint.join(sandbox);
    const addresses = [endpoint.ipv4, endpoint.ipv6].map((cidr) => cidr?.split('/')[0] ?? '');
    made.push({ sandbox, endpoint, addresses, path: sandbox.namespacePath ?? '' });
  }
  return { network, made };
}

const answers = async (from: Namespace, to: string, timeoutMs = 500) =>
  (await from.ping(to, { timeoutMs })) !== undefined;

async function expectReach(from: Namespace, to: string): Promise<void> {
  await expect.poll(() => answers(from, to), { timeout: 15_000, message: `${to} answers` }).toBe(true);
}

describe.skipIf(!canUseKernel)(`macvlan on the real kernel ${whyNot}`, () => {
  it('puts containers on the network of the parent, and leaves nothing', async () => {
    await onGround(async ({ host, osl, outside, options }) => {
      const before = await host.links();
      const controller = await NetworkController.open(options);
      const { network, made } = await start(controller, 'bridge', ['c1', 'c2']);
      const [one, two] = await Promise.all(made.map(({ path }) => osl.openNamespace(path)));
      if (!one || !two || !made[1]) return expect.unreachable();
      for (const [i, gateway] of ['10.9.1.1', 'fd00:9:1::1'].entries()) {
        await expectReach(one, gateway);
        await expectReach(one, made[1].addresses[i] ?? '');
        await expectReach(outside, made[1].addresses[i] ?? '');
        // The host is no neighbour of its own macvlans.
        expect(await answers(host, made[1].addresses[i] ?? '', 200).catch(() => false)).toBe(false);
      }
      expect((await one.link('eth0'))?.macAddress).not.toBe((await two.link('eth0'))?.macAddress);
      await made[0]?.endpoint.leave(made[0].sandbox);
      expect(await one.link('eth0')).toBeUndefined();
      await made[0]?.endpoint.join(made[0].sandbox);
      await expectReach(one, '10.9.1.1');
      for (const { endpoint, sandbox } of made) {
        await endpoint.delete({ force: true });
        await sandbox.delete();
      }
      await network.delete();
      await controller.close();
      const names = (links: typeof before) => links.map(({ name, up }) => ({ name, up }));
      expect(names(await host.links())).toEqual(names(before));
    });
  });

  it.each(['private', 'vepa'])('keeps containers apart in mode %s', async (mode) => {
    await onGround(async ({ osl, options }) => {
      await using controller = await NetworkController.open(options);
      const { made } = await start(controller, mode, ['c1', 'c2']);
      const one = await osl.openNamespace(made[0]?.path ?? '');
      await expectReach(one, '10.9.1.1');
      expect(await answers(one, made[1]?.addresses[0] ?? '').catch(() => false)).toBe(false);
    });
  });

  it('takes the parent as it is in mode passthru, one container alone', async () => {
    await onGround(async ({ osl, options }) => {
      await using controller = await NetworkController.open(options);
      const { network, made } = await start(controller, 'passthru', ['c1']);
      await expectReach(await osl.openNamespace(made[0]?.path ?? ''), 'fd00:9:1::1');
      const second = await network.createEndpoint({ name: 'c2' });
      const refused = second.join(await controller.createSandbox({ containerId: 'c2' }));
      await expect(refused).rejects.toMatchObject({ code: 'CONFLICT', field: 'parent', value: 'p' });
      expect(await controller.reconcile({ dryRun: true })).toEqual({
        missing: [],
        orphaned: [],
        repaired: [],
      });
    });
  });

  it('keeps a living container through a restart, and finds nothing to repair', async () => {
    await onGround(async ({ osl, options }) => {
      const first = await NetworkController.open(options);
      const { made } = await start(first, 'bridge', ['c1', 'c2']);
      const one = await osl.openNamespace(made[0]?.path ?? '');
      await expectReach(one, '10.9.1.1');
      const link = await one.link('eth0');
      await first.close();
      await using second = await NetworkController.open({ ...options, activeSandboxes: ['c1'] });
      expect((await one.link('eth0'))?.index).toBe(link?.index);
      await expectReach(one, '10.9.1.1');
      expect(await second.reconcile({ dryRun: true })).toEqual({ missing: [], orphaned: [], repaired: [] });
      // The other container was not said to live: it is gone with all that was its.
      expect(
        second
          .network('lan')
          ?.endpoints()
          .map(({ name }) => name),
      ).toEqual(['c1']);
    });
  });

  it('says what a kernel without dummy links can do instead', async () => {
    await onGround(async ({ host, options }) => {
      const hasDummy = await host.apply([{ op: 'createLink', name: 'probe', link: { kind: 'dummy' } }]).then(
        () => host.deleteLink('probe'),
        () => false,
      );
      await using controller = await NetworkController.open(options);
      const made = controller.createNetwork({ name: 'alone', driver: 'macvlan' });
      if (hasDummy) await (await made).delete();
      else
        await expect(made).rejects.toMatchObject({
          code: 'NOT_IMPLEMENTED',
          field: 'parent',
          message: expect.stringMatching(/dummy.*parent instead/) as string,
        });
      expect(controller.networks()).toEqual([]);
    });
  });
});
