import type { DriverNetwork, DriverOptions, DriverPool, PolicyRule } from '../../driverapi/driver.ts';
import { invalid, LibnetworkError } from '../../errors.ts';
import { bridgeName, type NetworkId } from '../../ids.ts';
import {
  contains,
  type Family,
  formatAddress,
  overlaps,
  type Prefix,
  parseAddress,
  parseCidr,
  parsePrefix,
} from '../../ip.ts';
import { addressOption, choiceOption, flagOption, integerOption, labels, textOption } from '../../labels.ts';
import type { FamilyIntent, PacketMark } from '../../osl/firewall/firewall.ts';
import { type BridgeDefaults, parseMark } from './defaults.ts';

/** A bridged network, parsed once from what the core and the user gave. */
export interface BridgeConfig {
  readonly id: NetworkId;
  readonly name: string;
  /** The bridge's interface name. */
  readonly bridge: string;
  /** `undefined`: that of the bridge where it is there, else of the host's default route (`withMtu`). */
  readonly mtu: number | undefined;
  /** It is the default bridge under another name than the default's: made by hand, never by us. */
  readonly byHand: boolean;
  readonly vlanFiltering: boolean;
  /** Interfaces of the host from which published ports are reached directly. */
  readonly trusted: readonly string[];
  /** Published ports are reached directly from everywhere. */
  readonly direct: boolean;
  /** What bears this mark may come in. */
  readonly accepted: PacketMark | undefined;
  readonly internal: boolean;
  /** Containers of the network may talk to each other. */
  readonly icc: boolean;
  /** Who may talk to whom; empty: everybody. */
  readonly policy: readonly PolicyRule[];
  readonly ipv4: FamilyConfig | undefined;
  readonly ipv6: FamilyConfig | undefined;
}

export interface FamilyConfig {
  readonly subnet: Prefix;
  /** The bridge's own address, in CIDR form; `undefined` where it has none. */
  readonly address: string | undefined;
  /** The next hop of the containers' default route. */
  readonly gateway: string | undefined;
  readonly mode: FamilyIntent['mode'];
  readonly masquerade: boolean | string;
  /** Where ports are published that name no address; `undefined`: not in this family. */
  readonly hostBinding: string | undefined;
}

/** A network for people. */
export function nameOf({ name, id }: BridgeConfig): string {
  return `network ${name} (${id.slice(0, 12)})`;
}

const MODES: readonly FamilyIntent['mode'][] = ['nat', 'nat-unprotected', 'routed', 'isolated'];
const DEFAULT_BRIDGE = 'docker0';
const LINK_LOCAL = 'fe80::/64';
/** Addresses by which no container is reached. */
const NOBODYS = {
  ipv4: [
    ['127.0.0.0/8', 'loopback'],
    ['224.0.0.0/4', 'multicast'],
  ],
  ipv6: [
    ['::1/128', 'loopback'],
    ['ff00::/8', 'multicast'],
  ],
} as const;
const ANY: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0', ipv6: '::' };
/** IPv6 asks this of every link (RFC 8200, section 5), IPv4 that (RFC 791). */
const MIN_MTU: Readonly<Record<Family, number>> = { ipv4: 68, ipv6: 1280 };

/**
 * Parses a network's options and pools. Pools may be missing as yet: their family is then `undefined`.
 * @param defaults what holds where its options do not say
 * @throws INVALID_ARGUMENT naming the option; FORBIDDEN for more than one subnet of a family
 */
export function parseConfig(network: DriverNetwork, defaults: BridgeDefaults = {}): BridgeConfig {
  const { options, internal } = network;
  refuseUnknown(options);
  const ipv4 = parseFamily(network, 'ipv4');
  const ipv6 = parseFamily(network, 'ipv6');
  return {
    id: network.id,
    name: network.name,
    bridge: parseName(network),
    mtu: parseMtu(options, ipv6 === undefined ? 'ipv4' : 'ipv6'),
    byHand:
      (flagOption(options, labels.bridge.defaultBridge) ?? false) && bridgeNameOf(network) !== DEFAULT_BRIDGE,
    vlanFiltering: flagOption(options, labels.bridge.vlanFiltering) ?? false,
    trusted: parseTrusted(options),
    direct: flagOption(options, labels.bridge.allowDirectRouting) ?? defaults.allowDirectRouting ?? false,
    accepted: parseAccepted(options, defaults),
    internal,
    icc: flagOption(options, labels.bridge.enableIcc) ?? true,
    policy: network.policy ?? [],
    ipv4,
    ipv6,
  };
}

