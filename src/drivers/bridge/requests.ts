/** From the ports that an endpoint asks for to the host's addresses that they are to be on. Pure. */
import type { DriverEndpoint, PortBinding, PortRequest } from '../../driverapi/driver.ts';
import { invalid } from '../../errors.ts';
import { FAMILIES, type Family, familyOf, formatAddress, parseAddress } from '../../ip.ts';
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
      if (settings === undefined || !families[family] || addressOf(endpoint, family) === undefined) return [];
      const address = hostAddress(request, family, settings.hostBinding);
      if (address === undefined || settings.mode === 'isolated') return [];
      const routed = settings.mode === 'routed';
      return [{ request, address: routed ? ANY[family] : address, routed }];
    }),
  );
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
export function checkPorts(endpoint: DriverEndpoint): void {
  for (const [i, { hostAddress: text }] of endpoint.ports.entries()) {
    if (text === undefined || text === '') continue;
    const family = familyOf(unmapped(text));
    if (family === undefined) throw invalid(`ports[${i}].hostAddress`, text, 'must be an address');
    if (addressOf(endpoint, family) === undefined)
      throw invalid(
        `ports[${i}].hostAddress`,
        text,
        `can't lead to an endpoint without an ${family} address`,
      );
  }
}
