import { expect } from 'vitest';
import { ifbName } from '../../../src/drivers/bridge/limits.ts';
import { bridgeName, vethName } from '../../../src/ids.ts';
import type { Inspection, NetworkController } from '../../../src/index.ts';
import { backendNames } from '../../../src/services/names.ts';
import type { World } from './world.ts';

/** What a machine must look like, by the records alone. */
interface Expected {
  readonly links: readonly string[];
  readonly ports: readonly string[];
  readonly namespaces: readonly string[];
  readonly insides: Readonly<Record<string, { links: readonly string[]; addresses: readonly string[] }>>;
  readonly keys: readonly string[];
  /** Endpoint, its addresses, and the names it answers to. */
  readonly names: readonly string[];
}

/** A controller with its share of the machine. */
export interface Share {
  readonly world: World;
  readonly controller: NetworkController;
}

/**
 * Records, links, namespaces, addresses, ports, names and rules are exactly what the records of all controllers on the
 * machine say, and no operation is half done. Nothing may be under way.
 */
export async function checkInvariants(shares: readonly Share[], context: string): Promise<void> {
  for (const share of shares) await checkRest(share, context);
  const states = shares.map(({ controller }) => controller.inspect());
  const [first] = states;
  const [share] = shares;
  if (!first || !share) return;
  const state: Inspection = {
    ...first,
    networks: states.flatMap(({ networks }) => networks),
    endpoints: states.flatMap(({ endpoints }) => endpoints),
    sandboxes: states.flatMap(({ sandboxes }) => sandboxes),
    names: states.flatMap(({ names }) => names),
  };
  const keys = (await Promise.all(shares.map(({ world }) => world.keys()))).flat();
  expect(actualOf(share.world, state, keys), context).toEqual(expectedOf(state));
}

/** What one controller knows by itself. */
async function checkRest({ world, controller }: Share, context: string): Promise<void> {
  const report = await controller.reconcile({ dryRun: true });
  const told = world.complaints.slice(-3).join('; ');
  expect(report, `${context}: nothing to repair, last told: ${told}`).toEqual({
    missing: [],
    orphaned: [],
    repaired: [],
  });
  const state = controller.inspect();
  const states = [...state.networks, ...state.sandboxes, ...state.endpoints].map((record) => record.state);
  expect(
    states.filter((each) => each !== 'ready' && each !== 'joined'),
    `${context}: half-done records`,
  ).toEqual([]);
  const holders = [...state.endpoints, ...servicesOf(state.endpoints)];
  const addresses = holders.flatMap(({ ipv4, ipv6, networkId }) =>
    [ipv4, ipv6].flatMap((held) => (held ? [`${networkId} ${held.address}`] : [])),
  );
  expect(new Set(addresses).size, `${context}: addresses are given once`).toBe(addresses.length);
}

function expectedOf(state: Inspection): Expected {
  const live = state.endpoints.filter(({ join }) => join && !join.pending);
  const opened = state.sandboxes.filter(({ open }) => open.namespace);
  return {
    links: [
      ...state.networks.map(({ id }) => bridgeName(id)),
      ...live.flatMap(({ id, limits }) =>
        limits?.egress === undefined ? [vethName(id)] : [vethName(id), ifbName(id)],
      ),
    ].sort(),
    ports: live
      .flatMap(({ join }) => join?.bindings ?? [])
      .map(({ protocol, hostAddress, host }) => {
        const ipv6 = hostAddress.includes(':');
        const address = hostAddress === '::' || hostAddress === '0.0.0.0' ? '*' : hostAddress;
        return `${protocol} ${ipv6 ? 'ipv6' : 'ipv4'} ${address} ${host}`;
      })
      .sort(),
    namespaces: opened
      .flatMap(({ namespace }) => ('path' in namespace && namespace.path ? [namespace.path] : []))
      .sort(),
    insides: Object.fromEntries(
      opened.map(({ id, namespace }) => {
        const inside = live.filter(({ join }) => join?.sandboxId === id);
        const path = 'path' in namespace ? (namespace.path ?? '') : '';
        const links = ['lo', ...inside.map(({ join }) => join?.interfaceName ?? '')].sort();
        const addresses = inside
          .flatMap(({ join, ipv4, ipv6 }) =>
            [ipv4, ipv6].flatMap((held) => (held ? [`${join?.interfaceName} ${held.address}`] : [])),
          )
          .sort();
        return [path, { links, addresses }];
      }),
    ),
    names: [...live.map((record) => namesOf(record, state)), ...virtualNames(live)].sort(),
    keys: [
      ...state.networks.map(({ id }) => `network/${id}/`),
      ...state.sandboxes.map(({ id }) => `sandbox/${id}/`),
      ...state.endpoints.map(({ id, networkId }) => `endpoint/${networkId}/${id}/`),
      ...servicesOf(state.endpoints).map(({ name, networkId }) => `service/${networkId}/${name}/`),
    ].sort(),
  };
}

