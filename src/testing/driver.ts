import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EndpointPlace } from '../driverapi/driver.ts';
import { crashPromises } from './driver-crash.ts';
import {
  BOTH_FAMILIES,
  type DriverDeviation,
  type DriverSubject,
  endpointOf,
  joinAs,
  leaveAs,
  makeEndpoint,
  NO_FAMILY,
  networkOf,
  ownWays,
  port,
  type Running,
  start,
  stop,
} from './driver-fixtures.ts';

export type { DriverDeviation, DriverSubject, DriverWorld, OpenWorld } from './driver-fixtures.ts';

/** The promises of `Driver`, as tests. Call it at the top of a vitest file. */
export function driverContract(subject: DriverSubject): void {
  const deviates = (deviation: DriverDeviation) => subject.deviations?.includes(deviation) ?? false;

  describe(`driver contract: ${subject.name}`, () => {
    let running: Running;
    beforeEach(async () => {
      running = await start(subject);
    });
    afterEach(() => stop(running));
    const current = () => running;

    describe('networks', () => networkPromises(subject, current));
    describe.skipIf(deviates('single-network'))('several networks', () => severalNetworks(subject, current));
    describe.runIf(deviates('single-network'))('one network', () => oneNetwork(subject, current));
    describe('endpoints', () => endpointPromises(subject, current));
    describe.skipIf(deviates('no-ports'))('published ports', () => portPromises(subject, current, deviates));
    describe('after a restart', () => {
      restartPromises(subject);
      it.skipIf(deviates('no-repair'))('removes what no record names, and only reports it in a dry run', () =>
        removesOrphans(subject, current()),
      );
    });
    describe.skipIf(deviates('no-faults'))('after a failure or crash at any step', () =>
      crashPromises(subject, !deviates('no-ports')),
    );
  });
}

type Current = () => Running;

