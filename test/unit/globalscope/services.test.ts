import { describe, expect, it } from 'vitest';
import type { EndpointOptions, Sandbox } from '../../../src/index.ts';
import { askFromHere } from '../../kernel/resolver/setting.ts';
import { refusal } from '../core/setting.ts';
import { Cluster, type Host, overlay, until } from './cluster.ts';
import { cuttable } from './cuttable.ts';

const bare = (cidr: string | undefined): string => cidr?.split('/')[0] ?? 'none';

async function onFront(count: number): Promise<{ cluster: Cluster; hosts: Host[]; at: (n: number) => Host }> {
  const cluster = new Cluster();
  const hosts = await cluster.some(count);
  await hosts[0]?.controller.createNetwork(overlay('front', { ipv6: true, dns: { forward: 'none' } }));
  for (const { controller } of hosts) await until(() => controller.network('front'));
  const at = (n: number): Host => hosts[n] ?? expect.fail(`there is no host ${n}`);
  return { cluster, hosts, at };
}

/** Where pings to an address end. */
function reached({ kernel }: Cluster, from: Sandbox, to: string | undefined): string {
  const ends = Array.from({ length: 40 }, (_, i) => {
    const answer = kernel.reaches(from.namespacePath, bare(to), { protocol: 'icmp', fromPort: 50_000 + i });
    return answer.reaches ? answer.address : 'nobody';
  });
  return [...new Set(ends)].sort().join(' ');
}

async function resolve({ osl }: Host, sandbox: Sandbox, name: string): Promise<string> {
  const inside = await osl.openNamespace(sandbox.namespacePath);
  const { answers = [] } = await askFromHere(inside, name, 'A');
  await inside.close();
  return answers
    .map((it) => String('data' in it ? it.data : it.type))
    .sort()
    .join(' ');
}

const web = { service: { name: 'web' } } satisfies Partial<EndpointOptions>;
const all = (...runs: readonly { endpoint: { ipv4: string | undefined } }[]): string =>
  runs
    .map(({ endpoint }) => bare(endpoint.ipv4))
    .sort()
    .join(' ');

