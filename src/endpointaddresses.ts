/** An endpoint's addresses: what may be asked for, asking IPAM, and what a driver gave. */
import type { Core } from './core.ts';
import type { EndpointDecision } from './driverapi/driver.ts';
import { invalid, LibnetworkError } from './errors.ts';
import { newMacAddress } from './ids.ts';
import { contains, FAMILIES, type Family, parseAddress, parsePrefix } from './ip.ts';
import type { Ipam } from './ipam/ipam.ts';
import type { NetworkEntry } from './network.ts';
import { plain } from './pools.ts';
import type { EndpointRecord, HeldAddress, NetworkRecord } from './records.ts';
import type { Undo } from './undo.ts';

/** Where addresses depend on the MAC address, it is made up before they are asked for, and not by the driver. */
export function withMac<T extends { readonly macAddress?: string | undefined }>(
  core: Core,
  { record }: NetworkEntry,
  parsed: T,
): T & Pick<EndpointRecord, 'macAddress' | 'macGenerated'> {
  if (parsed.macAddress !== undefined || record.pools.length === 0) return parsed;
  if (!core.ipam(record.ipam.driver).capabilities.requiresMacAddress) return parsed;
  return { ...parsed, macAddress: newMacAddress(), macGenerated: true };
}

/** Addresses that the driver has given where IPAM gave none. */
export function addressesOf(
  planned: EndpointRecord,
  decision: EndpointDecision | undefined,
): Pick<EndpointRecord, 'ipv4' | 'ipv6'> {
  const held = (family: Family): { [K in Family]?: HeldAddress } => {
    const address = decision?.[family];
    return address === undefined ? {} : { [family]: { poolId: planned[family]?.poolId ?? '', address } };
  };
  return { ...held('ipv4'), ...held('ipv6') };
}

/** Wanted addresses must lie in the network's subnets: checked before any address is taken. */
export function checkAddresses(
  { name, pools, ...network }: NetworkRecord,
  wanted: { readonly ipv4?: string | undefined; readonly ipv6?: string | undefined },
): void {
  for (const family of FAMILIES) {
    const address = wanted[family];
    if (address === undefined) continue;
    if (!network[family]) throw invalid(family, address, `the network ${name} has no ${family}`);
    if (!pools.some((pool) => pool.family === family && holds(pool.subnet, address)))
      throw invalid(family, address, `belongs to no subnet of network ${name}`);
  }
}

/** Whom addresses are asked for. */
export interface AddressHolder {
  readonly kind: 'endpoint' | 'service';
  readonly name: string;
  readonly macAddress?: string | undefined;
}

/** One address of each family that the network has. */
export async function requestAddresses(
  core: Core,
  network: NetworkEntry,
  holder: AddressHolder,
  wanted: Readonly<Record<Family, string | undefined>>,
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<{ ipv4?: HeldAddress; ipv6?: HeldAddress }> {
  const ipam = core.ipam(network.record.ipam.driver);
  const held: { ipv4?: HeldAddress; ipv6?: HeldAddress } = {};
  for (const family of FAMILIES) {
    if (!network.record[family]) continue;
    const got = await requestAddress(ipam, network, holder, family, wanted[family], signal);
    undo.push(`release ${got.address}`, () => ipam.releaseAddress(got.poolId, plain(got.address)));
    held[family] = got;
  }
  return held;
}

/** The wanted address from the pool that holds it, or any from the first pool that has one. */
async function requestAddress(
  ipam: Ipam,
  network: NetworkEntry,
  { kind, name, macAddress }: AddressHolder,
  family: Family,
  wanted: string | undefined,
  signal: AbortSignal | undefined,
): Promise<HeldAddress> {
  const pools = network.record.pools.filter((pool) => pool.family === family && holds(pool.subnet, wanted));
  const options = {
    'com.docker.network.endpoint.name': name,
    ...(macAddress ? { 'com.docker.network.endpoint.macaddress': macAddress } : {}),
  };
  let full: unknown;
  for (const { poolId } of pools) {
    try {
      const request = { poolId, address: wanted, holder: `${kind} ${name}`, options };
      const { address } = await ipam.requestAddress(request, { signal });
      return { poolId, address };
    } catch (error) {
      if (wanted !== undefined || !LibnetworkError.is(error, 'UNAVAILABLE')) throw error;
      full = error;
    }
  }
  throw new LibnetworkError(
    'UNAVAILABLE',
    `no ${family} address is left in network ${network.record.name}: ${pools.map((pool) => pool.subnet).join(', ')}`,
    { cause: full },
  );
}

function holds(subnet: string, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  const prefix = parsePrefix(subnet);
  const address = parseAddress(wanted);
  return prefix !== undefined && address !== undefined && contains(prefix, address);
}
