import { describe, expect, it } from 'vitest';
import { setUp } from './setting.ts';

/** The getters of a handle, by name. */
function getters(handle: object): [string, unknown][] {
  const described = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(handle)));
  return described.flatMap(([name, { get }]) => (get ? [[name, get.call(handle)]] : []));
}

/** The paths of what could be changed in it. */
function changeable(path: string, value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const parts = Object.entries(value).flatMap(([name, part]) => changeable(`${path}.${name}`, part));
  return Object.isFrozen(value) ? parts : [path, ...parts];
}

describe('what a getter shows', () => {
  it('can be changed by nobody, however deep, and is the record’s no more', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({
      name: 'front',
      ipv6: true,
      labels: { tier: 'front' },
      ipam: {
        options: { a: 'b' },
        pools: [{ subnet: '10.9.0.0/24', auxAddresses: { router: '10.9.0.2' } }, { subnet: 'fd00:9::/64' }],
      },
      dns: { records: { 'a.example': ['10.9.0.9'] }, allow: ['b.example'] },
      policy: [{ from: { labels: { app: 'web' } }, ports: [{ protocol: 'tcp', port: 1 }], action: 'deny' }],
    });
    const sandbox = await controller.createSandbox({
      containerId: 'c1',
      extraHosts: { db: '10.1.1.1' },
      dns: { servers: ['9.9.9.9'], search: ['example'], options: ['ndots:1'], aliases: { db: 'web' } },
    });
    const endpoint = await network.createEndpoint({
      name: 'web',
      aliases: ['www'],
      labels: { app: 'web' },
      linkLocal: ['169.254.7.7'],
      exposedPorts: [{ port: 80 }],
      ports: [{ protocol: 'tcp', container: 80, host: 8080 }],
      limits: { egress: 1_000_000 },
      service: { name: 'shop', aliases: ['store'] },
    });
    await endpoint.join(sandbox);
    const shown = [network, sandbox, endpoint].flatMap(getters);
    expect(shown.flatMap(([name, value]) => changeable(name, value))).toEqual([]);
    const answers = {
      statistics: await sandbox.statistics(),
      routes: await sandbox.routes(),
      inspection: controller.inspect(),
      counters: controller.counters,
      parts: controller.parts,
    };
    expect(Object.entries(answers).flatMap(([name, value]) => changeable(name, value))).toEqual([]);
    expect(() => Object.assign(endpoint.ports[0] ?? {}, { host: 1 })).toThrow(TypeError);
    expect(endpoint.ports[0]?.host).toBe(8080);
  });
});
