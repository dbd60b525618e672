/** The keys of options and labels, as Docker's netlabels, and how their values are read: once, at the edge. */
import { invalid } from './errors.ts';
import { type Family, familyOf, formatAddress, parseAddress } from './ip.ts';

export const labels = {
  /** Everything under it is ours or Docker's. */
  prefix: 'com.docker.network.',
  bridge: {
    prefix: 'com.docker.network.bridge.',
    /** The bridge's interface name. */
    name: 'com.docker.network.bridge.name',
    /** The name is `docker0` where none is given. */
    defaultBridge: 'com.docker.network.bridge.default_bridge',
    enableIcc: 'com.docker.network.bridge.enable_icc',
    enableIpMasquerade: 'com.docker.network.bridge.enable_ip_masquerade',
    /** The bridge gets no IPv4 address. */
    inhibitIpv4: 'com.docker.network.bridge.inhibit_ipv4',
    /** The host's address that ports are published on where the request names none. */
    hostBinding: {
      ipv4: 'com.docker.network.bridge.host_binding_ipv4',
      ipv6: 'com.docker.network.bridge.host_binding_ipv6',
    },
    gatewayMode: {
      ipv4: 'com.docker.network.bridge.gateway_mode_ipv4',
      ipv6: 'com.docker.network.bridge.gateway_mode_ipv6',
    },
    /** Interfaces of the host, between colons, from which published ports are reached at the container's address too. */
    trustedHostInterfaces: 'com.docker.network.bridge.trusted_host_interfaces',
    /** From everywhere, published ports are reached at the container's address too (Docker has it for the daemon). */
    allowDirectRouting: 'com.docker.network.bridge.allow_direct_routing',
    /** What bears this mark may come in, `1` or `0x1/0xff` (Docker has it for the daemon). */
    acceptFwmark: 'com.docker.network.bridge.accept_fwmark',
    /** The bridge tells VLANs apart (ours; Docker has no such option). */
    vlanFiltering: 'com.docker.network.bridge.vlan_filtering',
    /** Docker's older spelling of `hostAddress`. */
    hostAddress: { ipv4: 'com.docker.network.bridge.host_ipv4', ipv6: 'com.docker.network.bridge.host_ipv6' },
  },
  /** The source address of what leaves the host, instead of the outgoing interface's. */
  hostAddress: { ipv4: 'com.docker.network.host_ipv4', ipv6: 'com.docker.network.host_ipv6' },
  driver: { mtu: 'com.docker.network.driver.mtu' },
  overlay: {
    /** VXLAN network identifiers between commas, one for each subnet. Default: chosen. */
    vxlanIds: 'com.docker.network.driver.overlay.vxlanid_list',
    /** The UDP port of the tunnels (ours; upstream has one for the cluster). Default 4789; 4796 if encrypted. */
    port: 'com.docker.network.driver.overlay.vxlan_port',
    /** Its presence asks for encryption between hosts. */
    encrypted: 'encrypted',
  },
  /** How often, and how many milliseconds apart, a new interface tells its neighbours its addresses. */
  advertise: {
    count: 'com.docker.network.advertise_addr_nmsgs',
    intervalMs: 'com.docker.network.advertise_addr_ms',
  },
  /** `eth` in `eth0`: the start of interface names in a container. The core reads it. */
  containerInterfacePrefix: 'com.docker.network.container_iface_prefix',
  endpoint: {
    macAddress: 'com.docker.network.endpoint.macaddress',
    name: 'com.docker.network.endpoint.name',
    interfaceName: 'com.docker.network.endpoint.ifname',
    sysctls: 'com.docker.network.endpoint.sysctls',
    dnsServers: 'com.docker.network.endpoint.dnsservers',
    exposedPorts: 'com.docker.network.endpoint.exposedports',
    /** Names of endpoints, between commas, whose exposed ports it may reach though containers may not talk (ours). */
    links: 'com.docker.network.endpoint.links',
  },
  /** In what an IPAM driver says of a pool: the gateway in CIDR form. */
  gateway: 'com.docker.network.gateway',
  internal: 'com.docker.network.internal',
  enable: { ipv4: 'com.docker.network.enable_ipv4', ipv6: 'com.docker.network.enable_ipv6' },
  generic: 'com.docker.network.generic',
  portMap: 'com.docker.network.portmap',
  /** Names of auxiliary addresses that choose a container's gateway. */
  auxGateway: { ipv4: 'DefaultGatewayIPv4', ipv6: 'DefaultGatewayIPv6' },
} as const;

/** Option values as they come: labels are text, flags and numbers may be given as such. */
export type OptionValues = Readonly<Record<string, string | number | boolean>>;

const YES = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const NO = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/** A flag: `true`, `1`, or the words that Docker takes for them. @throws INVALID_ARGUMENT */
export function flagOption(options: OptionValues, key: string): boolean | undefined {
  const value = options[key];
  if (value === undefined || typeof value === 'boolean') return value;
  if (YES.has(String(value))) return true;
  if (NO.has(String(value))) return false;
  throw invalid(key, value, 'must be "true" or "false"');
}

/** A whole number. @throws INVALID_ARGUMENT also when it is outside the range */
export function integerOption(
  options: OptionValues,
  key: string,
  range: { readonly min: number; readonly max: number },
): number | undefined {
  const value = options[key];
  if (value === undefined) return undefined;
  const number = typeof value === 'string' && /^[+-]?\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < range.min || number > range.max)
    throw invalid(key, value, `must be a whole number from ${range.min} to ${range.max}`);
  return number;
}

/** A text; empty counts as not given. @throws INVALID_ARGUMENT */
export function textOption(options: OptionValues, key: string): string | undefined {
  const value = options[key];
  if (value === undefined || value === '') return undefined;
  if (typeof value !== 'string') throw invalid(key, value, 'must be a text');
  return value;
}

/** One of some words; empty counts as not given. @throws INVALID_ARGUMENT */
export function choiceOption<T extends string>(
  options: OptionValues,
  key: string,
  choices: readonly T[],
): T | undefined {
  const value = textOption(options, key);
  const choice = choices.find((each) => each === value);
  if (value !== undefined && choice === undefined)
    throw invalid(key, value, `must be one of ${choices.join(', ')}`);
  return choice;
}

/** An address of one family, in its canonical text. @throws INVALID_ARGUMENT */
export function addressOption(options: OptionValues, key: string, family: Family): string | undefined {
  const value = textOption(options, key);
  if (value === undefined) return undefined;
  const address = familyOf(value) === family ? parseAddress(value) : undefined;
  if (address === undefined)
    throw invalid(key, value, `must be an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address`);
  return formatAddress(address);
}