describe('a service whose endpoints are on several hosts', () => {
  it('has one virtual address, whoever of them is first', async () => {
    const { cluster, hosts, at } = await onFront(4);
    const made = await Promise.all(
      hosts.flatMap((host) =>
        [1, 2].map((n) => host.network('front').createEndpoint({ name: `${host.name}-${n}`, ...web })),
      ),
    );
    expect(new Set(made.map(({ service }) => `${service?.ipv4} ${service?.ipv6}`)).size).toBe(1);
    const other = at(3)
      .network('front')
      .createEndpoint({ name: 'rr', service: { name: 'web', mode: 'dnsrr' } });
    expect(await refusal(other)).toMatchObject({ code: 'CONFLICT', field: 'service.mode' });
    await Promise.all(made.map((endpoint) => endpoint.delete()));
    expect((await cluster.keys()).filter((key) => key.includes('/service/'))).toEqual([]);
    const ipv4 = bare(made[0]?.service?.ipv4);
    expect(bare((await at(2).network('front').createEndpoint({ name: 'free', ipv4 })).ipv4)).toBe(ipv4);
  });

  it('never has an address that is not its own, while the last ones go and new ones come', async () => {
    const { cluster, at } = await onFront(2);
    for (let round = 0; round < 10; round++) {
      const old = await at(0)
        .network('front')
        .createEndpoint({ name: `old-${round}`, ...web });
      const [come] = await Promise.all([
        at(1)
          .network('front')
          .createEndpoint({ name: `new-${round}`, ...web }),
        old.delete(),
      ]);
      const record = (await cluster.globalStore().list('')).find(({ key }) => key.includes('/service/'));
      expect(record?.value, `round ${round}`).toMatchObject({ ipv4: { address: come.service?.ipv4 } });
      await come.delete();
    }
    expect((await cluster.keys()).filter((key) => key.includes('/service/'))).toEqual([]);
  });

  it('is reached by its name from each of them, and drained from each', async () => {
    const { cluster, at } = await onFront(3);
    const client = await at(0).run('front', 'client');
    const [two, three] = [await at(1).run('front', 'w2', web), await at(2).run('front', 'w3', web)];
    const { ipv4 } = two.endpoint.service ?? {};
    for (const { sandbox } of [client, two, three])
      await until(() => reached(cluster, sandbox, ipv4) === all(two, three));
    expect(await resolve(at(0), client.sandbox, 'web')).toBe(bare(ipv4));
    expect(await resolve(at(0), client.sandbox, 'tasks.web')).toBe(all(two, three));
    const seen = at(0).network('front').endpoint('w2');
    expect(seen).toMatchObject({ service: { name: 'web', ipv4, enabled: true }, host: 'h2' });
    expect(seen?.aliases).not.toContain('tasks.web');
    await two.endpoint.update({ service: { enabled: false } });
    await until(() => reached(cluster, client.sandbox, ipv4) === all(three));
    expect(await resolve(at(0), client.sandbox, 'tasks.web')).toBe(all(three));
    await two.endpoint.update({ service: { enabled: true } });
    await until(() => reached(cluster, client.sandbox, ipv4) === all(two, three));
    for (const { controller, complaints } of cluster.hosts) {
      expect(await controller.reconcile({ dryRun: true })).toMatchObject({ missing: [], orphaned: [] });
      expect(complaints).toEqual([]);
    }
  });

  it('stands for the endpoints of all of them with round robin', async () => {
    const { at } = await onFront(2);
    const rr = { service: { name: 'web', mode: 'dnsrr' } } as const;
    const client = await at(0).run('front', 'client');
    const [one, two] = [await at(0).run('front', 'w1', rr), await at(1).run('front', 'w2', rr)];
    await until(async () => (await resolve(at(0), client.sandbox, 'web')) === all(one, two));
  });

  it('loses those of a host that is gone past its lease, and its address with the last of them', async () => {
    const { cluster, at } = await onFront(3);
    const client = await at(0).run('front', 'client');
    const [two, three] = [await at(1).run('front', 'w2', web), await at(2).run('front', 'w3', web)];
    const { ipv4 } = two.endpoint.service ?? {};
    await until(() => reached(cluster, client.sandbox, ipv4) === all(two, three));
    await at(2).global.expire();
    at(2).kill();
    await until(() => reached(cluster, client.sandbox, ipv4) === all(two));
    expect(await resolve(at(0), client.sandbox, 'tasks.web')).toBe(all(two));
    await at(1).global.expire();
    at(1).kill();
    await until(() => reached(cluster, client.sandbox, ipv4) === 'nobody');
    await until(async () => !(await cluster.keys()).some((key) => key.includes('/service/')));
    expect(
      (
        await at(0)
          .network('front')
          .createEndpoint({ name: 'free', ipv4: bare(ipv4) })
      ).ipv4,
    ).toBe(ipv4);
  });

  it('is reached on, through a restart of a host that is cut off from the store', async () => {
    const { cluster, at } = await onFront(2);
    const client = await at(0).run('front', 'client');
    const two = await at(1).run('front', 'w2', web);
    const { ipv4 } = two.endpoint.service ?? {};
    await until(() => reached(cluster, client.sandbox, ipv4) === all(two));
    await at(0).controller.close();
    const off = cuttable(cluster.globalStore());
    off.cut();
    await at(0).start(['client-container'], { globalStore: off.store });
    expect(reached(cluster, client.sandbox, ipv4)).toBe(all(two));
    off.mend();
    const three = await at(1).run('front', 'w3', web);
    const again = at(0).controller.sandbox('client-container') ?? client.sandbox;
    await until(() => reached(cluster, again, ipv4) === all(two, three));
  });
});
