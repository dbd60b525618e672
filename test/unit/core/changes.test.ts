import { channel } from 'node:diagnostics_channel';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { OPERATION_CHANNEL, type Sandbox } from '../../../src/index.ts';
import type { FakeOsl } from '../../../src/osl/fake/index.ts';
import { everything, expectNothingToRepair, refusal, restart, setUp } from './setting.ts';

const hosts = (sandbox: Sandbox) => readFileSync(sandbox.hostsPath, 'utf8');
const servers = (sandbox: Sandbox) => readFileSync(sandbox.resolvConfPath, 'utf8');

describe('refreshing a sandbox', () => {
  it('sets names, hosts and DNS anew, and leaves its endpoints joined', async () => {
    const setting = await setUp();
    const sandbox = await setting.controller.createSandbox({
      containerId: 'c1',
      hostname: 'old',
      extraHosts: { db: '10.0.0.5' },
    });
    const network = await setting.controller.createNetwork({ name: 'n' });
    const web = await network.createEndpoint({ name: 'web' });
    await web.join(sandbox);
    const { ipv4 = '', macAddress } = web;
    await sandbox.refresh({ hostname: 'new', dns: { search: ['example.com'] } });
    expect(sandbox.hostname).toBe('new');
    expect(hosts(sandbox)).toContain(`${ipv4.split('/')[0]}\tnew\n`);
    expect(hosts(sandbox)).not.toContain('old');
    expect(hosts(sandbox)).not.toContain('db');
    expect(servers(sandbox)).toContain('search example.com');
    expect(web).toMatchObject({ ipv4, macAddress, interfaceName: 'eth0', sandboxId: sandbox.id });
    await expectNothingToRepair(setting);
    const next = await restart(setting, ['c1']);
    expect(next.controller.sandbox('c1')?.hostname).toBe('new');
  });

  it('leaves lines of /etc/hosts alone that others wrote, also when it fails', async () => {
    const setting = await setUp();
    const sandbox = await setting.controller.createSandbox({
      containerId: 'c1',
      extraHosts: { db: '10.0.0.5' },
    });
    appendFileSync(sandbox.hostsPath, '10.0.0.9\ttheirs # by hand\n');
    await sandbox.refresh({ extraHosts: { cache: '10.0.0.6' } });
    const after = hosts(sandbox);
    expect(after).toContain('10.0.0.9\ttheirs # by hand\n');
    expect(after).toContain('127.0.0.1\tlocalhost\n');
    expect(after.match(/db|cache/g)).toEqual(['cache']);
    const abort = new AbortController();
    const failing = sandbox.refresh({ extraHosts: { db: '10.0.0.5' } }, { signal: abort.signal });
    abort.abort();
    expect(await refusal(failing)).toMatchObject({ code: 'ABORTED' });
    expect(hosts(sandbox).split('\n').sort()).toEqual(after.split('\n').sort());
    writeFileSync(sandbox.hostsPath, '');
    await sandbox.refresh({ extraHosts: { cache: '10.0.0.6' } });
    expect(hosts(sandbox)).toContain('127.0.0.1\tlocalhost\n');
    expect(hosts(sandbox)).toContain('10.0.0.6\tcache\n');
  });

  it('leaves a resolv.conf alone that somebody edited', async () => {
    const { controller } = await setUp();
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    writeFileSync(sandbox.resolvConfPath, 'nameserver 6.6.6.6\n');
    await sandbox.refresh({ dns: { search: ['example.com'] } });
    expect(servers(sandbox)).toBe('nameserver 6.6.6.6\n');
  });

  it('refuses what is no setting', async () => {
    const setting = await setUp();
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
    const before = await everything(setting);
    const wrong = { containerId: 'c2' } as never;
    expect(await refusal(sandbox.refresh(wrong))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'containerId',
    });
    expect(await everything(setting)).toEqual(before);
  });
});

