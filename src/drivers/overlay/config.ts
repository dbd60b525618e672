import type { DriverNetwork, DriverPool } from '../../driverapi/driver.ts';
import { invalid } from '../../errors.ts';
import type { NetworkId } from '../../ids.ts';
import { contains, FAMILIES, type Family, familyOf, type Prefix, parseCidr, parsePrefix } from '../../ip.ts';
import { integerOption, labels, type OptionValues } from '../../labels.ts';

/** The numbers of VXLANs (RFC 7348, 5): 24 bits. */
export const MAX_VNI = 0xff_ffff;
/** Those chosen for users begin here: below, some systems take them for VLANs' (upstream). */
export const FIRST_VNI = 4096;
const VXLAN_PORT = 4789;
/** Encrypted networks have a port of their own: by it the kernel tells what must be encrypted (docs/decisions.md). */
const ENCRYPTED_PORT = 4796;
const OUTER_HEADER = { ipv4: 20, ipv6: 40 } as const;
/** What the tunnel adds below that: UDP 8, VXLAN 8, and inner Ethernet 14. */
const TUNNEL_HEADERS = 30;
/** What ESP adds (RFC 4303, 2; RFC 4106): SPI and number 8, initialization vector 8, check value 16; at the end 2. */
const ESP = { around: 32, trailer: 2, align: 4 } as const;
const DEFAULT_MTU = 1500;
const MIN_MTU = 68;
const MIN_IPV6_MTU = 1280;

/** One segment: a VXLAN, and the subnets on it, at most one of each family. */
export interface Segment {
  /** Its place among those of its network: `br0`, `vxlan0`. */
  readonly index: number;
  readonly bridge: string;
  readonly vxlan: string;
  /** Undefined until `allocateNetwork` has chosen it. */
  readonly vni: number | undefined;
  readonly pools: Readonly<Partial<Record<Family, SegmentPool>>>;
}

export interface SegmentPool {
  readonly prefix: Prefix;
  readonly subnet: string;
  /** In CIDR form. */
  readonly gateway: string | undefined;
}

export interface OverlayConfig {
  readonly id: NetworkId;
  readonly name: string;
  readonly internal: boolean;
  readonly segments: readonly Segment[];
  /** What passes between hosts is encrypted. */
  readonly encrypted: boolean;
  readonly port: number;
  /** The MTU of the hosts' network, as the option says it. */
  readonly baseMtu: number | undefined;
}

/**
 * A network's options and pools. The n-th pools of both families share a VXLAN.
 * @throws INVALID_ARGUMENT naming the option
 */
export function parseConfig({ id, name, internal, ipv4, ipv6, options }: DriverNetwork): OverlayConfig {
  const count = Math.max(ipv4.length, ipv6.length);
  const vnis = parseVnis(options, count);
  const segments = Array.from({ length: count }, (_, index) => {
    const pools = { ...poolOf('ipv4', ipv4[index]), ...poolOf('ipv6', ipv6[index]) };
    return { index, bridge: `br${index}`, vxlan: `vxlan${index}`, vni: vnis[index], pools };
  });
  const { mtu: mtuKey } = labels.driver;
  const encrypted = isEncrypted(options);
  const port = integerOption(options, labels.overlay.port, { min: 1024, max: 49_151 });
  return {
    id,
    name,
    internal,
    segments,
    encrypted,
    port: port ?? (encrypted ? ENCRYPTED_PORT : VXLAN_PORT),
    baseMtu: integerOption(options, mtuKey, { min: 0, max: 65_535 }) || undefined,
  };
}

function poolOf(family: Family, pool: DriverPool | undefined): Partial<Record<Family, SegmentPool>> {
  if (pool === undefined) return {};
  const { subnet, gateway } = pool;
  const prefix = parsePrefix(subnet);
  if (prefix?.family !== family) throw invalid('ipam.pools.subnet', subnet, `must be an ${family} subnet`);
  if (prefix.length === 0)
    throw invalid(
      'ipam.pools.subnet',
      subnet,
      'must not be all there is: an overlay has a subnet of its own',
    );
  return { [family]: { prefix, subnet, gateway } };
}

/** Upstream takes the mere presence of the option, also with an empty value. */
export function isEncrypted(options: OptionValues): boolean {
  const value = options[labels.overlay.encrypted];
  return value !== undefined && value !== false && value !== 'false';
}

function parseVnis(options: OptionValues, count: number): readonly number[] {
  const key = labels.overlay.vxlanIds;
  const text = options[key];
  if (text === undefined || text === '') return [];
  const vnis = String(text)
    .split(',')
    .map((part) => {
      const vni = /^\s*\d+\s*$/.test(part) ? Number(part) : Number.NaN;
      if (!(vni <= MAX_VNI)) throw invalid(key, text, `must be numbers from 0 to ${MAX_VNI} between commas`);
      return vni;
    });
  if (vnis.length < count) throw invalid(key, text, `must name ${count} numbers, one for each subnet`);
  const used = vnis.slice(0, count);
  if (new Set(used).size < used.length) throw invalid(key, text, 'must not name a number twice');
  return used;
}

/** The MTU of what is on the network, given that of the hosts' network, and how the hosts reach each other. */
export function innerMtu({ baseMtu, segments, encrypted }: OverlayConfig, outer: Outer): number {
  const base = baseMtu ?? outer.mtu ?? DEFAULT_MTU;
  const room = base - OUTER_HEADER[outer.family];
  const datagram = encrypted ? roomInEsp(room) : room;
  const mtu = datagram - TUNNEL_HEADERS;
  const least = segments.some(({ pools }) => pools.ipv6) ? MIN_IPV6_MTU : MIN_MTU;
  if (mtu >= least) return mtu;
  throw invalid(labels.driver.mtu, base, `leaves ${mtu} bytes in the tunnel, and ${least} are needed`);
}

/** What is encrypted is filled up to words, with the trailer at the end of the last one. */
function roomInEsp(room: number): number {
  const text = room - ESP.around;
  return text - (text % ESP.align) - ESP.trailer;
}

export interface Outer {
  readonly family: Family;
  readonly mtu: number | undefined;
}

/** The segment that an address in CIDR form belongs to. */
export function segmentOf({ segments }: OverlayConfig, cidr: string | undefined): Segment | undefined {
  const address = cidr === undefined ? undefined : parseCidr(cidr)?.address;
  if (!address) return undefined;
  return segments.find(({ pools }) => {
    const pool = pools[address.family];
    return pool !== undefined && contains(pool.prefix, address);
  });
}

/** The segment of an endpoint. @throws INVALID_ARGUMENT for addresses of no segment, or of two */
export function segmentOfEndpoint(
  config: OverlayConfig,
  endpoint: { readonly name: string; readonly ipv4: string | undefined; readonly ipv6: string | undefined },
): Segment {
  const found = FAMILIES.flatMap((family) => {
    const cidr = endpoint[family];
    if (cidr === undefined) return [];
    const segment = segmentOf(config, cidr);
    if (!segment) throw invalid(family, cidr, `is in no subnet of network ${config.name}`);
    return [segment];
  });
  const [first, second = first] = found;
  if (first === undefined)
    throw invalid('ipv4', undefined, `endpoint ${endpoint.name} has no address on ${config.name}`);
  if (first !== second)
    throw invalid('ipv6', endpoint.ipv6, `is not on the same VXLAN as ${endpoint.ipv4}: name one that is`);
  return first;
}

export function familyOfHost(address: string): Family {
  return familyOf(address) ?? 'ipv4';
}
