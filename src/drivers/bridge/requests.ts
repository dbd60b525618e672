/** From the ports that an endpoint asks for to the host's addresses that they are to be on. Pure. */
import type { DriverEndpoint, PortBinding, PortRequest } from '../../driverapi/driver.ts';
import { invalid } from '../../errors.ts';
import { FAMILIES, type Family, familyOf, formatAddress, parseAddress } from '../../ip.ts';
import type { ProxyTarget } from '../../osl/osl.ts';
import type { BridgeConfig } from './config.ts';
import { addressOf } from './intents.ts';

export type Families = Readonly<Record<Family, boolean>>;

/** One requested port on one address of the host. */
export interface Wanted {
  readonly request: PortRequest;
  readonly address: string;
  /** Only opened, and reached by routing: it has no port of the host. */
  readonly routed: boolean;
}

const ANY: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0', ipv6: '::' };

/** What is to be published for the families given, in the order of the requests. */
export function wantedPorts(
  config: BridgeConfig,
  endpoint: DriverEndpoint,
  families: Families,
): readonly Wanted[] {
  if (config.internal) return [];
  return endpoint.ports.flatMap((request) =>
    FAMILIES.flatMap((family): Wanted[] => {
      const settings = config[family];
      if (settings === undefined || addressOf(endpoint, family) === undefined)
        return family === 'ipv6' ? proxied(config, endpoint, request, families) : [];
      if (!families[family]) return [];
      const address = hostAddress(request, family, settings.hostBinding);
      if (address === undefined || settings.mode === 'isolated') return [];
      const routed = settings.mode === 'routed';
      return [{ request, address: routed ? ANY[family] : address, routed }];
    }),
  );
}

/** An IPv6 address of the host may lead to a container that has IPv4 alone, where it is asked for by name. */
function proxied(
  config: BridgeConfig,
  endpoint: DriverEndpoint,
  request: PortRequest,
  families: Families,
): Wanted[] {
  const hidden = config.ipv4?.mode.startsWith('nat') && families.ipv4 && families.ipv6;
  const address = hostAddress(request, 'ipv6', undefined);
  if (!hidden || address === undefined || addressOf(endpoint, 'ipv4') === undefined) return [];
  return [{ request, address, routed: false }];
}

/**
 * Where connections to a published address are handed to, as no rule can lead them there: those to `::1`, and over
 * IPv6 to a container without. `undefined`: rules do it.
 */
export function proxyTarget(
  endpoint: DriverEndpoint,
  { protocol, hostAddress: address, container }: Omit<PortBinding, 'host'>,
): ProxyTarget | undefined {
  if (protocol === 'sctp' || familyOf(address) !== 'ipv6') return undefined;
  const own = addressOf(endpoint, 'ipv6');
  if (own !== undefined && address !== ANY.ipv6 && address !== '::1') return undefined;
  const target = own ?? addressOf(endpoint, 'ipv4');
  if (target === undefined) return undefined;
  // Anybody else than the host itself is led by rules where the container has IPv6; by the proxy he would get round them.
  return { address: target, port: container, fromLoopback: own !== undefined };
}

/** Where on the host a request is published in one family; `undefined`: not at all. */
function hostAddress(request: PortRequest, family: Family, binding: string | undefined): string | undefined {
  if (request.hostAddress === undefined || request.hostAddress === '') return binding;
  const address = unmapped(request.hostAddress);
  return familyOf(address) === family ? address : undefined;
}

/** An address in its one text; an IPv4 address in IPv6 clothes as what it is. */
function unmapped(text: string): string {
  const address = parseAddress(text);
  if (address === undefined) return text;
  const mapped = address.family === 'ipv6' && address.value >> 32n === 0xffffn;
  return formatAddress(mapped ? { family: 'ipv4', value: address.value & 0xffff_ffffn } : address);
}

/** True for a binding that is what is wanted. */
export function answers(binding: PortBinding, { request, address, routed }: Wanted): boolean {
  const { protocol, container, host = 1, hostEnd } = request;
  if (binding.protocol !== protocol || binding.container !== container || binding.hostAddress !== address)
    return false;
  if (routed) return binding.host === 0;
  const last = request.host === undefined ? 65_535 : (hostEnd ?? host);
  return binding.host >= host && binding.host <= last;
}

/** @throws INVALID_ARGUMENT for a port that could never be published, whatever the gateways */
export function checkPorts(endpoint: DriverEndpoint, has: (family: Family) => boolean): void {
  for (const [i, { hostAddress: text, protocol }] of endpoint.ports.entries()) {
    if (text === undefined || text === '') continue;
    const family = familyOf(unmapped(text));
    if (family === undefined) throw invalid(`ports[${i}].hostAddress`, text, 'must be an address');
    // What comes by IPv6 is handed on to a container that has none, but for SCTP.
    if (!has(family) && (protocol === 'sctp' || !has('ipv4')))
      throw invalid(
        `ports[${i}].hostAddress`,
        text,
        `can't lead to an endpoint without an ${family} address`,
      );
  }
}
