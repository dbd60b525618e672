/** Records as drivers see them. */
import type { Core } from './core.ts';
import type { DriverEndpoint, DriverNetwork, EndpointPlace, JoinedAt } from './driverapi/driver.ts';
import type { EndpointEntry } from './endpoint.ts';
import type { EndpointRecord, NetworkRecord } from './records.ts';

/** A network's record as its driver sees it. */
export function driverNetwork(record: NetworkRecord): DriverNetwork {
  const pools = (family: 'ipv4' | 'ipv6') =>
    record.pools
      .filter((pool) => pool.family === family)
      .map(({ subnet, gateway, auxAddresses }) => ({ subnet, gateway, auxAddresses }));
  return {
    id: record.id,
    name: record.name,
    internal: record.internal,
    ipv4: pools('ipv4'),
    ipv6: pools('ipv6'),
    options: record.options,
    addressSpace: record.ipam.addressSpace,
    policy: record.policy,
  };
}

export function driverEndpoint(record: EndpointRecord): DriverEndpoint {
  return {
    id: record.id,
    networkId: record.networkId,
    name: record.name,
    macAddress: record.macAddress,
    macGenerated: record.macGenerated,
    // An IPAM that gives no addresses gives empty ones.
    ipv4: record.ipv4?.address || undefined,
    ipv6: record.ipv6?.address || undefined,
    exposedPorts: record.exposedPorts,
    options: record.options,
    ports: record.ports,
    limits: record.limits,
    labels: record.labels,
    bindings: record.join?.bindings ?? [],
  };
}

export function placeOf(entry: EndpointEntry): EndpointPlace {
  return { network: driverNetwork(entry.network.record), endpoint: driverEndpoint(entry.record) };
}

/** Where an endpoint's interface is, as long as its sandbox's namespace is open. */
export function joinedAt(core: Core, { join }: EndpointRecord): JoinedAt | undefined {
  const namespace = join && core.sandboxes.get(join.sandboxId)?.namespace;
  return namespace && { namespace, interfaceName: join.interfaceName };
}
