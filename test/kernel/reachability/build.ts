/** Builds a plan on whatever kernel, by the osl contract alone, with servers that tell who asked them. */
import { expect } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { type ContainerPlan, type Plan, SERVER_PORTS, words } from './plan.ts';

/** Makes a namespace of that name. */
export type Create = (name: string) => Promise<Namespace>;

export async function build(plan: Plan, create: Create): Promise<ReadonlyMap<string, Namespace>> {
  const places = new Map<string, Namespace>();
  for (const name of ['host', 'outside', ...plan.containers.map((container) => container.name)]) {
    const namespace = await create(name);
    for (const scope of ['all', 'default'])
      await namespace.setSysctl(`net/ipv6/conf/${scope}/accept_dad`, '0');
    places.set(name, namespace);
  }
  const host = need(places, 'host');
  const { address, length } = words[plan.family];
  for (const { bridge, number } of plan.networks) {
    await host.apply([
      { op: 'createLink', name: bridge, link: { kind: 'bridge' }, up: true },
      { op: 'addAddress', link: bridge, address: `${address(number, 1)}/${length}`, noDad: true },
    ]);
  }
  for (const container of plan.containers) await connect(plan, host, need(places, container.name), container);
  await leadOut(plan, host, need(places, 'outside'));
  for (const [key, value] of plan.settings) await host.setSysctl(key, value);
  if (plan.intents.length > 0) {
    const firewall = await host.firewall({ engine: 'nftables', table: 'libnetwork-reach' });
    await firewall.sync(plan.intents);
    await firewall.close();
  }
  for (const [name, namespace] of places) await serve(plan, name, namespace);
  for (const namespace of places.values()) await settle(plan, namespace);
  return places;
}

export function need(places: ReadonlyMap<string, Namespace>, name: string): Namespace {
  const place = places.get(name);
  if (place === undefined) throw new RangeError(`no namespace ${name}`);
  return place;
}

async function connect(
  plan: Plan,
  host: Namespace,
  inside: Namespace,
  { name, on, hairpin }: ContainerPlan,
): Promise<void> {
  const { address, length } = words[plan.family];
  for (const [i, { network, number }] of on.entries()) {
    const outer = `v${name}-${i}`;
    await host.apply([
      {
        op: 'createLink',
        name: outer,
        link: { kind: 'veth', peer: { name: `eth${i}`, namespace: inside } },
        master: `br${network}`,
        up: true,
      },
      { op: 'setLink', name: outer, hairpin },
    ]);
    await inside.apply([
      { op: 'addAddress', link: `eth${i}`, address: `${address(network, number)}/${length}`, noDad: true },
      { op: 'setLink', name: `eth${i}`, up: true },
    ]);
    if (i === 0)
      await inside.apply([
        { op: 'addRoute', family: plan.family, destination: 'default', gateway: address(network, 1) },
      ]);
  }
}

async function leadOut(plan: Plan, host: Namespace, outside: Namespace): Promise<void> {
  const { length, host: own, outside: other } = words[plan.family];
  await host.apply([
    {
      op: 'createLink',
      name: 'uplink',
      link: { kind: 'veth', peer: { name: 'eth0', namespace: outside } },
      up: true,
    },
    { op: 'addAddress', link: 'uplink', address: `${own}/${length}`, noDad: true },
  ]);
  await outside.apply([
    { op: 'addAddress', link: 'eth0', address: `${other}/${length}`, noDad: true },
    { op: 'setLink', name: 'eth0', up: true },
  ]);
  if (plan.routedOutside)
    await outside.apply([{ op: 'addRoute', family: plan.family, destination: 'default', gateway: own }]);
}

/** Every server answers with its place and the address that it was asked from. */
async function serve(plan: Plan, name: string, namespace: Namespace): Promise<void> {
  const { any } = words[plan.family];
  for (const port of SERVER_PORTS) {
    const socket = await namespace.bindUdp(any, port);
    socket.onMessage((_data, from) => socket.send(Buffer.from(`${name} hears ${from.address}`), from));
    await namespace.listenTcp(any, port, (stream) => void stream.end(name));
  }
}

/** Waits until every link carries packets. */
async function settle(plan: Plan, namespace: Namespace): Promise<void> {
  const ready = async (): Promise<boolean> => {
    const links = (await namespace.links()).filter((link) => link.kind !== 'loopback');
    const used = links.filter(
      (link) => link.kind !== 'bridge' || links.some((port) => port.master === link.name),
    );
    const addresses = await namespace.addresses();
    const askable = (name: string): boolean =>
      plan.family === 'ipv4' || addresses.some((a) => a.link === name && a.scope === 'link');
    return used.every((link) => link.running && (link.master !== undefined || askable(link.name)));
  };
  await expect.poll(ready, { timeout: 10_000, interval: 10 }).toBe(true);
}