describe('renaming a sandbox', () => {
  it('gives all its endpoints the name', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    for (const name of ['a', 'b']) {
      const network = await controller.createNetwork({ name });
      await (await network.createEndpoint({ name: 'old' })).join(sandbox);
    }
    await sandbox.rename('fresh');
    await sandbox.rename('fresh');
    expect(sandbox.endpoints().map(({ name }) => name)).toEqual(['fresh', 'fresh']);
    expect(controller.network('a')?.endpoint('old')).toBeUndefined();
    expect(controller.network('a')?.endpoint('fresh')).toBe(sandbox.endpoints()[0]);
    await controller.network('a')?.createEndpoint({ name: 'old' });
    await expectNothingToRepair(setting);
    const next = await restart(setting, ['c1']);
    expect(
      next.controller
        .sandbox('c1')
        ?.endpoints()
        .map(({ name }) => name),
    ).toEqual(['fresh', 'fresh']);
  });

  it('changes none where one network has the name already', async () => {
    const setting = await setUp();
    const { controller } = setting;
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const [a, b] = [
      await controller.createNetwork({ name: 'a' }),
      await controller.createNetwork({ name: 'b' }),
    ];
    for (const network of [a, b]) await (await network.createEndpoint({ name: 'old' })).join(sandbox);
    const holder = await b.createEndpoint({ name: 'fresh' });
    const before = await everything(setting);
    expect(await refusal(sandbox.rename('fresh'))).toMatchObject({
      code: 'ALREADY_EXISTS',
      holder: `endpoint ${holder.id}`,
    });
    expect(await everything(setting)).toEqual(before);
    expect(a.endpoint('old')?.name).toBe('old');
    expect(a.endpoint('fresh')).toBeUndefined();
  });
});

