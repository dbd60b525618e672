import { describe, expect, it } from 'vitest';
import type { Endpoint, EndpointOptions, Network, Sandbox } from '../../../src/index.ts';
import type { Osl } from '../../../src/osl/osl.ts';
import { askFromHere } from '../../kernel/resolver/setting.ts';
import { everything, expectNothingToRepair, refusal, restart, type Setting, setUp } from './setting.ts';

const SUBNETS = [{ subnet: '10.9.0.0/24' }, { subnet: 'fd00:9::/64' }];

const bare = (cidr: string | undefined): string => cidr?.split('/')[0] ?? 'none';

interface Scene extends Setting {
  readonly network: Network;
  readonly client: Sandbox;
}

/** A network of both families, with a client on it. */
async function onFront(): Promise<Scene> {
  const setting = await setUp();
  const { controller } = setting;
  const network = await controller.createNetwork({
    name: 'front',
    ipv6: true,
    internal: true,
    ipam: { pools: SUBNETS },
  });
  const client = await controller.createSandbox({ containerId: 'client' });
  await (await network.createEndpoint({ name: 'asks' })).join(client);
  return { ...setting, network, client };
}

async function run(
  { controller, network }: Scene,
  name: string,
  service: EndpointOptions['service'] = { name: 'web' },
): Promise<{ endpoint: Endpoint; sandbox: Sandbox }> {
  const sandbox = await controller.createSandbox({ containerId: `c-${name}` });
  const endpoint = await network.createEndpoint({ name, service });
  await endpoint.join(sandbox);
  return { endpoint, sandbox };
}

async function ask(
  osl: Osl,
  from: Sandbox,
  name: string,
  type: 'A' | 'AAAA' | 'PTR' = 'A',
): Promise<unknown[]> {
  const inside = await osl.openNamespace(from.namespacePath);
  const { answers = [] } = await askFromHere(inside, name, type);
  await inside.close();
  return answers.map((it) => ('data' in it ? it.data : it.type));
}

/** Where pings to an address end: each draws anew. */
function reached({ world }: Setting, from: Sandbox, to: string | undefined): string[] {
  const ends = Array.from({ length: 60 }, (_, i) => {
    const answer = world.kernel.reaches(from.namespacePath, bare(to), {
      protocol: 'icmp',
      fromPort: 50_000 + i,
    });
    return answer.reaches ? answer.address : 'nobody';
  });
  return [...new Set(ends)].sort();
}

const addresses = (...all: readonly { endpoint: Endpoint }[]): { ipv4: string[]; ipv6: string[] } => ({
  ipv4: all.map(({ endpoint }) => bare(endpoint.ipv4)).sort(),
  ipv6: all.map(({ endpoint }) => bare(endpoint.ipv6)).sort(),
});

