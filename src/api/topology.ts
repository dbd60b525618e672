/** All that the page draws, in one answer: what there is, and which way out each network has. */
import { hostname } from 'node:os';
import type { Endpoint, Intent, Network, Sandbox } from '../index.ts';
import type { EndpointPlace, NetworkPlace, SandboxPlace, Stack, Topology, Way } from '../page/topology.ts';
import type { ApiContext } from './context.ts';

export function topologyOf({ controller, about }: ApiContext): Topology {
  const networks = controller.networks();
  const ways = networkWays(controller.firewall.intents());
  return {
    host: {
      name: hostname(),
      version: about.version,
      kernel: about.kernel,
      instance: controller.instance,
      firewall: controller.firewall.engine,
      startedAt: about.startedAt.toISOString(),
    },
    networks: networks.map((network) => networkPlace(network, ways.get(network.id))),
    sandboxes: controller.sandboxes().map(sandboxPlace),
    endpoints: networks.flatMap((network) => network.endpoints().map(endpointPlace)),
  };
}

/** What the kernel shows of one sandbox. */
export async function stackOf(sandbox: Sandbox): Promise<Stack> {
  const [interfaces, routes, dns] = await Promise.all([
    sandbox.statistics(),
    sandbox.routes(),
    sandbox.dnsCounters(),
  ]);
  return { interfaces, routes, dns: dns && { ...dns } };
}

type Bridged = Extract<Intent, { kind: 'network' }>;

/** The rules tell how a bridge's packets leave, by the network's id. */
function networkWays(intents: readonly Intent[]): Map<string, Bridged> {
  return new Map(intents.flatMap((intent) => (intent.kind === 'network' ? [[intent.id, intent]] : [])));
}

function networkPlace(network: Network, bridged: Bridged | undefined): NetworkPlace {
  const { options } = network;
  const parent = options.parent;
  return {
    id: network.id,
    name: network.name,
    driver: network.driver,
    scope: network.scope,
    internal: network.internal,
    configOnly: network.configOnly,
    pools: network.ipam.pools.map(({ subnet, gateway }) => ({ subnet, gateway })),
    link: bridged?.bridge ?? (typeof parent === 'string' ? parent : undefined),
    ways: {
      ipv4: network.ipv4 ? wayOf(network, bridged, 'ipv4') : undefined,
      ipv6: network.ipv6 ? wayOf(network, bridged, 'ipv6') : undefined,
    },
    labels: network.labels,
    options,
    createdAt: network.createdAt.toISOString(),
  };
}

/** Of drivers without rules of ours. */
const WAYS: Readonly<Record<string, Way>> = {
  host: 'host',
  null: 'none',
  macvlan: 'wire',
  ipvlan: 'wire',
  overlay: 'tunnel',
};

function wayOf({ driver, internal }: Network, bridged: Bridged | undefined, family: 'ipv4' | 'ipv6'): Way {
  if (internal) return driver === 'overlay' ? 'tunnel' : 'none';
  if (bridged === undefined) return WAYS[driver] ?? 'driver';
  const rules = bridged[family];
  if (rules === undefined || rules.mode === 'isolated') return 'none';
  return rules.masquerade === false || rules.mode === 'routed' ? 'routed' : 'nat';
}

function sandboxPlace(sandbox: Sandbox): SandboxPlace {
  return {
    id: sandbox.id,
    containerId: sandbox.containerId,
    hostname: sandbox.hostname,
    namespacePath: sandbox.namespacePath,
    endpoints: sandbox.endpoints().map(({ id }) => id),
  };
}

function endpointPlace(endpoint: Endpoint): EndpointPlace {
  return {
    id: endpoint.id,
    name: endpoint.name,
    networkId: endpoint.networkId,
    sandboxId: endpoint.sandboxId,
    host: endpoint.host,
    ipv4: endpoint.ipv4,
    ipv6: endpoint.ipv6,
    macAddress: endpoint.macAddress,
    interfaceName: endpoint.interfaceName,
    aliases: endpoint.aliases,
    linkLocal: endpoint.linkLocal,
    ports: endpoint.ports,
    service: endpoint.service,
  };
}
