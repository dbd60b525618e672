/** Networks and endpoints as the plugin protocol tells them: Docker's fields, in Docker's order. Pure. */

import type * as v from 'valibot';
import type {
  DriverEndpoint,
  DriverNetwork,
  DriverOptions,
  DriverPool,
  PortBinding,
} from '../../driverapi/driver.ts';
import { labels } from '../../labels.ts';
import type { Protocol } from '../../osl/osl.ts';
import { read } from '../../plugin/json.ts';
import { type operInfo, PROTOCOLS, portMapping } from '../../plugin/messages/network.ts';

export function networkMessage(network: DriverNetwork): object {
  const data = (pools: readonly DriverPool[]) => pools.map((pool) => poolMessage(network, pool));
  return {
    NetworkID: network.id,
    Options: networkOptions(network),
    IPv4Data: data(network.ipv4),
    IPv6Data: data(network.ipv6),
  };
}

/** What the user gave for the driver is under one key, what Docker itself says beside it. */
export function networkOptions(network: DriverNetwork): object {
  return {
    [labels.enable.ipv6]: network.ipv6.length > 0,
    [labels.generic]: asTexts(network.options),
    ...(network.internal ? { [labels.internal]: true } : {}),
  };
}

function poolMessage({ addressSpace = '' }: DriverNetwork, pool: DriverPool): object {
  const { subnet, gateway, auxAddresses } = pool;
  return {
    AddressSpace: addressSpace,
    ...(Object.keys(auxAddresses).length > 0 ? { AuxAddresses: auxAddresses } : {}),
    ...(gateway === undefined ? {} : { Gateway: gateway }),
    Pool: subnet,
  };
}

export function asTexts(options: DriverOptions): Record<string, string> {
  const sorted = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([key, value]) => [key, String(value)]));
}

export function endpointMessage(endpoint: DriverEndpoint): object {
  const { macAddress, macGenerated } = endpoint;
  // Docker's own type for it marshals to base64; a MAC address of Docker's choosing is not among the options.
  const mac =
    macAddress === undefined || macGenerated
      ? {}
      : {
          [labels.endpoint.macAddress]: Buffer.from(macAddress.replaceAll(':', ''), 'hex').toString('base64'),
        };
  const { [labels.endpoint.exposedPorts]: exposed, [labels.portMap]: portMap } = portOptions(endpoint);
  return {
    ...idsOf(endpoint),
    Interface: {
      Address: endpoint.ipv4 ?? '',
      AddressIPv6: endpoint.ipv6 ?? '',
      MacAddress: macAddress ?? '',
    },
    Options: {
      [labels.endpoint.exposedPorts]: exposed,
      ...mac,
      [labels.portMap]: portMap,
      ...asTexts(endpoint.options),
    },
  };
}

export function idsOf({ networkId, id }: DriverEndpoint): { NetworkID: string; EndpointID: string } {
  return { NetworkID: networkId, EndpointID: id };
}

/** The ports that a container exposes and publishes: told with every join and every publication. */
export function portOptions(endpoint: DriverEndpoint): Record<string, readonly object[]> {
  return {
    [labels.endpoint.exposedPorts]: (endpoint.exposedPorts ?? []).map(({ protocol, port }) => ({
      Proto: PROTOCOLS[protocol],
      Port: port,
    })),
    [labels.portMap]: endpoint.ports.map(({ protocol, container, host = 0, hostEnd, hostAddress = '' }) => ({
      Proto: PROTOCOLS[protocol],
      IP: '',
      Port: container,
      HostIP: hostAddress,
      HostPort: host,
      HostPortEnd: hostEnd ?? host,
    })),
  };
}

/**
 * What is published, as the plugin tells it in its information about the endpoint; where it tells nothing of the
 * kind, the host ports that were asked for.
 */
export function bindingsOf(
  endpoint: DriverEndpoint,
  info: v.InferOutput<typeof operInfo>['Value'],
): readonly PortBinding[] {
  const told = info[labels.portMap];
  if (Array.isArray(told)) return told.flatMap((each) => bindingOf(each));
  return endpoint.ports.flatMap(({ protocol, container, host, hostAddress = '0.0.0.0' }) =>
    host === undefined ? [] : [{ protocol, container, host, hostAddress }],
  );
}

function bindingOf(told: unknown): PortBinding[] {
  const { Proto, Port, HostIP, HostPort } = read(portMapping, told, labels.portMap, 'INTERNAL');
  const protocol = protocolOf(Proto);
  if (protocol === undefined) return [];
  return [{ protocol, container: Port, host: HostPort, hostAddress: HostIP || '0.0.0.0' }];
}

export function protocolOf(number: number): Protocol | undefined {
  return (['tcp', 'udp', 'sctp'] as const).find((protocol) => PROTOCOLS[protocol] === number);
}
