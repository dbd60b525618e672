/** What the firewall is asked for: networks and published ports as intents. Pure. */
import type { DriverEndpoint, PortBinding } from '../../driverapi/driver.ts';
import { type Family, familyOf, formatPrefix } from '../../ip.ts';
import type { EndpointIntent, FamilyIntent, NetworkIntent } from '../../osl/firewall/firewall.ts';
import type { BridgeConfig, FamilyConfig } from './config.ts';

export function networkIntent(config: BridgeConfig): NetworkIntent {
  return {
    kind: 'network',
    id: config.id,
    bridge: config.bridge,
    ipv4: familyIntent(config.ipv4),
    ipv6: familyIntent(config.ipv6),
    internal: config.internal,
    icc: config.icc,
    ...(config.trusted.length === 0 ? {} : { trusted: config.trusted }),
    ...(config.direct && { direct: true }),
    ...(config.accepted && { accepted: config.accepted }),
  };
}

function familyIntent(family: FamilyConfig | undefined): FamilyIntent | undefined {
  if (family === undefined) return undefined;
  return { subnet: formatPrefix(family.subnet), mode: family.mode, masquerade: family.masquerade };
}

/** The intent of an endpoint that has these bindings; `undefined` for none. */
export function endpointIntent(
  config: BridgeConfig,
  endpoint: DriverEndpoint,
  bindings: readonly PortBinding[],
): EndpointIntent | undefined {
  const ports = bindings.flatMap(({ protocol, container, host, hostAddress }) => {
    const address = addressOf(endpoint, familyOf(hostAddress) ?? 'ipv4');
    if (address === undefined) return [];
    return [{ protocol, hostAddress, hostPort: host === 0 ? undefined : host, address, port: container }];
  });
  if (ports.length === 0) return undefined;
  return { kind: 'endpoint', id: endpoint.id, network: config.id, bridge: config.bridge, ports };
}

/** An endpoint's address without its length. */
export function addressOf(endpoint: DriverEndpoint, family: Family): string | undefined {
  return endpoint[family]?.split('/')[0];
}