/** What an endpoint's record and its sandbox's say it is called. */
function namesOf(
  { id, name, aliases, join, ipv4, ipv6, networkId, service }: Recorded,
  state: Inspection,
): string {
  const box = state.sandboxes.find((sandbox) => sandbox.id === join?.sandboxId);
  const network = state.networks.find((each) => each.id === networkId);
  const sandboxNames = [...(join?.aliases ?? []), box?.containerId.slice(0, 12), box?.hostname];
  const own = [name, ...aliases, ...sandboxNames, ...backendNames(service)];
  // The way out that is made by itself has no names.
  const names = network?.name === 'docker_gwbridge' ? [] : own.filter((each) => each !== undefined);
  return told(id, ipv4?.address, ipv6?.address, names);
}

/** The services that endpoints belong to, each once, with their virtual addresses. */
function servicesOf(endpoints: readonly Recorded[]) {
  const all = endpoints.flatMap(({ networkId, service }) => (service ? [{ networkId, ...service }] : []));
  return all.filter(
    (one, i) => i === all.findIndex((it) => it.networkId === one.networkId && it.name === one.name),
  );
}

/** The virtual addresses of services with a live endpoint are known by their names. */
function virtualNames(live: readonly Recorded[]): string[] {
  const vips = servicesOf(live.filter(({ service }) => service?.enabled)).filter(
    ({ mode }) => mode === 'vip',
  );
  return vips.map(({ networkId, name, ipv4, ipv6 }) => {
    const id = ['service', networkId, name, ipv4?.address ?? '-', ipv6?.address ?? '-'].join(' ');
    return told(id, ipv4?.address, ipv6?.address, [name]);
  });
}

type Recorded = Inspection['endpoints'][number];

function told(id: string, ipv4: string | undefined, ipv6: string | undefined, names: readonly string[]) {
  return `${id} ${ipv4} ${ipv6} ${[...new Set(names)].sort().join(',')}`;
}

function actualOf(world: World, state: Inspection, stored: readonly string[]): Expected {
  const { namespaces } = world.kernel.dump();
  const { host, ...others } = namespaces;
  const named = (lines: readonly string[]) => lines.map((line) => line.split(' ', 1)[0] ?? '').sort();
  // What a runtime made is its own, with or without a key.
  const ours = Object.entries(others).filter(
    ([path]) =>
      !path.includes('/runtime/') ||
      state.sandboxes.some((box) => 'path' in box.namespace && box.namespace.path === path),
  );
  return {
    links: named(host?.links ?? []).filter((name) => name !== 'lo'),
    ports: [...(host?.sockets ?? [])].sort(),
    namespaces: ours.map(([path]) => path).sort(),
    insides: Object.fromEntries(
      ours.map(([path, { links, addresses }]) => [
        path,
        { links: named(links), addresses: addresses.filter((line) => !line.startsWith('lo ')).sort() },
      ]),
    ),
    names: state.names.map(({ id, ipv4, ipv6, names }) => told(id, ipv4, ipv6, names)).sort(),
    keys: stored
      .filter((key) => !key.includes('/ipam/'))
      .map((key) => key.replace('docker/network/v1.0/', ''))
      .sort(),
  };
}