/** The bridge's name as the options give it; not checked. */
export function bridgeNameOf({ id, options }: DriverNetwork): string {
  const chosen = options[labels.bridge.name];
  if (chosen !== undefined && chosen !== '') return String(chosen);
  return flagOption(options, labels.bridge.defaultBridge) ? DEFAULT_BRIDGE : bridgeName(id);
}

function parseName(network: DriverNetwork): string {
  textOption(network.options, labels.bridge.name);
  const name = bridgeNameOf(network);
  if (!isInterfaceName(name))
    throw invalid(labels.bridge.name, name, 'must be an interface name of 1 to 15 letters, digits and _.@+-');
  // The kernel has sysctls for all links and for new ones under these two names.
  if (['all', 'default', 'lo'].includes(name))
    throw invalid(labels.bridge.name, name, 'is a name of the kernel');
  return name;
}

function isInterfaceName(name: string): boolean {
  return /^[A-Za-z0-9_.@+-]{1,15}$/.test(name) && !/^[-.]/.test(name);
}

/** An empty text is a network's own word: nothing. */
function parseAccepted(options: DriverOptions, { acceptFwmark = '' }: BridgeDefaults) {
  const key = labels.bridge.acceptFwmark;
  const text = textOption(options, key) ?? '';
  return parseMark(key, key in options ? text : acceptFwmark);
}

/** Docker's list has colons between its names; empty places mean nothing. */
function parseTrusted(options: DriverOptions): readonly string[] {
  const key = labels.bridge.trustedHostInterfaces;
  const names = (textOption(options, key) ?? '').split(':').filter((name) => name !== '');
  for (const name of names)
    if (!isInterfaceName(name)) throw invalid(key, name, 'must be interface names with colons between them');
  return [...new Set(names)];
}

const KNOWN = new Set<string>([
  labels.bridge.name,
  labels.bridge.defaultBridge,
  labels.bridge.enableIcc,
  labels.bridge.enableIpMasquerade,
  labels.bridge.inhibitIpv4,
  labels.bridge.trustedHostInterfaces,
  labels.bridge.allowDirectRouting,
  labels.bridge.acceptFwmark,
  labels.bridge.vlanFiltering,
  ...Object.values(labels.bridge.hostBinding),
  ...Object.values(labels.bridge.gatewayMode),
  ...Object.values(labels.bridge.hostAddress),
]);

function refuseUnknown(options: DriverOptions): void {
  for (const key of Object.keys(options)) {
    if (!key.startsWith(labels.bridge.prefix) || KNOWN.has(key)) continue;
    const known = [...KNOWN].map((each) => each.slice(labels.bridge.prefix.length)).join(', ');
    throw invalid(
      key,
      options[key],
      `is no option of the bridge driver; after ${labels.bridge.prefix} it knows ${known}`,
    );
  }
}

function parseMtu(options: DriverOptions, strictest: Family): number | undefined {
  const key = labels.driver.mtu;
  if (integerOption(options, key, { min: 0, max: 65_535 }) === 0) return undefined;
  return integerOption(options, key, { min: MIN_MTU[strictest], max: 65_535 });
}

