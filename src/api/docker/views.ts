/** Networks as Docker shows them. */
import type { IncomingMessage } from 'node:http';
import type { Endpoint, Network, NetworkPool } from '../../index.ts';
import type { ApiContext } from '../context.ts';
import { isAtLeast } from '../versioning.ts';

export interface ContainerView {
  readonly Name: string;
  readonly EndpointID: string;
  readonly MacAddress: string;
  readonly IPv4Address: string;
  readonly IPv6Address: string;
}

/** A network as lists have it; the fields stand in Docker's order, since its client prints what it gets. */
export function summaryOf(request: IncomingMessage, network: Network): Record<string, unknown> {
  const { ipam } = network;
  return {
    Name: network.name,
    Id: network.id,
    Created: network.createdAt.toISOString(),
    Scope: network.scope,
    Driver: network.configOnly ? '' : network.driver,
    ...(isAtLeast(request, '1.48') ? { EnableIPv4: network.ipv4 } : {}),
    EnableIPv6: network.ipv6,
    IPAM: { Driver: ipam.driver, Options: ipam.options, Config: ipam.pools.map(poolView) },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: network.ingress,
    ConfigFrom: { Network: network.configFrom ?? '' },
    ConfigOnly: network.configOnly,
    Containers: {},
    Options: textsOf(network.options),
    Labels: network.labels,
  };
}

/** A network with what is in it. */
export function inspectionOf(
  context: ApiContext,
  request: IncomingMessage,
  network: Network,
): Record<string, unknown> {
  const containers = network.endpoints().map((endpoint) => containerEntry(context, endpoint));
  return { ...summaryOf(request, network), Containers: Object.fromEntries(containers) };
}

function poolView({ subnet, ipRange, gateway, auxAddresses }: NetworkPool): object {
  const hasAux = Object.keys(auxAddresses).length > 0;
  return {
    Subnet: subnet,
    ...(ipRange === undefined ? {} : { IPRange: ipRange }),
    ...(gateway === undefined ? {} : { Gateway: gateway }),
    ...(hasAux ? { AuxiliaryAddresses: auxAddresses } : {}),
  };
}

/** By the container's id; an endpoint that nobody has joined by its own. */
function containerEntry({ controller }: ApiContext, endpoint: Endpoint): [string, ContainerView] {
  const { sandboxId } = endpoint;
  const sandbox = sandboxId === undefined ? undefined : controller.sandbox(sandboxId);
  return [
    sandbox?.containerId ?? `ep-${endpoint.id}`,
    {
      Name: endpoint.name,
      EndpointID: endpoint.id,
      MacAddress: endpoint.macAddress ?? '',
      IPv4Address: endpoint.ipv4 ?? '',
      IPv6Address: endpoint.ipv6 ?? '',
    },
  ];
}

/** Docker's options are texts. */
export function textsOf(values: Readonly<Record<string, string | number | boolean>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]));
}
