import { describe, expect, it } from 'vitest';
import type { EndpointOptions, NetworkOptions, Sandbox } from '../../../src/index.ts';
import { expectNothingToRepair, refusal, restart, type Setting, setUp } from './setting.ts';

let subnets = 0;

/** A network with one endpoint, joined. */
async function attach(
  { controller }: Setting,
  sandbox: Sandbox,
  name: string,
  options: { network?: Partial<NetworkOptions>; endpoint?: Partial<EndpointOptions>; priority?: number } = {},
) {
  const network = await controller.createNetwork({ name, ...options.network });
  const endpoint = await network.createEndpoint({ name: `${name}-end`, ...options.endpoint });
  await endpoint.join(sandbox, { priority: options.priority });
  return endpoint;
}

/** The interfaces of the default routes. */
async function defaults({ osl }: Setting, sandbox: Sandbox): Promise<{ ipv4?: string; ipv6?: string }> {
  const inside = await osl.openNamespace(sandbox.namespacePath);
  const routes = (await inside.routes()).filter(({ destination }) => destination === 'default');
  await inside.close();
  return Object.fromEntries(routes.map(({ family, link }) => [family, link]));
}

async function withBox(): Promise<Setting & { box: Sandbox }> {
  const setting = await setUp();
  subnets++;
  return { ...setting, box: await setting.controller.createSandbox({ containerId: `c${subnets}` }) };
}

describe('the default route of a sandbox', () => {
  it('goes to the highest priority and comes back when that one leaves', async () => {
    const setting = await withBox();
    const { box } = setting;
    await attach(setting, box, 'a', { priority: 1 });
    expect(await defaults(setting, box)).toEqual({ ipv4: 'eth0' });
    await attach(setting, box, 'b', { priority: 2 });
    expect(await defaults(setting, box)).toEqual({ ipv4: 'eth1' });
    const c = await attach(setting, box, 'c', { priority: 3 });
    expect(await defaults(setting, box)).toEqual({ ipv4: 'eth2' });
    await c.leave(box);
    expect(await defaults(setting, box)).toEqual({ ipv4: 'eth1' });
    await c.join(box, { priority: 3 });
    expect(await defaults(setting, box)).toEqual({ ipv4: 'eth2' });
    await expectNothingToRepair(setting);
  });

  it('goes by the endpoint’s own priority where the join says none', async () => {
    const setting = await withBox();
    await attach(setting, setting.box, 'a', { endpoint: { gatewayPriority: 5 } });
    await attach(setting, setting.box, 'b', { endpoint: { gatewayPriority: 9 } });
    expect(await defaults(setting, setting.box)).toEqual({ ipv4: 'eth1' });
  });

  it('goes by the networks’ names where priorities are the same', async () => {
    const setting = await withBox();
    await attach(setting, setting.box, 'b');
    await attach(setting, setting.box, 'a');
    expect(await defaults(setting, setting.box)).toEqual({ ipv4: 'eth1' });
  });

  it('is chosen for each family on its own', async () => {
    const setting = await withBox();
    await attach(setting, setting.box, 'dual', { network: { ipv6: true } });
    await attach(setting, setting.box, 'only4', { priority: 1000 });
    expect(await defaults(setting, setting.box)).toEqual({ ipv4: 'eth1', ipv6: 'eth0' });
  });

  it('is none where all networks are internal', async () => {
    const setting = await withBox();
    await attach(setting, setting.box, 'inner', { network: { internal: true } });
    expect(await defaults(setting, setting.box)).toEqual({});
  });

  it('stays as it is over a restart', async () => {
    const setting = await withBox();
    const { containerId } = setting.box;
    await attach(setting, setting.box, 'a', { priority: 7 });
    await attach(setting, setting.box, 'b');
    const next = await restart(setting, [containerId]);
    const box = next.controller.sandbox(containerId);
    if (!box) throw new Error('the sandbox is gone');
    expect(await defaults(next, box)).toEqual({ ipv4: 'eth0' });
    await attach(next, box, 'c', { priority: 8 });
    expect(await defaults(next, box)).toEqual({ ipv4: 'eth2' });
  });
});

describe('published ports', () => {
  const ports = [{ protocol: 'tcp' as const, container: 80, host: 8080 }];

  it('are there while their endpoint gives the default route', async () => {
    const setting = await withBox();
    const { box } = setting;
    const web = await attach(setting, box, 'a', { endpoint: { ports } });
    expect(web.ports).toContainEqual({ protocol: 'tcp', container: 80, host: 8080, hostAddress: '0.0.0.0' });
    const other = await attach(setting, box, 'b', { priority: 5 });
    expect(web.ports).toEqual([]);
    await expectNothingToRepair(setting);
    await other.leave(box);
    expect(web.ports).toContainEqual({ protocol: 'tcp', container: 80, host: 8080, hostAddress: '0.0.0.0' });
    await expectNothingToRepair(setting);
    await web.leave(box);
    expect(web.ports).toEqual([]);
  });

  it('are refused where another endpoint has the port, naming it, and nothing is changed', async () => {
    const setting = await withBox();
    await attach(setting, setting.box, 'a', { endpoint: { ports } });
    const other = await setting.controller.createSandbox({ containerId: 'other' });
    const network = await setting.controller.createNetwork({ name: 'b' });
    const late = await network.createEndpoint({ name: 'late', ports });
    const before = { kernel: setting.world.dump(), entries: await setting.world.keys() };
    expect(await refusal(late.join(other))).toMatchObject({
      code: 'CONFLICT',
      holder: expect.stringContaining('a-end'),
    });
    expect({ kernel: setting.world.dump(), entries: await setting.world.keys() }).toEqual(before);
    expect(late.sandboxId).toBeUndefined();
    await expectNothingToRepair(setting);
  });

  it('follow the route also when the endpoint that takes it over can’t publish its own', async () => {
    const setting = await withBox();
    const { box } = setting;
    const web = await attach(setting, box, 'a', { endpoint: { ports } });
    const holder = await setting.controller.createSandbox({ containerId: 'holder' });
    await attach(setting, holder, 'h', {
      endpoint: { ports: [{ protocol: 'tcp', container: 81, host: 9090 }] },
    });
    const joining = attach(setting, box, 'b', {
      priority: 5,
      endpoint: { ports: [{ protocol: 'tcp', container: 81, host: 9090 }] },
    });
    expect(await refusal(joining)).toMatchObject({ code: 'CONFLICT' });
    expect(web.ports).toContainEqual({ protocol: 'tcp', container: 80, host: 8080, hostAddress: '0.0.0.0' });
    expect(await defaults(setting, box)).toEqual({ ipv4: 'eth0' });
    await expectNothingToRepair(setting);
  });
});
