import { describe, expect, it } from 'vitest';
import type { JoinResult } from '../../../src/driverapi/driver.ts';
import type { EndpointOptions, Sandbox } from '../../../src/index.ts';
import { meshDriver } from './mesh.ts';
import { expectNothingToRepair, refusal, restart, type Setting, setUp } from './setting.ts';

const GWBRIDGE = 'docker_gwbridge';

async function mesh(answer: Partial<JoinResult> = {}): Promise<Setting & { sandbox: Sandbox }> {
  const setting = await setUp({ drivers: [meshDriver(answer)] });
  return {
    ...setting,
    sandbox: await setting.controller.createSandbox({ containerId: 'c1', hostname: 'one' }),
  };
}

async function join(
  { controller }: Setting,
  sandbox: Sandbox,
  name: string,
  options = {},
  end: Partial<EndpointOptions> = {},
) {
  const network = await controller.createNetwork({ name, driver: 'mesh', ...options });
  const endpoint = await network.createEndpoint({ name: `${name}-end`, ...end });
  await endpoint.join(sandbox);
  return endpoint;
}

const names = (sandbox: Sandbox) => sandbox.endpoints().map(({ name }) => name);

describe('the default-gateway network', () => {
  it('comes with the first endpoint that has no way out', async () => {
    const it = await mesh();
    await join(it, it.sandbox, 'a');
    expect(it.controller.network(GWBRIDGE)).toMatchObject({
      driver: 'bridge',
      options: {
        'com.docker.network.bridge.name': GWBRIDGE,
        'com.docker.network.bridge.enable_icc': false,
        'com.docker.network.bridge.enable_ip_masquerade': true,
      },
    });
    expect(names(it.sandbox)).toEqual(['a-end', 'gateway_c1']);
    const inside = await it.osl.openNamespace(it.sandbox.namespacePath);
    const routes = await inside.routes();
    expect(routes.find(({ destination }) => destination === 'default')?.link).toBe('eth1');
    await expectNothingToRepair(it);
  });

  it('goes when a network with a gateway is joined, and comes back when that is left', async () => {
    const it = await mesh();
    await join(it, it.sandbox, 'a');
    const out = await join(it, it.sandbox, 'out', { driver: 'bridge' });
    expect(names(it.sandbox)).toEqual(['a-end', 'out-end']);
    expect(it.controller.network(GWBRIDGE)?.endpoints()).toEqual([]);
    await out.leave(it.sandbox);
    expect(names(it.sandbox)).toEqual(['a-end', 'gateway_c1']);
    await it.controller.network('a')?.endpoint('a-end')?.leave(it.sandbox);
    expect(names(it.sandbox)).toEqual([]);
    expect(it.controller.network(GWBRIDGE)).toBeDefined();
    await expectNothingToRepair(it);
  });

  it.each([
    ['internal networks', {}, { internal: true }],
    ['a driver that wants none', { disableGatewayService: true }, {}],
    ['a driver that gives a default route', { routes: [{ destination: '0.0.0.0/0' }] }, {}],
    ['the null network', {}, { driver: 'null' }],
  ])('never comes for %s', async (_, answer, options) => {
    const it = await mesh(answer);
    await join(it, it.sandbox, 'a', options);
    expect(names(it.sandbox)).toEqual(['a-end']);
    expect(it.controller.network(GWBRIDGE)).toBeUndefined();
  });

  it('comes when a sandbox gets its namespace, and moves with it to the next one', async () => {
    const setting = await setUp({ drivers: [meshDriver()] });
    const { controller, world, osl } = setting;
    const sandbox = await controller.createSandbox({ containerId: 'c1', externalKey: true });
    await join(setting, sandbox, 'a');
    expect(names(sandbox)).toEqual(['a-end']);
    for (const name of ['first', 'second']) {
      const path = `${world.runDir}/${name}`;
      const inside = await osl.createNamespace(path);
      await sandbox.setKey(path);
      expect(names(sandbox)).toEqual(['a-end', 'gateway_c1']);
      const routes = await inside.routes();
      expect(routes.find(({ destination }) => destination === 'default')?.link).toBe('eth1');
      await inside.close();
      await expectNothingToRepair(setting);
    }
  });

  it('is made once when several sandboxes need it at the same time', async () => {
    const it = await mesh();
    const network = await it.controller.createNetwork({ name: 'a', driver: 'mesh' });
    const boxes = await Promise.all(
      Array.from({ length: 8 }, (_, i) => it.controller.createSandbox({ containerId: `box${i}` })),
    );
    await Promise.all(
      boxes.map(async (box, i) => (await network.createEndpoint({ name: `e${i}` })).join(box)),
    );
    expect(it.controller.networks().filter(({ name }) => name === GWBRIDGE)).toHaveLength(1);
    expect(it.controller.network(GWBRIDGE)?.endpoints()).toHaveLength(8);
    await Promise.all(boxes.map((box) => box.delete()));
    expect(it.controller.network(GWBRIDGE)?.endpoints()).toEqual([]);
    await expectNothingToRepair(it);
  });

  it('publishes the ports of endpoints that have no other way in, as they come and go', async () => {
    const it = await mesh();
    const port = (container: number) => [{ protocol: 'tcp' as const, container, host: 8000 + container }];
    await join(it, it.sandbox, 'a', {}, { ports: port(80) });
    const hosts = () => {
      const ports = it.controller.network(GWBRIDGE)?.endpoint('gateway_c1')?.ports ?? [];
      return [...new Set(ports.map(({ host }) => host))].sort();
    };
    expect(hosts()).toEqual([8080]);
    const b = await join(it, it.sandbox, 'b', {}, { ports: port(81) });
    expect(hosts()).toEqual([8080, 8081]);
    await expectNothingToRepair(it);
    await b.leave(it.sandbox);
    expect(hosts()).toEqual([8080]);
    await expectNothingToRepair(it);
  });

  it('that can’t be had lets the join fail, and nothing is left of it', async () => {
    const it = await mesh();
    await it.osl.host.apply([{ op: 'createLink', name: GWBRIDGE, link: { kind: 'dummy' } }]);
    const before = it.world.dump();
    const network = await it.controller.createNetwork({ name: 'a', driver: 'mesh' });
    const end = await network.createEndpoint({ name: 'e' });
    await refusal(end.join(it.sandbox));
    expect(end.sandboxId).toBeUndefined();
    expect(names(it.sandbox)).toEqual([]);
    expect(it.world.dump()).toEqual(before);
    await expectNothingToRepair(it);
  });

  it('stays over a restart, and its endpoint goes with the sandbox', async () => {
    const it = await mesh();
    await join(it, it.sandbox, 'a');
    const next = await restart(it, ['c1'], { drivers: [meshDriver()] });
    const sandbox = next.controller.sandbox('c1');
    expect(sandbox && names(sandbox)).toEqual(['a-end', 'gateway_c1']);
    await expectNothingToRepair(next);
    await sandbox?.delete();
    expect(next.controller.network(GWBRIDGE)?.endpoints()).toEqual([]);
    await next.controller.network(GWBRIDGE)?.delete();
  });
});
