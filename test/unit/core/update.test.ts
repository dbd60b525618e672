import { describe, expect, it } from 'vitest';
import type { PortRequest } from '../../../src/driverapi/driver.ts';
import { labels } from '../../../src/labels.ts';
import { expectNothingToRepair, refusal, restart, type Setting, setUp } from './setting.ts';

const tcp = (container: number, host: number): PortRequest => ({ protocol: 'tcp', container, host });

async function published(ports: readonly PortRequest[]) {
  const setting = await setUp();
  await setting.osl.host.apply([{ op: 'setLink', name: 'lo', up: true }]);
  const network = await setting.controller.createNetwork({ name: 'front', labels: { tier: 'web' } });
  const endpoint = await network.createEndpoint({ name: 'web', ports });
  const sandbox = await setting.controller.createSandbox({ containerId: 'c1' });
  await endpoint.join(sandbox);
  for (const port of [80, 81, 90, 443])
    setting.osl.kernel.serve(sandbox.namespacePath ?? '', { protocol: 'tcp', address: '0.0.0.0', port });
  return { ...setting, network, endpoint, sandbox };
}

const hosts = (ports: readonly { readonly host: number }[]) => ports.map(({ host }) => host);

/** The ports of the host, of those given, that lead to a container. */
function open({ osl }: Setting, ports: readonly number[]): number[] {
  return ports.filter((port) => osl.kernel.reaches('host', '127.0.0.1', { protocol: 'tcp', port }).reaches);
}

describe('endpoint.update', () => {
  it('publishes what is new, unpublishes what is gone, and keeps what stays', async () => {
    const it = await published([tcp(80, 8080), { protocol: 'tcp', container: 90 }]);
    const [, chosen] = hosts(it.endpoint.ports);
    await it.endpoint.update({ ports: [{ protocol: 'tcp', container: 90 }, tcp(443, 8443)] });
    expect(hosts(it.endpoint.ports)).toEqual([chosen, 8443]);
    expect(open(it, [8080, chosen ?? 0, 8443])).toEqual([chosen, 8443]);
    await expectNothingToRepair(it);
  });

  it('outlives a restart', async () => {
    const it = await published([tcp(80, 8080)]);
    await it.endpoint.update({ ports: [tcp(443, 8443)] });
    const next = await restart(it, ['c1']);
    expect(hosts(next.controller.network('front')?.endpoint('web')?.ports ?? [])).toEqual([8443]);
    await expectNothingToRepair(next);
  });

  it('holds for the next join where the endpoint is not joined', async () => {
    const it = await published([]);
    await it.endpoint.leave(it.sandbox);
    await it.endpoint.update({ ports: [tcp(80, 8080)] });
    expect(it.endpoint.ports).toEqual([]);
    await it.endpoint.join(it.sandbox);
    expect(hosts(it.endpoint.ports)).toEqual([8080]);
  });

  it('changes nothing when one of the ports is taken, and names who has it', async () => {
    const it = await published([tcp(80, 8080)]);
    const other = await it.network.createEndpoint({ name: 'other', ports: [tcp(80, 9090)] });
    await other.join(await it.controller.createSandbox({ containerId: 'c2' }));
    const error = await refusal(it.endpoint.update({ ports: [tcp(81, 8081), tcp(80, 9090)] }));
    expect(error).toMatchObject({ code: 'CONFLICT', holder: 'endpoint other of network front' });
    expect(hosts(it.endpoint.ports)).toEqual([8080]);
    expect(open(it, [8080, 8081])).toEqual([8080]);
    await expectNothingToRepair(it);
  });

  it('refuses what can only be chosen when the endpoint is made, by name', async () => {
    const it = await published([]);
    const changes: object = { ipv4: '10.0.0.9' };
    expect(await refusal(it.endpoint.update(changes))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'ipv4',
    });
  });

  it('sets and takes away limits, and touches ports only where it names them', async () => {
    const it = await published([tcp(80, 8080)]);
    const limits = { ingress: 8_000_000, egress: 800_000, burst: 80_000 };
    await it.endpoint.update({ limits });
    expect(it.endpoint.limits).toEqual(limits);
    expect(hosts(it.endpoint.ports)).toEqual([8080]);
    const next = await restart(it, ['c1']);
    expect(next.controller.network('front')?.endpoint('web')?.limits).toEqual(limits);
    await expectNothingToRepair(next);
    await next.controller.network('front')?.endpoint('web')?.update({ limits: {} });
    await expectNothingToRepair(next);
  });

  it.for([{ ingress: 7 }, { egress: 1.5 }, { burst: Number.NaN }, { inbound: 8 }])(
    'refuses the limits %o by name',
    async (limits: object) => {
      const it = await published([]);
      const [name] = Object.keys(limits);
      expect(await refusal(it.endpoint.update({ limits }))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        field: `limits.${name}`,
      });
    },
  );

  it('refuses limits where the driver can keep to none', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'h', driver: 'host' });
    const options = { name: 'web', limits: { egress: 8_000 } };
    expect(await refusal(network.createEndpoint(options))).toMatchObject({
      code: 'NOT_IMPLEMENTED',
      field: 'limits',
    });
  });

  it('is told by an event', async () => {
    const it = await published([]);
    const told: unknown[] = [];
    it.controller.on('endpoint:update', (event) => told.push(event));
    await it.endpoint.update({ ports: [tcp(80, 8080)] });
    expect(told).toMatchObject([{ networkId: it.network.id, endpointId: it.endpoint.id, name: 'web' }]);
  });
});

describe('network.update', () => {
  it('replaces the labels, also for the next process', async () => {
    const it = await published([]);
    await it.network.update({ labels: { tier: 'db' } });
    expect(it.network.labels).toEqual({ tier: 'db' });
    const next = await restart(it, ['c1']);
    expect(next.controller.network('front')?.labels).toEqual({ tier: 'db' });
  });

  it('changes options that are rules, in place', async () => {
    const it = await published([]);
    await it.network.update({ options: { [labels.bridge.enableIcc]: false } });
    expect(it.network.options).toEqual({ [labels.bridge.enableIcc]: false });
    await expectNothingToRepair(it);
    await it.network.update({ options: { [labels.bridge.enableIcc]: undefined } });
    expect(it.network.options).toEqual({});
    await expectNothingToRepair(it);
  });

  it('refuses options that are in links and addresses, and changes nothing', async () => {
    const it = await published([]);
    for (const options of [
      { [labels.bridge.name]: 'br-other' },
      { [labels.driver.mtu]: 1400 },
      { [labels.bridge.gatewayMode.ipv4]: 'routed' },
      { [labels.bridge.inhibitIpv4]: true },
    ]) {
      const [field] = Object.keys(options);
      const changes = { labels: {}, options };
      expect(await refusal(it.network.update(changes))).toMatchObject({ code: 'INVALID_ARGUMENT', field });
    }
    expect([it.network.options, it.network.labels]).toEqual([{}, { tier: 'web' }]);
  });

  it('says which drivers can change no options', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'h', driver: 'host' });
    expect(await refusal(network.update({ options: { a: 1 } }))).toMatchObject({ code: 'NOT_IMPLEMENTED' });
    await network.update({ labels: { a: 'b' } });
    expect(network.labels).toEqual({ a: 'b' });
  });
});
