import { describe, expect, it } from 'vitest';
import type {
  DriverNetwork,
  EndpointPlace,
  PortBinding,
  PortRequest,
} from '../../../src/driverapi/driver.ts';
import { proxyTarget } from '../../../src/drivers/bridge/requests.ts';
import { labels } from '../../../src/labels.ts';
import {
  ask,
  bridgeSetting,
  endpoint,
  greet,
  greetUdp,
  join,
  neighbour,
  network,
  type Setting,
  udpClient,
} from './setting.ts';

const BOTH = { ipv4: true, ipv6: true };
const NONE = { ipv4: false, ipv6: false };
const port = (container: number, more: Partial<PortRequest> = {}): PortRequest => ({
  protocol: 'tcp',
  container,
  ...more,
});

/** A network with one endpoint joined, a server in it, and a machine beside the host. */
async function served(ports: readonly PortRequest[], more: Partial<DriverNetwork> = {}) {
  const setting = await bridgeSetting();
  const outside = await neighbour(setting.osl, '/run/neighbour');
  const front = network(more);
  await setting.driver.createNetwork(front);
  const place = { network: front, endpoint: endpoint(front, 2, { ports }) };
  const container = await join(setting, place, '/run/c1');
  await greet(container, '0.0.0.0', 80, 'web');
  await greet(container, '::', 80, 'web');
  return { ...setting, outside, front, place, container };
}

async function publish(
  { driver }: Setting,
  place: EndpointPlace,
  families = BOTH,
): Promise<readonly PortBinding[]> {
  return (await driver.publish?.(place, families)) ?? [];
}

function record(place: EndpointPlace, bindings: readonly PortBinding[]): EndpointPlace {
  return { ...place, endpoint: { ...place.endpoint, bindings } };
}

describe('a published port', () => {
  it('is reached from outside by the addresses of the host, in both families', async () => {
    const it = await served([port(80, { host: 8080 })]);
    expect(await ask(it.outside, '192.0.2.1', 8080)).toBe('UNAVAILABLE');
    await publish(it, it.place);
    expect(await ask(it.outside, '192.0.2.1', 8080)).toBe('web');
    expect(await ask(it.outside, '2001:db8::1', 8080)).toBe('web');
  });

  it('is reached from the host itself, by 127.0.0.1 too', async () => {
    const it = await served([port(80, { host: 8080 })]);
    await publish(it, it.place);
    expect(await ask(it.host, '127.0.0.1', 8080)).toBe('web');
    expect(await ask(it.host, '192.0.2.1', 8080)).toBe('web');
  });

  it('is reached from its own container and from others by the address of the host', async () => {
    const it = await served([port(80, { host: 8080 })]);
    await publish(it, it.place);
    const other = await join(it, { network: it.front, endpoint: endpoint(it.front, 3) }, '/run/c2');
    expect(await ask(other, '192.0.2.1', 8080)).toBe('web');
    expect(await ask(it.container, '192.0.2.1', 8080)).toBe('web');
  });

  it('is not reached any more once it is unpublished', async () => {
    const it = await served([port(80, { host: 8080 })]);
    const bindings = await publish(it, it.place);
    await publish(it, record(it.place, bindings), NONE);
    expect(await ask(it.outside, '192.0.2.1', 8080)).not.toBe('web');
    expect(it.firewall.intents().map(({ kind }) => kind)).toEqual(['network']);
  });

  it('on one address of the host is on no other', async () => {
    const it = await served([port(80, { host: 8080, hostAddress: '127.0.0.1' })]);
    expect(await publish(it, it.place)).toEqual([
      { protocol: 'tcp', container: 80, host: 8080, hostAddress: '127.0.0.1' },
    ]);
    expect(await ask(it.host, '127.0.0.1', 8080)).toBe('web');
    expect(await ask(it.outside, '192.0.2.1', 8080)).not.toBe('web');
  });

  it('follows the network to the address that it binds to', async () => {
    const options = { [labels.bridge.hostBinding.ipv4]: '192.0.2.1' };
    const it = await served([port(80, { host: 8080 })], { options });
    expect((await publish(it, it.place)).map(({ hostAddress }) => hostAddress)).toEqual(['192.0.2.1']);
    expect(await ask(it.outside, '192.0.2.1', 8080)).toBe('web');
  });

  it('on an IPv4 address in IPv6 clothes is on that IPv4 address', async () => {
    const it = await served([port(80, { host: 8080, hostAddress: '::ffff:192.0.2.1' })]);
    expect((await publish(it, it.place)).map(({ hostAddress }) => hostAddress)).toEqual(['192.0.2.1']);
  });

  it('in a family that is added later has the same port there', async () => {
    const it = await served([port(80)]);
    const first = await publish(it, it.place, { ipv4: true, ipv6: false });
    const both = await publish(it, record(it.place, first));
    expect(both.map(({ host }) => host)).toEqual([first[0]?.host, first[0]?.host]);
    expect(both[0]).toEqual(first[0]);
  });

  it('of a range is the first free one, in both families', async () => {
    const it = await served([port(80, { host: 8080, hostEnd: 8089 })]);
    await it.host.holdPort({ protocol: 'tcp', address: '::', port: 8080 });
    expect((await publish(it, it.place)).map(({ host }) => host)).toEqual([8081, 8081]);
  });

  it('is only opened in a routed network, and reached by the address of the container', async () => {
    const options = {
      [labels.bridge.gatewayMode.ipv4]: 'routed',
      [labels.bridge.gatewayMode.ipv6]: 'routed',
    };
    const it = await served([port(80, { host: 8080, hostAddress: '192.0.2.1' }), port(443)], { options });
    await it.outside.apply([
      { op: 'addRoute', destination: '10.9.0.0/24', family: 'ipv4', gateway: '192.0.2.1' },
      { op: 'addRoute', destination: 'fd00:9::/64', family: 'ipv6', gateway: '2001:db8::1' },
    ]);
    expect(await ask(it.outside, '10.9.0.2', 80)).not.toBe('web');
    const bindings = await publish(it, it.place);
    expect(bindings.map(({ container, host, hostAddress }) => [container, host, hostAddress])).toEqual([
      [80, 0, '0.0.0.0'],
      [443, 0, '0.0.0.0'],
      [443, 0, '::'],
    ]);
    expect(await ask(it.outside, '10.9.0.2', 80)).toBe('web');
    expect(await ask(it.outside, '192.0.2.1', 8080)).not.toBe('web');
  });

  it('is not there in an internal network', async () => {
    const it = await served([port(80, { host: 8080 })], { internal: true });
    expect(await publish(it, it.place)).toEqual([]);
    expect(await ask(it.outside, '192.0.2.1', 8080)).not.toBe('web');
  });
});

