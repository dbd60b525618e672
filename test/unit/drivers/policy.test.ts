import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DriverNetwork, NamedAddress, PolicyRule } from '../../../src/driverapi/driver.ts';
import { MAX_ALLOWED_ADDRESSES } from '../../../src/drivers/bridge/policies.ts';
import { bridgeSetting, endpoint, join, neighbour, network } from './setting.ts';

const ONLY: readonly PolicyRule[] = [
  { to: { names: ['registry.example', '*.apps.example'] }, action: 'allow' },
  { to: 'outside', action: 'deny' },
];
const HOUR = 3600;

/** A container that may connect to what allowed names stand for. */
async function confined(policy = ONLY) {
  const setting = await bridgeSetting();
  const outside = await neighbour(setting.osl, '/run/outside');
  for (const address of ['0.0.0.0', '::'])
    setting.osl.kernel.serve('/run/outside', { protocol: 'tcp', address, port: 443 });
  const front = network({ policy });
  await setting.driver.createNetwork(front);
  const place = { network: front, endpoint: endpoint(front) };
  await join(setting, place, '/run/c1');
  const allow = (name: string, ...addresses: NamedAddress[]) =>
    setting.driver.allowAddresses?.(front, name, addresses) ?? Promise.reject(new Error('it allows nothing'));
  const reaches = (address: string) =>
    setting.osl.kernel.reaches('/run/c1', address, { protocol: 'tcp', port: 443 }).reaches;
  const state = { networks: [front], endpoints: [{ ...place, joined: true }] };
  return { ...setting, outside, front, place, allow, reaches, state };
}

const at = (address: string, ttlSeconds = HOUR): NamedAddress => ({ address, ttlSeconds });
const V4 = '192.0.2.2';
const V6 = '2001:db8::2';

afterEach(() => {
  vi.useRealTimers();
});

describe('names that a policy allows', () => {
  it('let through what they stand for, in both families, and nothing that other names stand for', async () => {
    const it = await confined();
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([false, false]);
    await it.allow('other.example', at(V4), at(V6));
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([false, false]);
    await it.allow('Registry.Example.', at(V4));
    await it.allow('one.apps.example', at(V6));
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([true, true]);
  });

  it('end with their answers, half a time later at the most, and go on where they are told again', async () => {
    const it = await confined();
    vi.useFakeTimers({ toFake: ['Date'] });
    await it.allow('registry.example', at(V4, 100), at(V6, 1000));
    vi.setSystemTime(Date.now() + 120_000);
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([true, true]);
    vi.setSystemTime(Date.now() + 40_000);
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([false, true]);
    await it.allow('registry.example', at(V4, 100), at(V6, 1000));
    vi.setSystemTime(Date.now() + 1_300_000);
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([false, true]);
    // What has ended is nobody's fault, and nothing is missing.
    expect(await it.driver.reconcile(it.state)).toEqual({ missing: [], orphaned: [] });
  });

  it('cost the firewall nothing while an earlier answer lasts', async () => {
    const it = await confined();
    await it.allow('registry.example', at(V4, 100));
    const apply = vi.spyOn(it.firewall, 'apply');
    await it.allow('registry.example', at(V4, 100));
    expect(apply).not.toHaveBeenCalled();
    await it.allow('registry.example', at(V4, 200));
    expect(apply).toHaveBeenCalledOnce();
  });

  it('stay through a change of policy that still allows them, and end with one that does not', async () => {
    const it = await confined();
    await it.allow('registry.example', at(V4));
    await it.allow('one.apps.example', at(V6));
    const update = (policy: readonly PolicyRule[]) => it.driver.updateNetwork?.({ ...it.front, policy });
    await update([
      { to: { names: ['registry.example'] }, ports: [{ protocol: 'tcp', port: 443 }], action: 'allow' },
      { to: 'outside', action: 'deny' },
    ]);
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([true, false]);
    await update([{ to: 'outside', action: 'deny' }]);
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([false, false]);
    const state = { ...it.state, networks: [{ ...it.front, policy: [] }] };
    expect(await it.driver.reconcile(state)).toEqual({ missing: [], orphaned: [] });
  });

  it('come back with the rules when somebody removes them', async () => {
    const it = await confined();
    await it.allow('registry.example', at(V4));
    const other = await it.osl.host.firewall({ engine: 'nftables', table: 'libnetwork-test' });
    await other.destroy();
    const { missing } = await it.driver.reconcile(it.state);
    expect(missing.join()).toContain('policy-out');
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([true, false]);
  });

  it('outlive the process that heard of them, as the kernel ends them by itself', async () => {
    const it = await confined();
    await it.allow('registry.example', at(V4));
    const next = await bridgeSetting(it.osl.kernel);
    await next.driver.restore(it.state);
    expect(await next.driver.reconcile(it.state)).toEqual({ missing: [], orphaned: [] });
    expect(it.reaches(V4)).toBe(true);
    await next.driver.allowAddresses?.(it.front, 'registry.example', [at(V4), at(V6)]);
    expect([it.reaches(V4), it.reaches(V6)]).toEqual([true, true]);
  });

  it('have a limit, by name', async () => {
    const it = await confined();
    const many = Array.from({ length: MAX_ALLOWED_ADDRESSES }, (_, i) => at(`10.1.${i >> 8}.${i & 255}`));
    await it.allow('registry.example', ...many);
    await expect(it.allow('registry.example', at(V4))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      limit: 'MAX_ALLOWED_ADDRESSES',
    });
  });
});

