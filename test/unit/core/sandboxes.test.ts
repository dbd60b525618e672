import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { everything, expectNothingToRepair, refusal, restart, setUp, traces } from './setting.ts';

describe('a sandbox', () => {
  it('has a namespace and files of its own, and shows what it is', async () => {
    const { controller, osl } = await setUp();
    const sandbox = await controller.createSandbox({
      containerId: 'c1',
      hostname: 'web',
      domainname: 'example.com',
    });
    expect(sandbox).toMatchObject({ containerId: 'c1', hostname: 'web' });
    expect(sandbox.namespacePath).toContain(sandbox.id.slice(0, 12));
    const inside = await osl.openNamespace(sandbox.namespacePath);
    expect(await inside.links()).toMatchObject([{ name: 'lo', up: true }]);
    expect(readFileSync(sandbox.hostsPath, 'utf8')).toContain('127.0.0.1\tlocalhost');
    expect(readFileSync(sandbox.resolvConfPath, 'utf8')).toContain('nameserver 127.0.0.11');
    expect(controller.sandbox('c1')).toBe(sandbox);
    expect(controller.sandbox(sandbox.id)).toBe(sandbox);
    expect(controller.sandboxes()).toEqual([sandbox]);
    expect(Object.isFrozen(sandbox.endpoints())).toBe(true);
  });

  it('is the only one of its container', async () => {
    const setting = await setUp();
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
    const before = await everything(setting);
    expect(await refusal(setting.controller.createSandbox({ containerId: 'c1' }))).toMatchObject({
      code: 'ALREADY_EXISTS',
      field: 'containerId',
      value: 'c1',
      holder: `sandbox ${sandbox.id}`,
    });
    expect(await everything(setting)).toEqual(before);
  });

  it('is made once when two ask for one container at the same time', async () => {
    const setting = await setUp();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () => setting.controller.createSandbox({ containerId: 'c1' })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await expectNothingToRepair(setting);
  });

  it.each([
    { option: 'hostsPath', wrong: 'directory' },
    { option: 'resolvConfPath', wrong: 'directory' },
    { option: 'hostsPath', wrong: 'file/below' },
    { option: 'namespacePath', wrong: 'file' },
  ])('is not made with a $wrong for its $option, and leaves nothing', async ({ option, wrong }) => {
    const setting = await setUp();
    const { runDir } = setting.world;
    mkdirSync(`${runDir}/given/directory`, { recursive: true });
    writeFileSync(`${runDir}/given/file`, 'theirs');
    const before = { ...((await everything(setting)) as object), files: filesUnder(runDir) };
    for (let round = 0; round < 20; round++) {
      const path = `${runDir}/given/${wrong}`;
      const error = await refusal(setting.controller.createSandbox({ containerId: 'c1', [option]: path }));
      expect(error).toMatchObject({ field: option, value: path });
      expect(['INVALID_ARGUMENT', 'NOT_FOUND']).toContain(error.code);
      expect(error.notUndone).toBeUndefined();
    }
    expect({ ...((await everything(setting)) as object), files: filesUnder(runDir) }).toEqual(before);
  });

  it('in a namespace that somebody else made leaves it there', async () => {
    const setting = await setUp();
    const path = `${setting.world.runDir}/theirs`;
    const theirs = await setting.osl.createNamespace(path);
    const before = await traces(setting);
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1', namespacePath: path });
    expect(sandbox.namespacePath).toBe(path);
    await sandbox.delete();
    expect(await traces(setting)).toEqual(before);
    expect(await theirs.links()).toHaveLength(1);
  });

  it('never takes a name that a link in a given namespace has', async () => {
    const setting = await setUp();
    const path = `${setting.world.runDir}/theirs`;
    const theirs = await setting.osl.createNamespace(path);
    await theirs.apply([{ op: 'createLink', name: 'eth0', link: { kind: 'dummy' } }]);
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1', namespacePath: path });
    const network = await setting.controller.createNetwork({ name: 'front' });
    const endpoint = await network.createEndpoint({ name: 'web' });
    await endpoint.join(sandbox);
    expect(endpoint.interfaceName).toBe('eth1');
    await sandbox.delete();
    expect((await theirs.links()).map(({ name }) => name)).toEqual(['lo', 'eth0']);
  });

  it('is not made where its namespace does not exist', async () => {
    const setting = await setUp();
    const before = await traces(setting);
    const making = setting.controller.createSandbox({ containerId: 'c1', namespacePath: '/nowhere/ns' });
    expect(await refusal(making)).toMatchObject({ code: 'NOT_FOUND' });
    expect(await traces(setting)).toEqual(before);
    expect(setting.controller.sandboxes()).toEqual([]);
  });

  it('on the host uses the host’s name servers', async () => {
    const { controller } = await setUp();
    const sandbox = await controller.createSandbox({
      containerId: 'h',
      namespacePath: 'host',
      dns: { servers: ['127.0.0.1'] },
    });
    expect(sandbox.namespacePath).toBe('host');
    expect(readFileSync(sandbox.resolvConfPath, 'utf8')).toContain('nameserver 127.0.0.1\n');
  });

  it('keeps the files that a container has mounted: what changes is in them, and they are the same', async () => {
    const { controller } = await setUp();
    const sandbox = await controller.createSandbox({ containerId: 'c1', hostname: 'web' });
    const network = await controller.createNetwork({ name: 'front' });
    const endpoint = await network.createEndpoint({ name: 'web' });
    const files = [sandbox.hostsPath, sandbox.resolvConfPath];
    const inodes = () => files.map((path) => statSync(path).ino);
    const texts = () => files.map((path) => readFileSync(path, 'utf8'));
    const before = inodes();
    const seen = new Set([texts().join()]);
    for (const act of [
      () => endpoint.join(sandbox),
      () => sandbox.refresh({ hostname: 'other', dns: { search: ['example.com'] } }),
      () => endpoint.leave(sandbox),
    ]) {
      await act();
      seen.add(texts().join());
      expect(inodes()).toEqual(before);
    }
    expect(seen.size).toBe(4);
  });

  it('has its host name for each address in its hosts file, as long as it has the address', async () => {
    const { controller } = await setUp();
    const sandbox = await controller.createSandbox({
      containerId: 'c1',
      hostname: 'somehost.example.com',
      extraHosts: { db: '10.0.0.5' },
    });
    const network = await controller.createNetwork({
      name: 'front',
      ipv6: true,
      ipam: { pools: [{ subnet: '192.168.222.0/24' }, { subnet: 'fe90::/64' }] },
    });
    const before = readFileSync(sandbox.hostsPath, 'utf8');
    expect(before).toContain('10.0.0.5\tdb');
    const endpoint = await network.createEndpoint({ name: 'web' });
    await endpoint.join(sandbox);
    const joined = readFileSync(sandbox.hostsPath, 'utf8');
    expect(joined).toContain('192.168.222.2\tsomehost.example.com somehost\n');
    expect(joined).toContain('fe90::2\tsomehost.example.com somehost\n');
    await endpoint.leave(sandbox);
    expect(readFileSync(sandbox.hostsPath, 'utf8')).toBe(before);
  });
});