describe('a port that no rule can lead to its container', () => {
  const udp = { protocol: 'udp', host: 8080 } as const;

  it('is handed on from ::1, over tcp and udp, and from nobody else', async () => {
    const it = await served([port(80, { host: 8080 }), port(80, udp)]);
    await greetUdp(it.container, 80, 'web');
    await publish(it, it.place);
    expect(await ask(it.host, '::1', 8080)).toBe('web');
    const client = await udpClient(it.host, '::1');
    expect(await client.ask(8080)).toBe('web');
    client.close();
    const { fromLoopback } =
      proxyTarget(it.place.endpoint, { ...udp, container: 80, hostAddress: '::' }) ?? {};
    expect(fromLoopback).toBe(true);
  });

  it('is handed on from an IPv6 address of the host to a container without, where that is asked for', async () => {
    const wanted = [port(80, { host: 8080, hostAddress: '::' }), port(80, { host: 8081 })];
    const it = await served(wanted, { ipv6: [] });
    const bindings = await publish(it, it.place);
    expect(bindings.map(({ host, hostAddress }) => [host, hostAddress])).toEqual([
      [8080, '::'],
      [8081, '0.0.0.0'],
    ]);
    for (const [from, address] of [
      [it.outside, '2001:db8::1'],
      [it.host, '::1'],
    ] as const)
      expect(await ask(from, address, 8080)).toBe('web');
    await publish(it, record(it.place, bindings), NONE);
    expect(await ask(it.outside, '2001:db8::1', 8080)).toBe('UNAVAILABLE');
    expect(await it.driver.endpointInfo?.(it.place)).toMatchObject({ 'com.docker.network.portmap': [] });
  });

  it('is served again after a restart', async () => {
    const first = await served([port(80, { host: 8080, hostAddress: '::1' })], { ipv6: [] });
    const place = record(first.place, await publish(first, first.place));
    first.osl.kill();
    const next = await bridgeSetting(first.osl.kernel);
    await greet(await next.osl.openNamespace('/run/c1'), '0.0.0.0', 80, 'web again');
    await next.driver.restore({ networks: [first.front], endpoints: [{ ...place, joined: true }] });
    expect(await ask(next.host, '::1', 8080)).toBe('web again');
  });
});

