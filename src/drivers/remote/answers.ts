/** What a plugin's answers say, checked: an address is an address before anything is done with it. Pure. */
import type * as v from 'valibot';
import type { DriverEndpoint, EndpointDecision, JoinResult } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import { type Family, formatAddress, formatCidr, formatPrefix, parseAddress, parseCidr } from '../../ip.ts';
import { brief } from '../../plugin/json.ts';
import { CONNECTED, type createdEndpoint, type joined, NEXT_HOP } from '../../plugin/messages/network.ts';

/**
 * What the driver decided about a new endpoint, in the order in which Docker takes it: MAC address, IPv4, IPv6.
 * @throws FORBIDDEN where it changed what was given; INTERNAL for what is no address
 */
export function decisionOf(
  endpoint: DriverEndpoint,
  answer: v.InferOutput<typeof createdEndpoint>,
): EndpointDecision {
  const { MacAddress = '', Address = '', AddressIPv6 = '' } = answer.Interface ?? {};
  const macAddress = decided('MAC address', endpoint.macAddress, MacAddress, macOf);
  const ipv4 = decided('IP', endpoint.ipv4, Address, (text) => cidrOf(text, 'ipv4'));
  const ipv6 = decided('IPv6', endpoint.ipv6, AddressIPv6, (text) => cidrOf(text, 'ipv6'));
  return { macAddress, ipv4, ipv6 };
}

function decided(
  what: string,
  given: string | undefined,
  said: string,
  parse: (text: string) => string | undefined,
): string | undefined {
  if (said === '') return undefined;
  const parsed = parse(said);
  if (parsed === undefined) throw unusable(`${what} of the interface`, said);
  if (given === undefined || parse(given) === parsed) return parsed;
  throw new LibnetworkError(
    'FORBIDDEN',
    `driver modified interface address: endpoint interface ${what} present (${given}). Cannot be modified with (${said.slice(0, 80)})`,
    { field: what, value: said.slice(0, 80) },
  );
}

function macOf(text: string): string | undefined {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined;
  const mac = text.toLowerCase().replaceAll('-', ':');
  return Number.parseInt(mac.slice(0, 2), 16) & 1 || mac === '00:00:00:00:00:00' ? undefined : mac;
}

function cidrOf(text: string, family: Family): string | undefined {
  const parsed = parseCidr(text);
  return parsed?.address.family === family ? formatCidr(parsed) : undefined;
}

/** How an endpoint joined. @throws INTERNAL for what is no gateway, route or interface name */
export function joinResultOf(answer: v.InferOutput<typeof joined>): JoinResult {
  const { InterfaceName, StaticRoutes, DisableGatewayService } = answer;
  const { SrcName = '', DstPrefix = '' } = InterfaceName ?? {};
  const gateway4 = gatewayOf('Gateway', answer.Gateway, 'ipv4');
  const gateway6 = gatewayOf('GatewayIPv6', answer.GatewayIPv6, 'ipv6');
  const routes = StaticRoutes.map(routeOf);
  // Without an interface there is nothing that a route could go by.
  if (SrcName === '') return { link: { kind: 'none' }, disableGatewayService: DisableGatewayService };
  if (!isInterfaceName(SrcName, 15)) throw unusable('InterfaceName.SrcName', SrcName);
  if (!isInterfaceName(DstPrefix, 12)) throw unusable('InterfaceName.DstPrefix', DstPrefix);
  return {
    link: { kind: 'move', sourceName: SrcName, prefix: DstPrefix },
    gateway4,
    gateway6,
    routes,
    disableGatewayService: DisableGatewayService,
  };
}

function isInterfaceName(name: string, maxBytes: number): boolean {
  return (
    Buffer.byteLength(name) <= maxBytes && /^[^\s/:%\0]+$/.test(name) && !['.', '..', 'lo'].includes(name)
  );
}

function gatewayOf(field: string, text: string, family: Family): string | undefined {
  if (text === '') return undefined;
  const address = parseAddress(text);
  if (address?.family !== family) throw unusable(field, text);
  return formatAddress(address);
}

function routeOf(
  route: v.InferOutput<typeof joined>['StaticRoutes'][number],
  index: number,
): { destination: string; gateway?: string | undefined } {
  const at = `StaticRoutes[${index}]`;
  const prefix = parseCidr(route.Destination)?.prefix;
  if (prefix === undefined) throw unusable(`${at}.Destination`, route.Destination);
  const destination = formatPrefix(prefix);
  if (route.RouteType === CONNECTED) return { destination };
  if (route.RouteType !== NEXT_HOP) throw unusable(`${at}.RouteType`, route.RouteType);
  const gateway = gatewayOf(`${at}.NextHop`, route.NextHop, prefix.family);
  if (gateway === undefined) throw unusable(`${at}.NextHop`, route.NextHop);
  return { destination, gateway };
}

function unusable(field: string, value: unknown): LibnetworkError {
  return new LibnetworkError('INTERNAL', `the plugin answered with an unusable ${field}: ${brief(value)}`, {
    field,
    value: brief(value),
  });
}
