import { describe, expect, it } from 'vitest';
import { dump, leaked, readSettings, restoreSettings } from '../../examples/demo/machine.ts';
import type { World } from '../../examples/demo/world.ts';
import { FakeKernel, fakeOsl } from '../../src/osl/fake/index.ts';

const directory = '/run/demo';
const table = 'libnetwork-demo';

function freshWorld(): World {
  const kernel = new FakeKernel();
  const command = { file: 'none', args: [] };
  return {
    kind: 'fake',
    osl: fakeOsl({ kernel }),
    server: command,
    lookUp: command,
    mountsUnder: async (under) => kernel.paths().filter((path) => path.startsWith(under)),
  };
}

describe("the demo's look at what it left behind", () => {
  it('finds nothing where nothing was done', async () => {
    const world = freshWorld();
    const before = await dump(world, directory, table);
    expect(leaked(before, await dump(world, directory, table))).toEqual([]);
  });

  it('finds links, addresses, routes, namespaces, rules and settings', async () => {
    const world = freshWorld();
    const { host } = world.osl;
    const before = await dump(world, directory, table);
    const settings = await readSettings(world);
    await host.apply([
      { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true, alias: 'libnetwork:demo:1' },
      { op: 'addAddress', link: 'br0', address: '10.9.0.1/24' },
    ]);
    await world.osl.createNamespace(`${directory}/one`);
    await host.setSysctl('net/ipv4/ip_forward', '1');
    const firewall = await host.firewall({ engine: 'nftables', table });
    const ipv4 = { subnet: '10.9.0.0/24', mode: 'nat', masquerade: true } as const;
    const network = {
      kind: 'network',
      id: '1',
      bridge: 'br0',
      ipv4,
      ipv6: undefined,
      internal: false,
      icc: true,
    } as const;
    await firewall.apply([{ set: network }]);
    await firewall.close();

    const left = leaked(before, await dump(world, directory, table));
    for (const thing of [
      'link br0 bridge (libnetwork:demo:1)',
      'address 10.9.0.1/24 on br0',
      'route 10.9.0.0/24 via br0',
      `namespace ${directory}/one`,
      'setting net/ipv4/ip_forward = 1',
    ])
      expect(left).toContain(thing);
    expect(left.filter((line) => line.startsWith(`rule of ${table}`))).not.toEqual([]);

    await restoreSettings(world, settings);
    expect(leaked(before, await dump(world, directory, table))).not.toContain(
      'setting net/ipv4/ip_forward = 1',
    );
  });
});