function parseFamily(network: DriverNetwork, family: Family): FamilyConfig | undefined {
  const { options, internal } = network;
  const mode = choiceOption(options, labels.bridge.gatewayMode[family], MODES) ?? 'nat';
  if (mode === 'isolated' && !internal)
    throw invalid(labels.bridge.gatewayMode[family], mode, 'is for internal networks only');
  const masquerade = parseMasquerade(options, family);
  const hostBinding = parseHostBinding(options, family);
  const [pool, second] = network[family];
  if (pool === undefined) return undefined;
  if (second !== undefined)
    throw new LibnetworkError(
      'FORBIDDEN',
      `a bridge network has one ${family} subnet, got ${pool.subnet} and ${second.subnet}`,
      {
        field: `ipam.pools`,
        value: second.subnet,
        limit: 'one subnet of each family',
      },
    );
  const subnet = parseSubnet(pool, family);
  const inhibited = family === 'ipv4' && (flagOption(options, labels.bridge.inhibitIpv4) ?? false);
  const gateway = parseGateway(pool, subnet);
  const other = auxGateway(pool, family, subnet);
  if (internal && other !== undefined)
    throw invalid(
      `ipam.pools.auxAddresses.${labels.auxGateway[family]}`,
      other,
      'is for containers that have a way out: those of an internal network have no gateway',
    );
  return {
    subnet,
    address: mode === 'isolated' || inhibited ? undefined : gateway,
    gateway: internal ? undefined : (other ?? withoutLength(pool.gateway)),
    mode,
    masquerade: !internal && masquerade,
    hostBinding,
  };
}

function parseMasquerade(options: DriverOptions, family: Family): boolean | string {
  const source =
    addressOption(options, labels.hostAddress[family], family) ??
    addressOption(options, labels.bridge.hostAddress[family], family);
  const enabled = flagOption(options, labels.bridge.enableIpMasquerade) ?? true;
  return enabled ? (source ?? true) : false;
}

/** A binding to certain IPv4 addresses alone says that IPv6 is not meant, as with Docker. */
function parseHostBinding(options: DriverOptions, family: Family): string | undefined {
  const given = addressOption(options, labels.bridge.hostBinding[family], family);
  if (given !== undefined || family === 'ipv4') return given ?? ANY.ipv4;
  const other = addressOption(options, labels.bridge.hostBinding.ipv4, 'ipv4') ?? ANY.ipv4;
  return other === ANY.ipv4 ? ANY.ipv6 : undefined;
}

function parseSubnet(pool: DriverPool, family: Family): Prefix {
  const subnet = parsePrefix(pool.subnet);
  const refuse = (why: string) => invalid('ipam.pools.subnet', pool.subnet, why);
  if (subnet === undefined || subnet.family !== family) throw refuse(`must be an ${family} subnet`);
  if (subnet.length === 0) throw refuse(`the ${family} pool is empty; the bridge driver needs a subnet`);
  for (const [of, name] of NOBODYS[family])
    if (overlaps(prefix(of), subnet)) throw refuse(`must not be a ${name} subnet`);
  if (family === 'ipv4') return subnet;
  const linkLocal = prefix(LINK_LOCAL);
  if (overlaps(prefix('::ffff:0:0/96'), subnet)) throw refuse('must not be an IPv4-mapped subnet');
  if (overlaps(linkLocal, subnet) && subnet.length !== linkLocal.length)
    throw refuse(`clashes with the link-local subnet ${LINK_LOCAL}`);
  return subnet;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(`not a prefix: ${text}`);
  return parsed;
}

function parseGateway({ gateway }: DriverPool, subnet: Prefix): string | undefined {
  if (gateway === undefined) return undefined;
  const parsed = parseCidr(gateway);
  if (parsed === undefined || !contains(subnet, parsed.address))
    throw invalid('ipam.pools.gateway', gateway, 'must be part of the subnet');
  return `${formatAddress(parsed.address)}/${subnet.length}`;
}

/** Docker's way of naming another default gateway for the containers than the bridge. */
function auxGateway({ auxAddresses }: DriverPool, family: Family, subnet: Prefix): string | undefined {
  const name = labels.auxGateway[family];
  const text = withoutLength(auxAddresses[name]);
  if (text === undefined) return undefined;
  const address = parseAddress(text);
  if (address === undefined || !contains(subnet, address))
    throw invalid(`ipam.pools.auxAddresses.${name}`, text, 'must be part of the subnet');
  return formatAddress(address);
}

function withoutLength(cidr: string | undefined): string | undefined {
  return cidr?.split('/')[0];
}