describe('the virtual address of a service', () => {
  it('is one for all its endpoints, and free again with the last of them', async () => {
    const { network, controller } = await onFront();
    const told: string[] = [];
    for (const event of ['service:create', 'service:delete'] as const)
      controller.on(event, ({ name }) => told.push(`${event} ${name}`));
    const [one, two] = await Promise.all(
      ['w1', 'w2'].map((name) => network.createEndpoint({ name, service: { name: 'web' } })),
    );
    const { ipv4, ipv6 } = one?.service ?? {};
    expect(two?.service).toMatchObject({ name: 'web', mode: 'vip', enabled: true, ipv4, ipv6 });
    expect([one?.ipv4, two?.ipv4]).not.toContain(ipv4);
    await one?.delete();
    const wanted = { name: 'mine', ipv4: bare(ipv4), ipv6: bare(ipv6) };
    expect(await refusal(network.createEndpoint(wanted))).toMatchObject({
      code: 'FORBIDDEN',
      holder: 'service web',
    });
    await two?.delete();
    expect(told).toEqual(['service:create web', 'service:delete web']);
    expect((await network.createEndpoint(wanted)).ipv4).toBe(ipv4);
  });

  it('is taken once by many that come at the same time, while others go', async () => {
    const scene = await onFront();
    const { network } = scene;
    const [before] = await network.usage();
    const make = (i: number) => network.createEndpoint({ name: `w${i}`, service: { name: 'web' } });
    for (let round = 0; round < 5; round++) {
      const made = await Promise.all(Array.from({ length: 8 }, (_, i) => make(i)));
      expect(new Set(made.map(({ service }) => service?.ipv4)).size).toBe(1);
      const more = Promise.all([make(8), make(9)]);
      await Promise.all(made.map((endpoint) => endpoint.delete()));
      const left = await more;
      expect(left[0]?.service?.ipv4).toBe(left[1]?.service?.ipv4);
      await Promise.all(left.map((endpoint) => endpoint.delete()));
    }
    expect((await network.usage())[0]?.used).toBe(before?.used);
    await expectNothingToRepair(scene);
  });

  it('is given back where the endpoint can not be made', async () => {
    const scene = await onFront();
    const before = await everything(scene);
    const taken = await refusal(scene.network.createEndpoint({ name: 'asks', service: { name: 'web' } }));
    expect(taken.code).toBe('ALREADY_EXISTS');
    const outside = { name: 'w', ipv4: '10.9.0.1', service: { name: 'web' } };
    expect((await refusal(scene.network.createEndpoint(outside))).code).toBe('FORBIDDEN');
    expect(await everything(scene)).toEqual(before);
  });

  it('leads to the live endpoints in both families, by every protocol, and the client itself may be one', async () => {
    const scene = await onFront();
    const all = [await run(scene, 'w1'), await run(scene, 'w2'), await run(scene, 'w3')];
    const { ipv4, ipv6 } = all[0]?.endpoint.service ?? {};
    for (const from of [scene.client, ...all.map(({ sandbox }) => sandbox)]) {
      expect(reached(scene, from, ipv4)).toEqual(addresses(...all).ipv4);
      expect(reached(scene, from, ipv6)).toEqual(addresses(...all).ipv6);
    }
    const late = await scene.controller.createSandbox({ containerId: 'late' });
    await (await scene.network.createEndpoint({ name: 'late' })).join(late);
    expect(reached(scene, late, ipv4)).toEqual(addresses(...all).ipv4);
    const stranger = await scene.controller.createSandbox({ containerId: 'stranger' });
    expect(reached(scene, stranger, ipv4)).toEqual(['nobody']);
    await expectNothingToRepair(scene);
  });

  it('leads no more to an endpoint that is drained, and again when it is enabled', async () => {
    const scene = await onFront();
    const told: unknown[] = [];
    scene.controller.on('service:update', ({ name, live }) => told.push(`${name} ${live}`));
    const [one, two] = [await run(scene, 'w1'), await run(scene, 'w2')];
    const { ipv4 } = one.endpoint.service ?? {};
    await one.endpoint.update({ service: { enabled: false } });
    expect(one.endpoint.service?.enabled).toBe(false);
    expect(reached(scene, scene.client, ipv4)).toEqual(addresses(two).ipv4);
    expect(reached(scene, scene.client, one.endpoint.ipv4)).toEqual(addresses(one).ipv4);
    await one.endpoint.update({ service: { enabled: true } });
    expect(reached(scene, scene.client, ipv4)).toEqual(addresses(one, two).ipv4);
    await two.endpoint.leave(two.sandbox);
    expect(reached(scene, scene.client, ipv4)).toEqual(addresses(one).ipv4);
    await one.sandbox.delete();
    expect(reached(scene, scene.client, ipv4)).toEqual(['nobody']);
    expect(told).toEqual(['web 1', 'web 2', 'web 1', 'web 2', 'web 1', 'web 0']);
    await expectNothingToRepair(scene);
  });

  it('may have endpoints that begin drained', async () => {
    const scene = await onFront();
    const one = await run(scene, 'w1', { name: 'web', enabled: false });
    expect(reached(scene, scene.client, one.endpoint.service?.ipv4)).toEqual(['nobody']);
    await one.endpoint.update({ service: { enabled: true } });
    expect(reached(scene, scene.client, one.endpoint.service?.ipv4)).toEqual(addresses(one).ipv4);
  });
});