describe('bridged packets that a policy or a network without talk inside is about', () => {
  const KEYS = ['net/bridge/bridge-nf-call-iptables', 'net/bridge/bridge-nf-call-ip6tables'];

  it('are shown to the packet filter by our bridge alone, whatever the host says of all', async () => {
    const it = await bridgeSetting();
    for (const key of KEYS) await it.host.setSysctl(key, '0');
    const apart = network({ options: { 'com.docker.network.bridge.enable_icc': false } });
    await it.driver.createNetwork(apart);
    const places = [2, 3].map((n) => ({ network: apart, endpoint: endpoint(apart, n) }));
    for (const [i, place] of places.entries()) await join(it, place, `/run/c${i}`);
    expect(it.osl.kernel.reaches('/run/c0', '10.9.0.3', { protocol: 'icmp' }).reaches).toBe(false);
    for (const key of KEYS) expect(await it.host.sysctl(key)).toBe('0');
  });

  it.each([
    [
      'containers that may not talk to each other',
      { options: { 'com.docker.network.bridge.enable_icc': false } },
    ],
    ['a policy about its own containers', { policy: [{ to: { endpoint: 'db' }, action: 'deny' }] }],
  ] as [string, Partial<DriverNetwork>][])(
    'make a kernel without br_netfilter refuse a network with %s, and leave nothing of it',
    async (_what, more) => {
      const it = await bridgeSetting();
      for (const key of KEYS) it.osl.kernel.host.sysctls.delete(key);
      const before = it.osl.kernel.dump();
      const refusal = { code: 'NOT_IMPLEMENTED', message: expect.stringContaining('modprobe br_netfilter') };
      await expect(it.driver.validateNetwork?.(network(more))).rejects.toMatchObject(refusal);
      await expect(it.driver.createNetwork(network(more))).rejects.toMatchObject(refusal);
      expect(it.osl.kernel.dump().namespaces).toMatchObject(
        Object.fromEntries(Object.entries(before.namespaces).map(([name, { links }]) => [name, { links }])),
      );
      const front = network();
      await it.driver.createNetwork(front);
      await expect(it.driver.updateNetwork?.({ ...front, ...more })).rejects.toMatchObject(refusal);
      await it.driver.updateNetwork?.({ ...front, policy: [{ to: 'outside', action: 'deny' }] });
    },
  );

  it('keep a bridge that the user made from such a network, unless the host shows them', async () => {
    const it = await bridgeSetting();
    const options = {
      'com.docker.network.bridge.name': 'mine',
      'com.docker.network.bridge.enable_icc': false,
    };
    await it.host.apply([
      { op: 'createLink', name: 'mine', link: { kind: 'bridge' }, up: true },
      { op: 'addAddress', link: 'mine', address: '10.9.0.1/24' },
      { op: 'addAddress', link: 'mine', address: 'fd00:9::1/64', noDad: true },
    ]);
    for (const key of KEYS) await it.host.setSysctl(key, '0');
    await expect(it.driver.createNetwork(network({ options }))).rejects.toMatchObject({
      code: 'CONFLICT',
      field: 'net.bridge.bridge-nf-call-iptables',
    });
    for (const key of KEYS) await it.host.setSysctl(key, '1');
    await it.driver.createNetwork(network({ options }));
  });
});