describe('a port that can not be published', () => {
  it.each([
    ['192.0.2.1', { ipv4: [] }],
    ['host', {}],
  ])('for the address %s is refused before anything is made', async (hostAddress, more) => {
    const { driver } = await bridgeSetting();
    const front = network(more);
    await driver.createNetwork(front);
    const place = { network: front, endpoint: endpoint(front, 2, { ports: [port(80, { hostAddress })] }) };
    expect(() => driver.decideEndpoint?.(place)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', field: 'ports[0].hostAddress' }),
    );
  });

  it('because the host has not the address leaves nothing', async () => {
    const it = await served([port(80, { host: 80 }), port(81, { hostAddress: '198.51.100.1' })]);
    const before = it.osl.kernel.dump();
    await expect(publish(it, it.place)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      value: '198.51.100.1',
    });
    expect(it.osl.kernel.dump()).toEqual(before);
  });
});

describe('after a restart', () => {
  it('a recorded port is held again, and another process that wants it is refused', async () => {
    const first = await served([port(80)]);
    const bindings = await publish(first, first.place);
    first.osl.kill();
    const next = await bridgeSetting(first.osl.kernel);
    const place = record(first.place, bindings);
    const state = { networks: [first.front], endpoints: [{ ...place, joined: true }] };
    await next.driver.restore(state);
    const spec = { protocol: 'tcp', address: '0.0.0.0', port: bindings[0]?.host ?? 0 } as const;
    await expect(next.host.holdPort(spec)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await next.driver.reconcile(state)).toEqual({ missing: [], orphaned: [] });
    expect(await publish(next, place)).toEqual(bindings);
    expect(await next.driver.endpointInfo?.(place)).toMatchObject({ 'com.docker.network.portmap': bindings });
  });

  it('a port that somebody else has taken is reported, and led to nobody, until it is free', async () => {
    const first = await served([port(80, { host: 8080, hostAddress: '0.0.0.0' }), port(80, { host: 8081 })]);
    const bindings = await publish(first, first.place);
    first.osl.kill();
    const next = await bridgeSetting(first.osl.kernel);
    const thief = await greet(next.host, '0.0.0.0', 8080, 'thief');
    const state = {
      networks: [first.front],
      endpoints: [{ ...record(first.place, bindings), joined: true }],
    };
    await next.driver.restore(state);
    expect(next.log.filter((line) => line.startsWith('warn'))).toHaveLength(1);
    const report = await next.driver.reconcile(state);
    expect(report.missing).toContain('host port 0.0.0.0:8080/tcp -> 80 of endpoint web2 in network front');
    const outside = await next.osl.openNamespace('/run/neighbour');
    expect(await ask(outside, '192.0.2.1', 8080)).toBe('thief');
    thief.close();
    await next.driver.reconcile(state);
    expect(await next.driver.reconcile(state)).toEqual({ missing: [], orphaned: [] });
    expect(await ask(outside, '192.0.2.1', 8080)).not.toBe('thief');
  });
});

describe('a datagram flow that was begun before a port changed', () => {
  const udp = (container: number): PortRequest => port(container, { protocol: 'udp', host: 5300 });

  it.for(['192.0.2.1', '2001:db8::1'])('by %s goes to whoever has the port now', async (address) => {
    const it = await served([udp(53)]);
    await greetUdp(it.container, 53, 'first');
    await greetUdp(it.host, 5301, 'host');
    const client = await udpClient(it.outside, address);
    const bindings = await publish(it, it.place);
    expect(await client.ask(5300)).toBe('first');
    await publish(it, record(it.place, bindings), NONE);
    expect(await client.ask(5300, 20)).toBe('nobody');
    const second = { network: it.front, endpoint: endpoint(it.front, 3, { ports: [udp(53)] }) };
    await greetUdp(await join(it, second, '/run/c2'), 53, 'second');
    await publish(it, second);
    expect(await client.ask(5300)).toBe('second');
    client.close();
  });

  it('ends when its endpoint leaves', async () => {
    const it = await served([udp(53)]);
    await greetUdp(it.container, 53, 'first');
    const client = await udpClient(it.outside, '192.0.2.1');
    const bindings = await publish(it, it.place);
    expect(await client.ask(5300)).toBe('first');
    await it.driver.leave(record(it.place, bindings));
    expect(await it.host.flushConntrack([{ address: '10.9.0.2' }])).toBe(0);
    client.close();
  });
});
