/** Networks and endpoints as a served driver sees them, from what Docker says of them. Pure. */
import type * as v from 'valibot';
import type {
  DriverEndpoint,
  DriverNetwork,
  DriverOptions,
  DriverPool,
  PortBinding,
  PortRequest,
} from '../driverapi/driver.ts';
import { invalid } from '../errors.ts';
import type { EndpointId, NetworkId } from '../ids.ts';
import { familyOf, parseCidr } from '../ip.ts';
import { labels } from '../labels.ts';
import type { Protocol } from '../osl/osl.ts';
import { read } from './json.ts';
import { exposedPort, PROTOCOLS, portMapping, type requests } from './messages/network.ts';

type Asked<M extends keyof typeof requests> = v.InferOutput<(typeof requests)[M]>;

/** Docker tells a driver no name of a network: its id is shown in its place. */
export function networkOf({ NetworkID, Options, IPv4Data, IPv6Data }: Asked<'CreateNetwork'>): DriverNetwork {
  const generic = Options[labels.generic];
  const internal = Options[labels.internal];
  return {
    id: NetworkID as NetworkId,
    name: NetworkID.slice(0, 12),
    internal: internal === true || internal === 'true',
    ipv4: IPv4Data.map((data) => poolOf(data, 'ipv4')),
    ipv6: IPv6Data.map((data) => poolOf(data, 'ipv6')),
    options: scalars(generic),
    addressSpace: IPv4Data[0]?.AddressSpace ?? IPv6Data[0]?.AddressSpace,
  };
}

function poolOf(
  { Pool, Gateway, AuxAddresses }: Asked<'CreateNetwork'>['IPv4Data'][number],
  family: 'ipv4' | 'ipv6',
): DriverPool {
  const isOf = (text: string) => parseCidr(text)?.address.family === family;
  if (!isOf(Pool)) throw invalid('Pool', Pool.slice(0, 80), `must be an ${family} subnet`);
  if (Gateway !== '' && !isOf(Gateway))
    throw invalid('Gateway', Gateway.slice(0, 80), `must be an ${family} address in CIDR form`);
  for (const [name, address] of Object.entries(AuxAddresses))
    if (!isOf(address))
      throw invalid(`AuxAddresses.${name.slice(0, 80)}`, address.slice(0, 80), `must be of ${family}`);
  return { subnet: Pool, gateway: Gateway === '' ? undefined : Gateway, auxAddresses: AuxAddresses };
}

/** What is no text, number or flag is no option of a driver. */
function scalars(options: unknown): DriverOptions {
  if (typeof options !== 'object' || options === null) return {};
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value)),
  ) as DriverOptions;
}

const NO_OPTIONS = new Set<string>([
  labels.endpoint.exposedPorts,
  labels.endpoint.macAddress,
  labels.portMap,
]);

export function endpointOf(asked: Asked<'CreateEndpoint'>): DriverEndpoint {
  const { NetworkID, EndpointID, Interface, Options } = asked;
  const { Address = '', AddressIPv6 = '', MacAddress = '' } = Interface ?? {};
  const options = Object.entries(scalars(Options)).filter(([key]) => !NO_OPTIONS.has(key));
  return {
    id: EndpointID as EndpointId,
    networkId: NetworkID as NetworkId,
    name: EndpointID.slice(0, 12),
    macAddress: given('MacAddress', MacAddress, (text) => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)),
    ipv4: given('Address', Address, (text) => parseCidr(text)?.address.family === 'ipv4'),
    ipv6: given('AddressIPv6', AddressIPv6, (text) => parseCidr(text)?.address.family === 'ipv6'),
    options: Object.fromEntries(options),
    ports: portsOf(Options),
    exposedPorts: exposedPortsOf(Options),
    bindings: [],
  };
}

function given(field: string, text: string, isRight: (text: string) => boolean): string | undefined {
  if (text === '') return undefined;
  if (!isRight(text)) throw invalid(`Interface.${field}`, text.slice(0, 80), 'is not what it should be');
  return text;
}

/** The ports to publish. @throws INVALID_ARGUMENT for what is no port */
export function portsOf(options: Readonly<Record<string, unknown>>): PortRequest[] {
  return listOf(options, labels.portMap).map((each, index): PortRequest => {
    const { Proto, Port, HostIP, HostPort, HostPortEnd } = read(
      portMapping,
      each,
      labels.portMap,
      'INVALID_ARGUMENT',
    );
    const at = `${labels.portMap}[${index}]`;
    if (HostIP !== '' && familyOf(HostIP) === undefined)
      throw invalid(`${at}.HostIP`, HostIP.slice(0, 80), 'must be an address');
    const end = HostPortEnd === 0 ? HostPort : HostPortEnd;
    if (HostPort !== 0 && end < HostPort)
      throw invalid(`${at}.HostPortEnd`, end, 'must not be below HostPort');
    return {
      protocol: protocolOf(Proto, at),
      container: portOf(Port, `${at}.Port`),
      ...(HostPort === 0
        ? {}
        : { host: portOf(HostPort, `${at}.HostPort`), hostEnd: portOf(end, `${at}.HostPortEnd`) }),
      ...(HostIP === '' ? {} : { hostAddress: HostIP }),
    };
  });
}

function exposedPortsOf(
  options: Readonly<Record<string, unknown>>,
): NonNullable<DriverEndpoint['exposedPorts']> {
  const key = labels.endpoint.exposedPorts;
  return listOf(options, key).map((each, index) => {
    const { Proto, Port } = read(exposedPort, each, key, 'INVALID_ARGUMENT');
    return { protocol: protocolOf(Proto, `${key}[${index}]`), port: portOf(Port, `${key}[${index}].Port`) };
  });
}

function listOf(options: Readonly<Record<string, unknown>>, key: string): unknown[] {
  const list = options[key] ?? [];
  if (Array.isArray(list)) return list;
  throw invalid(key, typeof list, 'must be a list');
}

function protocolOf(number: number, at: string): Protocol {
  const protocol = (['tcp', 'udp', 'sctp'] as const).find((each) => PROTOCOLS[each] === number);
  if (protocol === undefined) throw invalid(`${at}.Proto`, number, 'must be 6, 17 or 132');
  return protocol;
}

function portOf(number: number, at: string): number {
  if (number < 1 || number > 65_535) throw invalid(at, number, 'must be 1 to 65535');
  return number;
}

/** What is published, in Docker's form. */
export function mappingOf({ protocol, container, host, hostAddress }: PortBinding): object {
  return {
    Proto: PROTOCOLS[protocol],
    IP: '',
    Port: container,
    HostIP: hostAddress,
    HostPort: host,
    HostPortEnd: host,
  };
}