describe('the names of a service', () => {
  it('stand for its virtual address, and `tasks.` before them for its live endpoints', async () => {
    const scene = await onFront();
    const service = { name: 'web', aliases: ['www'] };
    const [one, two] = [await run(scene, 'w1', service), await run(scene, 'w2', service)];
    const { osl, client } = scene;
    const { ipv4, ipv6 } = one.endpoint.service ?? {};
    for (const name of ['web', 'www', 'web.front', 'WWW.front']) {
      expect(await ask(osl, client, name), name).toEqual([bare(ipv4)]);
      expect(await ask(osl, client, name, 'AAAA'), name).toEqual([bare(ipv6)]);
    }
    const reversed = `${bare(ipv4).split('.').reverse().join('.')}.in-addr.arpa`;
    expect(await ask(osl, client, reversed, 'PTR')).toEqual(['web.front']);
    const own = `${bare(one.endpoint.ipv4).split('.').reverse().join('.')}.in-addr.arpa`;
    expect(await ask(osl, client, own, 'PTR')).toEqual(['w1.front']);
    for (const name of ['tasks.web', 'tasks.www.front'])
      expect((await ask(osl, client, name)).sort(), name).toEqual(addresses(one, two).ipv4);
    await one.endpoint.update({ service: { enabled: false } });
    expect(await ask(osl, client, 'tasks.web')).toEqual(addresses(two).ipv4);
    expect(await ask(osl, client, 'w1')).toEqual(addresses(one).ipv4);
    await two.sandbox.delete();
    for (const name of ['web', 'tasks.web']) expect(await ask(osl, client, name)).toEqual([]);
  });

  it('stand for all live endpoints in turns with round robin, which takes no address', async () => {
    const scene = await onFront();
    const [before] = await scene.network.usage();
    const service = { name: 'web', aliases: ['www'], mode: 'dnsrr' } as const;
    const told: number[] = [];
    scene.controller.on('service:update', ({ live }) => told.push(live));
    const [one, two] = [await run(scene, 'w1', service), await run(scene, 'w2', service)];
    expect((await scene.network.usage())[0]?.used).toBe((before?.used ?? 0n) + 2n);
    expect(one.endpoint.service).toMatchObject({ mode: 'dnsrr', ipv4: undefined, ipv6: undefined });
    const { osl, client } = scene;
    for (const name of ['web', 'www', 'tasks.web']) {
      const [first, then] = [await ask(osl, client, name), await ask(osl, client, name)];
      expect([...first].sort()).toEqual(addresses(one, two).ipv4);
      expect(then).toEqual(first.toReversed());
    }
    await two.endpoint.update({ service: { enabled: false } });
    expect(await ask(osl, client, 'web')).toEqual(addresses(one).ipv4);
    expect(told).toEqual([1, 2, 1]);
  });
});

describe('what can not be', () => {
  it('is an endpoint of another mode than its service has', async () => {
    const { network } = await onFront();
    await network.createEndpoint({ name: 'w1', service: { name: 'web' } });
    const other = network.createEndpoint({ name: 'w2', service: { name: 'web', mode: 'dnsrr' } });
    expect(await refusal(other)).toMatchObject({
      code: 'CONFLICT',
      field: 'service.mode',
      holder: 'service web',
    });
    expect(network.endpoints().map(({ name }) => name)).toEqual(['asks', 'w1']);
  });

  it('is a virtual address on a network without pools', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'none', driver: 'null' });
    const wanted = network.createEndpoint({ name: 'w1', service: { name: 'web' } });
    expect(await refusal(wanted)).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'service.mode' });
  });

  it.each([
    [{ name: '' }, 'service.name'],
    [{ name: 'two words' }, 'service.name'],
    [{ name: 'web', mode: 'ipvs' }, 'service.mode'],
    [{ name: 'web', aliases: Array.from({ length: 33 }, (_, i) => `a${i}`) }, 'service.aliases'],
    [{ name: 'web', ports: [] }, 'service.ports'],
  ])('is %j', async (service, field) => {
    const { network } = await onFront();
    const wanted = { name: 'w1', service } as EndpointOptions;
    expect(await refusal(network.createEndpoint(wanted))).toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });

  it('is draining what belongs to no service, or changing more', async () => {
    const scene = await onFront();
    const lone = await scene.network.createEndpoint({ name: 'lone' });
    expect(await refusal(lone.update({ service: { enabled: false } }))).toMatchObject({ field: 'service' });
    const { endpoint } = await run(scene, 'w1');
    const more = { enabled: false, mode: 'dnsrr' } as object;
    expect((await refusal(endpoint.update({ service: more }))).code).toBe('INVALID_ARGUMENT');
  });
});

