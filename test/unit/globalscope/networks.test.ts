import { describe, expect, it } from 'vitest';
import { storeDiscovery } from '../../../src/discovery/index.ts';
import { refusal } from '../core/setting.ts';
import { Cluster, overlay, until } from './cluster.ts';

describe('hosts with a global store', () => {
  it('are those that discovery on the store tells of', async () => {
    const cluster = new Cluster();
    await cluster.some(2);
    const discovery = storeDiscovery({ store: cluster.globalStore() });
    expect(await discovery.hosts()).toEqual([
      { id: 'h1', address: '192.0.2.1' },
      { id: 'h2', address: '192.0.2.2' },
    ]);
    await discovery.close();
  });

  it('are not taken for another one that has the same id', async () => {
    const cluster = new Cluster();
    const [one, two] = await cluster.some(2);
    await two?.controller.close();
    await two?.start([], { cluster: { hostId: 'h1', address: '192.0.2.9' } });
    expect(two?.complaints.join()).toContain('host h1 lives already at 192.0.2.1');
    one?.global.cut();
    await one?.global.expire();
    const discovery = storeDiscovery({ store: cluster.globalStore() });
    await until(async () => (await discovery.hosts())[0]?.address === '192.0.2.9');
  });
});

describe('networks that hosts share', () => {
  it('appear on every host, and go when any of them deletes them', async () => {
    const cluster = new Cluster();
    const [one, two, three] = await cluster.some(3);
    if (!one || !two || !three) throw new Error('three hosts were asked for');
    const made = await one.controller.createNetwork(overlay('front', { labels: { tier: 'web' } }));
    await until(() => two.controller.network('front') && three.controller.network('front'));
    const seen = two.network('front');
    expect(seen).toMatchObject({ id: made.id, driver: 'overlay', scope: 'global', labels: { tier: 'web' } });
    expect(seen.ipam).toEqual(made.ipam);
    expect(seen.options).toEqual(made.options);
    await three.network('front').delete();
    await until(() => !one.controller.network('front') && !two.controller.network('front'));
    expect((await cluster.keys()).filter((key) => !key.includes('/host/'))).toEqual([]);
  });

  it('are on no host that could not take part in them', async () => {
    const cluster = new Cluster();
    const [one, two] = await cluster.some(2);
    if (!one || !two) throw new Error('two hosts were asked for');
    await one.controller.createNetwork(overlay('front'));
    await until(() => two.controller.network('front'));
    const before = cluster.kernel.dump();
    two.global.cut();
    const made = two.network('front').createEndpoint({ name: 'web' });
    expect(await refusal(made)).toMatchObject({ code: 'UNAVAILABLE' });
    expect(cluster.kernel.dump()).toEqual(before);
    two.global.mend();
    await two.global.expire();
    await until(async () => (await cluster.keys()).some((key) => key.endsWith('/host/h2')));
    await until(async () => !(await cluster.keys()).some((key) => key.includes('/member/')));
    await two.run('front', 'web');
    await until(async () => (await cluster.keys()).some((key) => key.includes('/member/')));
  });

  it('appear on a host that starts later', async () => {
    const cluster = new Cluster();
    const one = await cluster.host();
    await one.controller.createNetwork(overlay('front'));
    const two = await cluster.host();
    expect(two.controller.network('front')).toBeDefined();
  });

  it('have names and subnets that no two of them share', async () => {
    const cluster = new Cluster();
    const hosts = await cluster.some(4);
    const outcomes = await Promise.allSettled(
      hosts.map(({ controller }) => controller.createNetwork(overlay('front'))),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ALREADY_EXISTS' });
    await Promise.all(hosts.map(({ name, controller }) => controller.createNetwork(overlay(`net-${name}`))));
    const [one] = hosts;
    await until(() => one?.controller.networks().length === 5);
    const all = one?.controller.networks() ?? [];
    expect(new Set(all.map(({ ipam }) => ipam.pools[0]?.subnet)).size).toBe(5);
    const numbers = all.map(({ options }) => options['com.docker.network.driver.overlay.vxlanid_list']);
    expect(new Set(numbers).size).toBe(5);
  });

  it('are not deleted while another host has an endpoint on them', async () => {
    const cluster = new Cluster();
    const [one, two] = await cluster.some(2);
    if (!one || !two) throw new Error('two hosts were asked for');
    await one.controller.createNetwork(overlay('front'));
    await until(() => two.controller.network('front'));
    const { sandbox } = await two.run('front', 'web');
    expect(await refusal(one.network('front').delete())).toMatchObject({
      code: 'FORBIDDEN',
      holder: 'web (on host h2)',
    });
    expect(one.network('front').endpoints().length).toBeGreaterThanOrEqual(0);
    await sandbox.delete();
    await one.network('front').delete();
  });

  it('can be made after an attempt whose answer was lost', async () => {
    const cluster = new Cluster();
    const [one, two] = await cluster.some(2);
    if (!one || !two) throw new Error('two hosts were asked for');
    one.global.loseAnswersFrom('v1.0/network_name/');
    expect(await refusal(one.controller.createNetwork(overlay('front')))).toMatchObject({
      code: 'UNAVAILABLE',
    });
    one.global.mend();
    const { id } = await one.controller.createNetwork(overlay('front'));
    await until(() => two.controller.network('front')?.id === id);
    expect((await cluster.keys()).filter((key) => key.includes('v1.0/network/'))).toHaveLength(1);
  });

  it('leave the local networks of each host alone', async () => {
    const cluster = new Cluster();
    const [one, two] = await cluster.some(2);
    await one?.controller.createNetwork({ name: 'mine' });
    await two?.controller.createNetwork({ name: 'mine' });
    expect((await cluster.keys()).filter((key) => key.includes('v1.0/network'))).toEqual([]);
  });
});