describe('an endpoint’s further options', () => {
  it('are shown, kept, and made', async () => {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({ name: 'n', ipv6: true });
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
    const web = await network.createEndpoint({
      name: 'web',
      linkLocal: ['169.254.7.7', 'fe80::7'],
      exposedPorts: [{ port: 80 }, { protocol: 'udp', port: 53 }],
    });
    await web.join(sandbox);
    expect(web.linkLocal).toEqual(['169.254.7.7/16', 'fe80::7/64']);
    expect(web.exposedPorts).toEqual([
      { protocol: 'tcp', port: 80 },
      { protocol: 'udp', port: 53 },
    ]);
    const inside = await setting.osl.openNamespace(sandbox.namespacePath);
    const addresses = (await inside.addresses('eth0')).map(({ address }) => address);
    expect(addresses).toEqual(expect.arrayContaining(['169.254.7.7/16', 'fe80::7/64']));
    for (const linkLocal of [['10.9.0.5'], ['fd00::5'], ['169.254.7.7/16']])
      expect(await refusal(network.createEndpoint({ name: 'x', linkLocal }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: 'linkLocal.0',
      });
  });
});

describe('announcements', () => {
  const said = ({ kernel }: FakeOsl, path: string) => kernel.lookUp(path).announced;

  async function joined(options: Readonly<Record<string, string>>) {
    const setting = await setUp();
    const network = await setting.controller.createNetwork({ name: 'n', ipv6: true, options });
    const sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
    const web = await network.createEndpoint({ name: 'web' });
    await web.join(sandbox);
    return { ...setting, sandbox, web };
  }

  it('tell the neighbours each address, as often as the network says', async () => {
    const it = await joined({
      'com.docker.network.advertise_addr_nmsgs': '2',
      'com.docker.network.advertise_addr_ms': '100',
    });
    const { ipv4 = '', ipv6 = '', macAddress } = it.web;
    const once = [ipv4, ipv6].map((address) => `${address.split('/')[0]} is at ${macAddress} on eth0`);
    await vi.waitFor(() => expect(said(it.osl, it.sandbox.namespacePath)).toEqual([...once, ...once]));
  });

  it('are made when a sandbox gets its namespace, where endpoints had joined before', async () => {
    const { controller, world, osl } = await setUp();
    const options = { 'com.docker.network.advertise_addr_nmsgs': '1' };
    const network = await controller.createNetwork({ name: 'n', options });
    const sandbox = await controller.createSandbox({ containerId: 'c1', externalKey: true });
    const web = await network.createEndpoint({ name: 'web' });
    await web.join(sandbox);
    const path = `${world.runDir}/runtime`;
    await (await osl.createNamespace(path)).close();
    await sandbox.setKey(path);
    const told = `${web.ipv4?.split('/')[0]} is at ${web.macAddress} on eth0`;
    await vi.waitFor(() => expect(said(osl, path)).toEqual([told]));
  });

  it('are none where the network wants none, and stop when the endpoint leaves', async () => {
    const none = await joined({ 'com.docker.network.advertise_addr_nmsgs': '0' });
    const left = await joined({});
    await left.web.leave(left.sandbox);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(said(none.osl, none.sandbox.namespacePath)).toEqual([]);
    expect(said(left.osl, left.sandbox.namespacePath)).toEqual([]);
    expect([...none.world.complaints, ...left.world.complaints]).toEqual([]);
  });

  it.each([
    ['com.docker.network.advertise_addr_nmsgs', '4'],
    ['com.docker.network.advertise_addr_ms', '99'],
    ['com.docker.network.advertise_addr_ms', 'nonsense'],
  ])('are refused with %s %s', async (key, value) => {
    const { controller } = await setUp();
    expect(await refusal(controller.createNetwork({ name: 'n', options: { [key]: value } }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: key,
    });
  });
});

describe('the host’s name servers', () => {
  it('are followed when they change', async () => {
    const setting = await setUp();
    const box = await setting.controller.createSandbox({ containerId: 'c1' });
    const host = await setting.controller.createSandbox({ containerId: 'h', namespacePath: 'host' });
    expect(servers(host)).toContain('nameserver 192.0.2.53');
    writeFileSync(setting.world.resolvConf, 'nameserver 192.0.2.99\nsearch example.org\n');
    await vi.waitFor(() => expect(servers(host)).toContain('nameserver 192.0.2.99'), { timeout: 5000 });
    await vi.waitFor(() => expect(servers(box)).toContain('search example.org'), { timeout: 5000 });
    expect(servers(box)).toContain('nameserver 127.0.0.11');
  });
});

describe('insight', () => {
  it('shows the whole state as frozen data', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'n' });
    const sandbox = await controller.createSandbox({ containerId: 'c1' });
    const web = await network.createEndpoint({ name: 'web' });
    await web.join(sandbox);
    const state = controller.inspect();
    expect(state).toMatchObject({
      instance: 'default',
      firewall: 'nftables',
      networks: [{ id: network.id, state: 'ready', name: 'n' }],
      endpoints: [{ id: web.id, state: 'joined', join: { sandboxId: sandbox.id } }],
      sandboxes: [{ containerId: 'c1', open: { namespace: true, nameServer: true, endpoints: [web.id] } }],
    });
    expect(Object.isFrozen(state.endpoints[0]?.join?.bindings)).toBe(true);
    expect(() => JSON.stringify(state)).not.toThrow();
  });

  it('counts operations, and tells their time on a channel', async () => {
    const { controller } = await setUp();
    const heard: unknown[] = [];
    const listen = (message: unknown) => void heard.push(message);
    channel(OPERATION_CHANNEL).subscribe(listen);
    await controller.createNetwork({ name: 'n' });
    await refusal(controller.createNetwork({ name: 'n' }));
    channel(OPERATION_CHANNEL).unsubscribe(listen);
    await controller.reconcile();
    const message = { instance: 'default', operation: 'createNetwork', durationMs: expect.any(Number) };
    expect(heard).toEqual([
      { ...message, outcome: 'ok' },
      { ...message, outcome: 'ALREADY_EXISTS' },
    ]);
    expect(controller.counters).toMatchObject({
      createNetwork: { started: 2, succeeded: 1, failed: 1 },
      reconcile: { started: 1, succeeded: 1, failed: 0 },
    });
  });
});
