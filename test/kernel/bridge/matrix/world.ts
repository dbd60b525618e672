/** The matrix's world, built on any kernel: on the real one in namespaces of its own, or in memory. */
import type { Driver, EndpointPlace, PortBinding } from '../../../../src/driverapi/driver.ts';
import { builtinDrivers } from '../../../../src/drivers/index.ts';
import { FAMILIES } from '../../../../src/ip.ts';
import { createIdm } from '../../../../src/ipam/idm.ts';
import type { FirewallEngine } from '../../../../src/osl/firewall/firewall.ts';
import type { Change, Namespace, Osl } from '../../../../src/osl/osl.ts';
import { silent } from '../../../../src/testing/driver-fixtures.ts';
import { endpoint, greet, join, network } from '../../../unit/drivers/setting.ts';
import {
  addressIn,
  NEIGHBOUR,
  NETWORKS,
  type NetworkPlan,
  OPEN,
  publishedPorts,
  REMOTE,
  SERVICE,
  SHUT,
  SPARE,
  subnet,
  UPLINK,
} from './places.ts';

export interface World {
  readonly host: Namespace;
  /** By the names of `ROWS`. */
  readonly namespaces: ReadonlyMap<string, Namespace>;
  /** Takes every endpoint and network away again. */
  tearDown(): Promise<void>;
}

export interface WorldOptions {
  readonly osl: Osl;
  readonly engine: FirewallEngine;
  /** The path of a namespace. */
  path(name: string): string;
}

/** The host and what is around it, without any container. */
export async function buildSurroundings({ osl, path }: WorldOptions): Promise<Map<string, Namespace>> {
  const { host } = osl;
  const neighbour = await osl.createNamespace(path('neighbour'));
  const remote = await osl.createNamespace(path('remote'));
  await host.apply([
    { op: 'setLink', name: 'lo', up: true },
    {
      op: 'createLink',
      name: 'uplink',
      link: { kind: 'veth', peer: { name: 'lan', namespace: neighbour } },
      up: true,
    },
  ]);
  await neighbour.apply([
    {
      op: 'createLink',
      name: 'wan',
      link: { kind: 'veth', peer: { name: 'uplink', namespace: remote } },
      up: true,
    },
    { op: 'setLink', name: 'lan', up: true },
  ]);
  await remote.apply([{ op: 'setLink', name: 'uplink', up: true }]);
  await neighbour.setSysctl('net/ipv4/ip_forward', '1');
  await neighbour.setSysctl('net/ipv6/conf/all/forwarding', '1');
  for (const family of FAMILIES) {
    const length = family === 'ipv4' ? 24 : 64;
    const near = REMOTE[family].replace(/2$/, '1');
    const address = (link: string, at: string): Change => ({
      op: 'addAddress',
      link,
      address: `${at}/${length}`,
      noDad: true,
    });
    await host.apply([
      address('uplink', UPLINK[family]),
      address('uplink', SPARE[family]),
      { op: 'addRoute', destination: 'default', family, gateway: NEIGHBOUR[family] },
    ]);
    await neighbour.apply([address('lan', NEIGHBOUR[family]), address('wan', near)]);
    await remote.apply([
      address('uplink', REMOTE[family]),
      { op: 'addRoute', destination: 'default', family, gateway: near },
    ]);
    // A neighbour that wants to get at containers directly: it knows the way.
    await neighbour.apply(
      NETWORKS.map((plan) => ({
        op: 'addRoute',
        destination: subnet(plan, family),
        family,
        gateway: UPLINK[family],
      })),
    );
  }
  const namespaces = new Map([
    ['host', host],
    ['neighbour', neighbour],
    ['remote', remote],
  ]);
  for (const [name, namespace] of namespaces) await serve(namespace, name, [SERVICE]);
  return namespaces;
}

/** Every network and container, published and serving. @throws NOT_IMPLEMENTED where the engine is not to be had */
export async function buildNetworks(
  options: WorldOptions,
  surroundings: ReadonlyMap<string, Namespace>,
): Promise<World> {
  const { osl, engine } = options;
  const firewall = await osl.host.firewall({ engine, table: 'libnetwork-matrix' });
  const make = builtinDrivers.bridge;
  if (make === undefined) throw new Error('there is no bridge driver');
  const driver = await make({
    osl,
    firewall,
    instance: 'matrix',
    runDir: '/run',
    numbers: createIdm,
    logger: silent,
  });
  await driver.restore({ networks: [], endpoints: [] });
  const namespaces = new Map(surroundings);
  const undo: (() => Promise<void>)[] = [];
  for (const plan of NETWORKS) undo.push(await addNetwork(options, driver, plan, namespaces));
  return {
    host: osl.host,
    namespaces,
    async tearDown() {
      for (const each of undo.reverse()) await each();
      await driver.close?.();
      await firewall.close();
    },
  };
}

async function addNetwork(
  { osl, path }: WorldOptions,
  driver: Driver,
  plan: NetworkPlan,
  namespaces: Map<string, Namespace>,
): Promise<() => Promise<void>> {
  const isolated = Object.values(plan.options ?? {}).includes('isolated');
  const pools = (family: 'ipv4' | 'ipv6') => {
    if (!plan.families.includes(family)) return [];
    const length = family === 'ipv4' ? 24 : 64;
    const gateway = isolated ? undefined : `${addressIn(plan, family, 1)}/${length}`;
    return [{ subnet: subnet(plan, family), gateway, auxAddresses: {} }];
  };
  const { name, internal = false, options = {}, policy = [] } = plan;
  const made = network({ name, internal, options, policy, ipv4: pools('ipv4'), ipv6: pools('ipv6') });
  await driver.createNetwork(made);
  const places: EndpointPlace[] = [];
  for (const [i, [container, publications]] of Object.entries(plan.containers).entries()) {
    const ports = publishedPorts(publications);
    const place = { network: made, endpoint: endpoint(made, i + 2, { name: container, ports }) };
    const namespace = await join({ driver, osl }, place, path(container));
    if (internal && !isolated) await breakOut(namespace, plan);
    await serve(namespace, container, [OPEN, SHUT]);
    namespaces.set(container, namespace);
    const bindings: readonly PortBinding[] =
      (await driver.publish?.(place, { ipv4: true, ipv6: true })) ?? [];
    places.push({ ...place, endpoint: { ...place.endpoint, bindings } });
  }
  return async () => {
    for (const place of places) await driver.leave(place);
    await driver.deleteNetwork(made);
  };
}

/** A container of an internal network gets no default route; one that wants out makes its own. */
async function breakOut(namespace: Namespace, plan: NetworkPlan): Promise<void> {
  await namespace.apply(
    plan.families.map((family) => ({
      op: 'addRoute',
      destination: 'default',
      family,
      gateway: addressIn(plan, family, 1),
      link: 'eth0',
    })),
  );
}

/** Says its name to whoever asks, over tcp and udp in both families. */
async function serve(namespace: Namespace, name: string, ports: readonly number[]): Promise<void> {
  for (const address of ['0.0.0.0', '::'])
    for (const port of ports) {
      await greet(namespace, address, port, name);
      const socket = await namespace.bindUdp(address, port);
      socket.onMessage((_, from) => socket.send(Buffer.from(name), from));
    }
}