function networkPromises(subject: DriverSubject, now: Current): void {
  it('leaves nothing behind when a network is deleted', async () => {
    await warmUp(subject, now());
    const before = await now().world.dump();
    const network = networkOf(subject);
    await now().driver.validateNetwork?.(network);
    await now().driver.createNetwork(network);
    await now().driver.deleteNetwork(network);
    expect(await now().world.dump()).toEqual(before);
  });

  it('takes a second creation, and a second deletion, of one network as done', async () => {
    const network = networkOf(subject);
    await now().driver.createNetwork(network);
    const made = await now().world.dump();
    await now().driver.createNetwork(network);
    expect(await now().world.dump()).toEqual(made);
    await now().driver.deleteNetwork(network);
    await now().driver.deleteNetwork(network);
  });

  it('makes nothing when it validates', async () => {
    const before = await now().world.dump();
    await now().driver.validateNetwork?.(networkOf(subject));
    expect(await now().world.dump()).toEqual(before);
  });

  it('creates nothing for a caller whose signal has fired', async () => {
    const { usesIpam } = now().driver.capability;
    if (!usesIpam) return;
    const before = await now().world.dump();
    const signal = AbortSignal.abort();
    await expect(now().driver.createNetwork(networkOf(subject), { signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    expect(await now().world.dump()).toEqual(before);
  });
}

function severalNetworks(subject: DriverSubject, now: Current): void {
  it('deletes one of several and leaves the others as they are', async () => {
    const [first, second] = [networkOf(subject, 1), networkOf(subject, 2)];
    await now().driver.createNetwork(first);
    const before = await now().world.dump();
    await now().driver.createNetwork(second);
    await now().driver.deleteNetwork(second);
    expect(await now().world.dump()).toEqual(before);
  });

  it('creates several at once', async () => {
    const networks = [1, 2, 3, 4, 5].map((n) => networkOf(subject, n));
    await Promise.all(networks.map((network) => now().driver.createNetwork(network)));
    const report = await now().driver.reconcile({ networks, endpoints: [] }, { dryRun: true });
    expect(report).toEqual({ missing: [], orphaned: [] });
  });
}

function oneNetwork(subject: DriverSubject, now: Current): void {
  it('refuses a second network, and takes one again once the first is deleted', async () => {
    const [first, second] = [networkOf(subject, 1), networkOf(subject, 2)];
    await now().driver.createNetwork(first);
    await expect(now().driver.createNetwork(second)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await now().driver.deleteNetwork(first);
    await now().driver.createNetwork(second);
  });
}

async function setUp(
  subject: DriverSubject,
  now: Running,
  more: Parameters<typeof endpointOf>[2] = {},
): Promise<EndpointPlace> {
  const network = networkOf(subject);
  await now.driver.createNetwork(network);
  const endpoint = endpointOf(network, 2, { ...ownWays(subject), ...more });
  const decision = await makeEndpoint(now.driver, { network, endpoint });
  return { network, endpoint: { ...endpoint, macAddress: decision.macAddress ?? endpoint.macAddress } };
}

/** What a driver changes once for all on a host, such as forwarding, is not what the tests compare. */
async function warmUp(subject: DriverSubject, { driver }: Running): Promise<void> {
  const network = networkOf(subject, 99);
  await driver.createNetwork(network);
  await driver.deleteNetwork(network);
}

function endpointPromises(subject: DriverSubject, now: Current): void {
  it('decides on a MAC address where none is given, if its endpoints have any', async () => {
    const { endpoint } = await setUp(subject, now(), { macAddress: undefined });
    const has = now().driver.capability.usesIpam && !subject.deviations?.includes('no-mac');
    if (has) expect(endpoint.macAddress).toMatch(/^.[26ae](:[0-9a-f]{2}){5}$/);
    else expect(endpoint.macAddress).toBeUndefined();
  });

  it('gives the sandbox the interface that it says it gives', async () => {
    const place = await setUp(subject, now());
    const { link } = await joinAs(now(), place, 'c1', 'net7');
    const inSandbox = await (await now().world.sandbox('c1')).link('net7');
    if (link.kind === 'in-place') {
      const { macAddress } = place.endpoint;
      expect(inSandbox).toMatchObject({ name: 'net7', up: false, ...(macAddress && { macAddress }) });
    } else {
      expect(inSandbox).toBeUndefined();
      if (link.kind === 'move') expect(await now().world.osl.host.link(link.sourceName)).toBeDefined();
    }
  });

  it('takes a second join of one endpoint as done', async () => {
    const place = await setUp(subject, now());
    const first = await joinAs(now(), place, 'c1');
    const joined = await now().world.dump();
    expect(await joinAs(now(), place, 'c1')).toEqual(first);
    expect(await now().world.dump()).toEqual(joined);
  });

  it('leaves nothing behind when an endpoint leaves, however often, and is deleted', async () => {
    await now().world.sandbox('c1');
    const place = await setUp(subject, now());
    const before = await now().world.dump();
    await joinAs(now(), place, 'c1');
    await leaveAs(now(), place, 'c1');
    await leaveAs(now(), place, 'c1');
    await now().driver.deleteEndpoint?.(place);
    await now().driver.deleteEndpoint?.(place);
    expect(await now().world.dump()).toEqual(before);
  });

  it('leaves a sandbox that is gone already', async () => {
    const place = await setUp(subject, now());
    const before = await now().world.dump();
    await joinAs(now(), place, 'c1');
    await now().world.endSandbox('c1');
    await now().driver.leave(place);
    expect(await now().world.dump()).toEqual(before);
  });

  it('tells the gateways of the next hop only in families that the network has', async () => {
    const network = networkOf(subject, 1, { ipv6: [] });
    await now().driver.createNetwork(network);
    const place = { network, endpoint: endpointOf(network, 2, ownWays(subject)) };
    await makeEndpoint(now().driver, place);
    const { gateway6 } = await joinAs(now(), place, 'c1');
    expect(gateway6).toBeUndefined();
  });
}

function portPromises(
  subject: DriverSubject,
  now: Current,
  deviates: (deviation: DriverDeviation) => boolean,
): void {
  const publish = (place: EndpointPlace, families = BOTH_FAMILIES) => now().driver.publish?.(place, families);

  it('publishes a certain port on every address of both families', async () => {
    const place = await setUp(subject, now(), { ports: [port(80, { host: 8080 })] });
    await joinAs(now(), place, 'c1');
    expect(await publish(place)).toEqual([
      { protocol: 'tcp', container: 80, host: 8080, hostAddress: '0.0.0.0' },
      { protocol: 'tcp', container: 80, host: 8080, hostAddress: '::' },
    ]);
    const taken = now().world.osl.host.holdPort({ protocol: 'tcp', address: '0.0.0.0', port: 8080 });
    await expect(taken).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('leaves nothing behind when everything is unpublished', async () => {
    const place = await setUp(subject, now(), {
      ports: [port(80, { host: 8080 }), port(53, { protocol: 'udp' })],
    });
    await joinAs(now(), place, 'c1');
    const before = await now().world.dump();
    const bindings = (await publish(place)) ?? [];
    expect(await now().world.dump()).not.toEqual(before);
    expect(await publish({ ...place, endpoint: { ...place.endpoint, bindings } }, NO_FAMILY)).toEqual([]);
    expect(await now().world.dump()).toEqual(before);
  });

  it('names the holder of a port that is taken, and publishes nothing', async () => {
    const place = await setUp(subject, now(), { ports: [port(80, { host: 8080 })] });
    await joinAs(now(), place, 'c1');
    await publish(place);
    const other = endpointOf(place.network, 3, {
      ports: [port(81, { host: 8081 }), port(80, { host: 8080 })],
    });
    await makeEndpoint(now().driver, { ...place, endpoint: other });
    await joinAs(now(), { ...place, endpoint: other }, 'c2');
    const before = await now().world.dump();
    await expect(publish({ ...place, endpoint: other })).rejects.toMatchObject({
      code: 'CONFLICT',
      holder: expect.stringContaining(
        deviates('no-names') ? place.endpoint.id.slice(0, 12) : 'ep2',
      ) as string,
    });
    expect(await now().world.dump()).toEqual(before);
  });

  it('gives free ports, one for both families, and keeps them when asked again', async () => {
    const place = await setUp(subject, now(), { ports: [port(80)] });
    await joinAs(now(), place, 'c1');
    const bindings = (await publish(place)) ?? [];
    expect(bindings).toHaveLength(2);
    expect(new Set(bindings.map((binding) => binding.host)).size).toBe(1);
    const again = { ...place, endpoint: { ...place.endpoint, bindings } };
    expect(await publish(again)).toEqual(bindings);
    if (!deviates('all-families'))
      expect(await publish(again, { ipv4: true, ipv6: false })).toEqual(bindings.slice(0, 1));
    expect(await publish(again)).toEqual(bindings);
  });
}

function restartPromises(subject: DriverSubject): void {
  it('takes up what the records say: nothing is missing, nothing orphaned, and all of it can be deleted', async () => {
    const first = await start(subject);
    await warmUp(subject, first);
    await first.world.sandbox('c1');
    const before = await first.world.dump();
    const place = await setUp(subject, first, { ports: [port(80, { host: 8080 })] });
    await joinAs(first, place, 'c1');
    const bindings = (await first.driver.publish?.(place, BOTH_FAMILIES)) ?? [];
    const recorded = { ...place, endpoint: { ...place.endpoint, bindings } };
    const state = { networks: [place.network], endpoints: [{ ...recorded, joined: true }] };
    await stop(first);

    const second = await start(subject, { after: first.world }, state);
    const report = await second.driver.reconcile(state, { dryRun: true });
    expect(report).toEqual({ missing: [], orphaned: [] });
    expect(await second.driver.reconcile(state)).toEqual(report);
    await leaveAs(second, recorded, 'c1');
    await second.driver.deleteEndpoint?.(recorded);
    await second.driver.deleteNetwork(place.network);
    await second.driver.close?.();
    await second.world.sandbox('c1');
    expect(await second.world.dump()).toEqual(before);
    await second.world.close();
  });
}

async function removesOrphans(subject: DriverSubject, now: Running): Promise<void> {
  await warmUp(subject, now);
  await now.world.sandbox('c1');
  await now.driver.reconcile({ networks: [], endpoints: [] });
  const before = await now.world.dump();
  const place = await setUp(subject, now);
  await joinAs(now, place, 'c1');
  const leftBehind = await now.world.dump();

  const next = await start(subject, { after: now.world });
  const empty = { networks: [], endpoints: [] };
  const report = await next.driver.reconcile(empty, { dryRun: true });
  expect(await now.world.dump()).toEqual(leftBehind);
  expect(await next.driver.reconcile(empty)).toEqual(report);
  expect(await now.world.dump()).toEqual(before);
  expect(await next.driver.reconcile(empty)).toEqual({ missing: [], orphaned: [] });
  await next.world.close();
}
