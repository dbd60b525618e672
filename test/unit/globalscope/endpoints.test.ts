import { describe, expect, it } from 'vitest';
import type { Sandbox } from '../../../src/index.ts';
import { askFromHere } from '../../kernel/resolver/setting.ts';
import { apiOver } from '../../support/api.ts';
import { refusal } from '../core/setting.ts';
import { Cluster, type Host, overlay, until } from './cluster.ts';

/** Hosts that all know the network `front`. */
async function onFront(count: number, leaseMs?: number): Promise<{ cluster: Cluster; hosts: Host[] }> {
  const cluster = new Cluster(leaseMs);
  const hosts = await cluster.some(count);
  await hosts[0]?.controller.createNetwork(overlay('front', { ipv6: true, dns: { forward: 'none' } }));
  for (const { controller } of hosts) await until(() => controller.network('front'));
  return { cluster, hosts };
}

function pick<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`there is no ${index}th`);
  return found;
}

describe('endpoints on networks that hosts share', () => {
  it('reach each other, in both families, and no more when one has left', async () => {
    const { cluster, hosts } = await onFront(3);
    const all = [];
    for (const host of hosts) all.push(await host.run('front', `web-${host.name}`));
    for (const from of all)
      for (const to of all)
        await until(
          () =>
            cluster.reaches(from.sandbox, to.endpoint.ipv4 ?? '') &&
            cluster.reaches(from.sandbox, to.endpoint.ipv6 ?? ''),
        );
    const [first, second] = [pick(all, 0), pick(all, 1)];
    await second.endpoint.leave(second.sandbox);
    await until(() => !cluster.reaches(first.sandbox, second.endpoint.ipv4 ?? ''));
    for (const { controller, complaints } of hosts) {
      expect(await controller.reconcile({ dryRun: true })).toEqual({
        missing: [],
        orphaned: [],
        repaired: [],
      });
      expect(complaints).toEqual([]);
    }
  });

  it('are all there when a host that has none of its own waits for them', async () => {
    const { cluster, hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    await one.run('front', 'web');
    const three = await cluster.host();
    const all = await three.network('front').allEndpoints();
    expect(all.map(({ name, host }) => [name, host])).toEqual([['web', 'h1']]);
    const aborted = two.network('front').allEndpoints({ signal: AbortSignal.abort() });
    expect(await refusal(aborted)).toMatchObject({ code: 'ABORTED' });
  });

  it.each([
    ['the endpoints of the network', () => '/dnet/v1/networks/front/endpoints'],
    ['a service by its id', (id: string) => `/libnetwork/services/${id}`],
    ['the topology', () => '/dnet/v1/topology'],
  ])('are shown by a host that has none of its own: %s', async (_, pathOf) => {
    const [one, two] = (await onFront(2)).hosts;
    const web = await one?.run('front', 'web');
    if (!web || !two) throw new Error('there are two hosts');
    const { app, close } = await apiOver(two.controller);
    const shown = await app.inject(pathOf(web.endpoint.id));
    expect(shown.body).toContain(web.endpoint.id);
    await close();
  });

  it('appear on the other hosts, and can be changed only by their own', async () => {
    const { hosts } = await onFront(2);
    const { sandbox } = await pick(hosts, 0).run('front', 'web');
    const other = pick(hosts, 1).network('front');
    await until(() => other.endpoints().length === 1);
    const [seen] = other.endpoints();
    expect(seen).toMatchObject({ name: 'web', host: 'h1', macAddress: expect.any(String) });
    expect(await refusal(seen?.delete() ?? Promise.resolve())).toMatchObject({
      code: 'FORBIDDEN',
      holder: 'host h1',
    });
    await sandbox.delete();
    await until(() => other.endpoints().length === 0);
  });

  it('have names that no two hosts give', async () => {
    const { hosts } = await onFront(4);
    const outcomes = await Promise.allSettled(
      hosts.map((host) => host.network('front').createEndpoint({ name: 'web' })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected')
        expect(outcome.reason).toMatchObject({ code: 'ALREADY_EXISTS', field: 'name' });
  });

  it('get addresses that no two hosts give, also while one of them dies', async () => {
    const { hosts } = await onFront(4);
    const make = async (host: Host): Promise<string[]> => {
      const got: string[] = [];
      for (let i = 0; i < 20; i++) {
        if (host.name === 'h4' && i === 10) host.kill();
        const endpoint = await host
          .network('front')
          .createEndpoint({ name: `${host.name}-${i}` })
          .catch(() => undefined);
        if (endpoint?.ipv4) got.push(endpoint.ipv4);
      }
      return got;
    };
    const got = (await Promise.all(hosts.map(make))).flat();
    expect(got).toHaveLength(70);
    expect(new Set(got).size).toBe(70);
  });

  it('are resolved by name on the other hosts', async () => {
    const { hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    const web = await one.run('front', 'web', { aliases: ['www'] });
    const client = await two.run('front', 'client');
    const resolve = async (name: string): Promise<unknown> => {
      const inside = await two.osl.openNamespace(client.sandbox.namespacePath);
      const { rcode, answers = [] } = await askFromHere(inside, name, 'A');
      return rcode === 'NOERROR' ? answers.map((it) => ('data' in it ? it.data : it.type)) : rcode;
    };
    const address = [web.endpoint.ipv4?.split('/')[0]];
    await until(async () => JSON.stringify(await resolve('web')) === JSON.stringify(address));
    expect(await resolve('www.front')).toEqual(address);
    // A name that several of them share stands for all of them, in turns.
    const second = await two.run('front', 'web-2', { aliases: ['www'] });
    await until(async () => ((await resolve('www')) as string[]).length === 2);
    const both = [...address, second.endpoint.ipv4?.split('/')[0]];
    const [first, then] = [await resolve('www'), await resolve('www')] as string[][];
    expect(first?.toSorted()).toEqual(both.toSorted());
    expect(then).toEqual(first?.toReversed());
    await web.sandbox.delete();
    // Not asked of the host's servers: the network forwards nothing, and that holds beside the gateway network, too.
    await until(async () => (await resolve('web.front')) === 'NXDOMAIN');
  });
});

describe('names on networks that hosts share', () => {
  const resolve = async (on: Host, from: Sandbox, name: string): Promise<unknown> => {
    const inside = await on.osl.openNamespace(from.namespacePath);
    const { rcode, answers = [] } = await askFromHere(inside, name, 'A');
    return rcode === 'NOERROR' ? answers.map((it) => ('data' in it ? it.data : it.type)) : rcode;
  };

  it('are resolved by their new name when their sandbox is renamed', async () => {
    const { hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    const web = await one.run('front', 'web');
    const client = await two.run('front', 'client');
    const address = JSON.stringify([web.endpoint.ipv4?.split('/')[0]]);
    await until(async () => JSON.stringify(await resolve(two, client.sandbox, 'web.front')) === address);
    await web.sandbox.rename('shop');
    await until(async () => JSON.stringify(await resolve(two, client.sandbox, 'shop.front')) === address);
    expect(await resolve(two, client.sandbox, 'web.front')).toBe('NXDOMAIN');
    expect(two.network('front').endpoint('shop')?.id).toBe(web.endpoint.id);
    // The former name is free again on every host, and the new one is not.
    await two.network('front').createEndpoint({ name: 'web' });
    await expect(client.sandbox.rename('shop')).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(client.endpoint.name).toBe('client');
    expect(await resolve(one, web.sandbox, 'client.front')).toHaveLength(1);
  });

  it('are resolved by name only where the network is used', async () => {
    const { hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    const web = await one.run('front', 'web');
    const client = await two.run('front', 'client');
    await until(async () => Array.isArray(await resolve(two, client.sandbox, 'web.front')));
    const known = () => two.controller.inspect().names.map(({ id }) => id);
    expect(known()).toContain(web.endpoint.id);
    await client.sandbox.delete();
    await until(() => known().length === 0);
    const again = await two.run('front', 'again');
    await until(async () => Array.isArray(await resolve(two, again.sandbox, 'web.front')));
  });
});

describe('a host that is gone past its lease', () => {
  it('loses its endpoints to the others, once, with their names and addresses', async () => {
    const { cluster, hosts } = await onFront(3);
    const [one, two, three] = [pick(hosts, 0), pick(hosts, 1), pick(hosts, 2)];
    const lost = await three.run('front', 'web');
    const client = await one.run('front', 'client');
    await two.run('front', 'other');
    await until(() => cluster.reaches(client.sandbox, lost.endpoint.ipv4 ?? ''));
    await three.global.expire();
    three.kill();
    await until(() => !cluster.reaches(client.sandbox, lost.endpoint.ipv4 ?? ''));
    await until(() => one.network('front').endpoints().length === 2);
    const address = lost.endpoint.ipv4?.split('/')[0];
    const again = await two.network('front').createEndpoint({ name: 'web', ipv4: address });
    expect(again.ipv4).toBe(lost.endpoint.ipv4);
  });

  it('learns when it returns what it lost, and its containers lose those links alone', async () => {
    const { hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    const web = await two.run('front', 'web');
    await one.run('front', 'client');
    await until(() => one.network('front').endpoints().length === 2);
    const told: string[] = [];
    two.controller.on('endpoint:lost', ({ name }) => told.push(name));
    two.global.cut();
    await two.global.expire();
    await until(() => one.network('front').endpoints().length === 1);
    expect(web.sandbox.endpoints()).toHaveLength(2);
    two.global.mend();
    await until(() => told.length === 1);
    expect(told).toEqual(['web']);
    // With the link goes the way out that was there for it.
    expect(web.sandbox.endpoints()).toEqual([]);
    await until(() =>
      two
        .network('front')
        .endpoints()
        .every(({ host }) => host === 'h1'),
    );
    expect(two.controller.sandbox(web.sandbox.id)).toBeDefined();
    expect(await one.network('front').createEndpoint({ name: 'web' })).toBeDefined();
    const { missing, orphaned } = await two.controller.reconcile({ dryRun: true });
    expect([missing, orphaned]).toEqual([[], []]);
  });

  it('keeps what nobody took', async () => {
    const { cluster, hosts } = await onFront(1);
    const [one] = [pick(hosts, 0)];
    const web = await one.run('front', 'web');
    one.global.cut();
    await one.global.expire();
    one.global.mend();
    await until(async () => (await cluster.keys()).some((key) => key.includes('/member/')));
    expect(await one.controller.reconcile()).toMatchObject({ missing: [] });
    expect(one.network('front').endpoint('web')?.ipv4).toBe(web.endpoint.ipv4);
  });
});

describe('a host that is cut off from the store', () => {
  it('serves its containers, refuses what needs the store, and catches up', async () => {
    const { cluster, hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    const web = await one.run('front', 'web');
    const client = await two.run('front', 'client');
    await until(() => cluster.reaches(client.sandbox, web.endpoint.ipv4 ?? ''));
    two.global.cut();
    expect(cluster.reaches(client.sandbox, web.endpoint.ipv4 ?? '')).toBe(true);
    for (const ask of [
      () => two.controller.createNetwork(overlay('back')),
      () => two.network('front').createEndpoint({ name: 'more' }),
    ])
      expect(await refusal(ask())).toMatchObject({ code: 'UNAVAILABLE' });
    // What the host knows by itself it says as ever.
    expect(await refusal(two.network('front').delete())).toMatchObject({ code: 'FORBIDDEN' });
    // Local networks need no store that hosts share.
    await two.controller.createNetwork({ name: 'local' });
    const late = await one.run('front', 'late');
    await one.controller.createNetwork(overlay('new'));
    two.global.mend();
    await until(() => cluster.reaches(client.sandbox, late.endpoint.ipv4 ?? ''));
    await until(() => two.controller.network('new'));
    await two.run('front', 'more');
  });

  it('takes back what a creation wrote whose answer was lost, and makes it when asked again', async () => {
    const { cluster, hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    await one.network('front').createEndpoint({ name: 'first' });
    await two.network('front').createEndpoint({ name: 'other' });
    const stored = async () => (await cluster.keys()).filter((key) => key.includes('v1.0/endpoint/'));
    one.global.loseAnswersFrom('v1.0/endpoint/');
    const lost = refusal(one.network('front').createEndpoint({ name: 'web' }));
    expect(await lost).toMatchObject({ code: 'UNAVAILABLE' });
    // It is there, and nobody knows.
    expect(await stored()).toHaveLength(3);
    one.global.mend();
    const web = await one.network('front').createEndpoint({ name: 'web' });
    expect((await stored()).sort().join()).toContain(web.id);
    await until(async () => (await stored()).length === 3);
  });

  it('tells later of what left meanwhile', async () => {
    const { hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    const web = await two.run('front', 'web');
    await one.run('front', 'client');
    await until(() => one.network('front').endpoints().length === 2);
    two.global.cut();
    await web.endpoint.leave(web.sandbox);
    expect(await refusal(web.endpoint.delete())).toMatchObject({ code: 'UNAVAILABLE' });
    two.global.mend();
    await two.controller.reconcile();
    await until(() => one.network('front').endpoints().length === 1);
  });

  it('starts with what it knows', async () => {
    const { cluster, hosts } = await onFront(2);
    const [one, two] = [pick(hosts, 0), pick(hosts, 1)];
    const web = await one.run('front', 'web');
    const client = await two.run('front', 'client');
    await until(() => cluster.reaches(client.sandbox, web.endpoint.ipv4 ?? ''));
    await two.controller.close();
    await two.start(['client-container']);
    expect(cluster.reaches(client.sandbox, web.endpoint.ipv4 ?? '')).toBe(true);
    expect(await two.controller.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
    await web.sandbox.delete();
    await until(() => !cluster.reaches(client.sandbox, web.endpoint.ipv4 ?? ''));
  });
});