describe('after a restart', () => {
  it('services are as they were, and no rule was touched', async () => {
    const scene = await onFront();
    const [one, two] = [await run(scene, 'w1'), await run(scene, 'w2')];
    await two.endpoint.update({ service: { enabled: false } });
    const { ipv4 } = one.endpoint.service ?? {};
    const before = scene.world.dump();
    const again = await restart(scene, ['client', 'c-w1', 'c-w2']);
    const { osl, controller } = again;
    const client = controller.sandbox('client') ?? scene.client;
    expect(reached(again, client, ipv4)).toEqual(addresses(one).ipv4);
    expect(await ask(osl, client, 'web')).toEqual([bare(ipv4)]);
    await expectNothingToRepair(again);
    expect(JSON.stringify(servicesOf(again.world.dump()))).toBe(JSON.stringify(servicesOf(before)));
    await controller
      .network('front')
      ?.endpoint('w2')
      ?.update({ service: { enabled: true } });
    expect(reached(again, client, ipv4)).toEqual(addresses(one, two).ipv4);
  });

  it('no rule leads to a backend whose container has died meanwhile', async () => {
    const scene = await onFront();
    const [one, two] = [await run(scene, 'w1'), await run(scene, 'w2')];
    const { ipv4 } = one.endpoint.service ?? {};
    const again = await restart(scene, ['client', 'c-w1']);
    const client = again.controller.sandbox('client') ?? scene.client;
    expect(reached(again, client, ipv4)).toEqual(addresses(one).ipv4);
    expect(again.controller.network('front')?.endpoint(two.endpoint.id)).toBeUndefined();
    await expectNothingToRepair(again);
    const last = await restart(again, ['client']);
    expect(reached(last, client, ipv4)).toEqual(['nobody']);
    expect(await last.world.keys()).not.toContainEqual(expect.stringContaining('/service/'));
    await expectNothingToRepair(last);
  });
});

describe('a reconcile', () => {
  it('finds a rule that leads to a wrong backend, or to none, and repairs it', async () => {
    const scene = await onFront();
    const [one, two] = [await run(scene, 'w1'), await run(scene, 'w2')];
    const { ipv4, ipv6 } = one.endpoint.service ?? {};
    const inside = await scene.osl.openNamespace(scene.client.namespacePath);
    const foreign = await inside.firewall({ engine: 'nftables', table: 'libnetwork-services-default' });
    await foreign.sync([
      { kind: 'service', id: 'x', address: bare(ipv4), backends: 1 },
      { kind: 'backend', id: 'y', service: bare(ipv4), slot: 0, address: '10.9.0.99' },
    ]);
    await foreign.close();
    await inside.close();
    const found = await scene.controller.reconcile({ dryRun: true });
    expect(found.missing).toContain(`element backend4 ${bare(ipv4)} . 1 of the services in container client`);
    expect(found.missing).toContain(`element service6 ${bare(ipv6)} of the services in container client`);
    await scene.controller.reconcile();
    expect(reached(scene, scene.client, ipv4)).toEqual(addresses(one, two).ipv4);
    expect(reached(scene, scene.client, ipv6)).toEqual(addresses(one, two).ipv6);
    await expectNothingToRepair(scene);
  });

  it('gives back the address of a service that no endpoint belongs to', async () => {
    const scene = await onFront();
    const { endpoint } = await run(scene, 'w1');
    const { ipv4 } = endpoint.service ?? {};
    const kept = (await scene.world.entries()).find(({ key }) => key.includes('/service/'));
    await endpoint.delete({ force: true });
    await scene.world.put(kept?.key ?? '', kept?.value);
    const again = await restart(scene, ['client']);
    expect(await again.world.keys()).not.toContainEqual(expect.stringContaining('/service/'));
    const free = await again.controller.network('front')?.createEndpoint({ name: 'free', ipv4: bare(ipv4) });
    expect(free?.ipv4).toBe(ipv4);
  });
});

/** The tables of services in a dump. */
function servicesOf(dump: unknown): unknown {
  const { namespaces } = dump as {
    namespaces: Record<string, { tables: readonly { readonly name: string; readonly sets: unknown }[] }>;
  };
  return Object.entries(namespaces).map(([path, { tables }]) => [
    path,
    tables.filter(({ name }) => name.startsWith('libnetwork-services')),
  ]);
}