describe('deleting a sandbox', () => {
  it('deletes its endpoints, its namespace and its files', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const networks = [
      await controller.createNetwork({ name: 'n1' }),
      await controller.createNetwork({ name: 'n2' }),
    ];
    const before = await traces(setting);
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    for (const network of networks) await (await network.createEndpoint({ name: 'e' })).join(sandbox);
    const spare = await networks[0]?.createEndpoint({ name: 'spare' });
    await sandbox.delete();
    await spare?.delete();
    expect(await traces(setting)).toEqual(before);
    expect(existsSync(sandbox.hostsPath)).toBe(false);
    for (const network of networks) await network.delete();
    expect(await refusal(sandbox.delete())).toMatchObject({ code: 'NOT_FOUND' });
    expect(() => sandbox.spawn('true')).toThrow('no open namespace');
    await controller.createSandbox({ containerId: 'c1' });
  });

  it('is done once when two ask for it at the same time', async () => {
    const { controller } = await setUp();
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const outcomes = await Promise.allSettled([sandbox.delete(), sandbox.delete()]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });
});

describe('a restart', () => {
  it('takes up the sandboxes that are alive and deletes the others', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const network = await controller.createNetwork({ name: 'front' });
    for (const containerId of ['alive', 'dead']) {
      const sandbox = await controller.createSandbox({ containerId });
      const ports = [
        { protocol: 'tcp' as const, container: 80, host: containerId === 'alive' ? 8080 : 8081 },
      ];
      await (await network.createEndpoint({ name: containerId, ports })).join(sandbox);
    }
    const kept = { ...controller.sandbox('alive') };
    const { ipv4, macAddress, ports } = network.endpoint('alive') ?? {};
    const next = await restart(setting, ['alive']);
    expect(next.controller.sandboxes().map(({ containerId }) => containerId)).toEqual(['alive']);
    expect(next.controller.sandbox('alive')).toMatchObject(kept);
    const after = next.controller.network('front')?.endpoints();
    expect(after).toMatchObject([{ name: 'alive', ipv4, macAddress, ports, interfaceName: 'eth0' }]);
    await expectNothingToRepair(next);
    await after?.[0]?.delete({ force: true });
  });

  it('cleans up a sandbox that is called alive and has no namespace any more', async () => {
    const setting = await setUp();
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
    await setting.controller.close();
    await setting.world.vandalise({ endpointId: 'none', sandbox, missing: ['namespace'] });
    const next = await restart(setting, ['c1']);
    expect(next.controller.sandboxes()).toEqual([]);
    await expectNothingToRepair(next);
  });
});

describe('a closed controller', () => {
  it('refuses every operation', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const network = await controller.createNetwork({ name: 'front' });
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const endpoint = await network.createEndpoint({ name: 'web' });
    await controller.close();
    await controller.close();
    const before = await everything(setting);
    for (const act of [
      () => controller.createNetwork({ name: 'back' }),
      () => controller.createSandbox({ containerId: 'c2' }),
      () => controller.reconcile(),
      () => network.createEndpoint({ name: 'job' }),
      () => network.delete(),
      () => endpoint.join(sandbox),
      () => endpoint.leave(sandbox),
      () => endpoint.delete({ force: true }),
      () => sandbox.delete(),
    ])
      expect(await refusal(act())).toMatchObject({ code: 'UNAVAILABLE' });
    expect(await everything(setting)).toEqual(before);
  });
});

/** What is on the disk, but for the directory of all sandboxes' files. */
function filesUnder(directory: string): readonly string[] {
  const paths = readdirSync(directory, { recursive: true }).map(String).sort();
  return paths.filter((path) => path !== 'default' && path !== 'default/files');
}
