/** A network's address pools: asking IPAM for them, and giving them back. */
import type { Core } from './core.ts';
import { invalid, LibnetworkError, throwIfAborted } from './errors.ts';
import { readHostResolvConf } from './hostfiles/files.ts';
import { parseResolvConf } from './hostfiles/resolvconf.ts';
import {
  bits,
  FAMILIES,
  type Family,
  familyOf,
  formatCidr,
  formatPrefix,
  parseAddress,
  parsePrefix,
  prefixOf,
} from './ip.ts';
import type { Excluded, Ipam, PoolUsage } from './ipam/ipam.ts';
import type { PoolRecord, RequestedPool } from './records.ts';
import { hostPaths } from './sandboxfiles.ts';
import type { Undo } from './undo.ts';

/** The label by which a driver or IPAM names a gateway (upstream's netlabel). */
const GATEWAY = 'com.docker.network.gateway';

export interface PoolsWanted {
  readonly networkName: string;
  readonly ipam: Ipam;
  readonly options: Readonly<Record<string, string>>;
  readonly addressSpace: string;
  readonly families: Readonly<Record<Family, readonly RequestedPool[]>>;
  /** Families whose pools need no gateway, unless one was asked for. Default: none. */
  readonly skipGateways?: Readonly<Record<Family, boolean>> | undefined;
}

/**
 * Sorts the pools that were asked for by family, with one open pool for each family that is on and has none.
 * @throws INVALID_ARGUMENT for a pool of a family that is off
 */
export function poolsByFamily(
  requested: readonly RequestedPool[],
  on: Readonly<Record<Family, boolean>>,
): Record<Family, RequestedPool[]> {
  const families: Record<Family, RequestedPool[]> = { ipv4: [], ipv6: [] };
  requested.forEach((pool, index) => {
    const known = pool.subnet ?? pool.gateway;
    const family = known === undefined ? (on.ipv4 ? 'ipv4' : 'ipv6') : familyOf(known.split('/')[0] ?? '');
    if (family === undefined || !on[family]) {
      throw invalid(
        `ipam.pools[${index}].subnet`,
        pool.subnet,
        `is of ${family ?? 'no family'}, which is off for this network`,
      );
    }
    families[family].push(pool);
  });
  for (const family of FAMILIES) {
    if (on[family] && families[family].length === 0) families[family].push({ auxAddresses: {} });
  }
  return families;
}

/** Asks for every pool, its gateway and its auxiliary addresses; each is noted in `undo` as it is got. */
export async function requestPools(
  core: Core,
  wanted: PoolsWanted,
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<PoolRecord[]> {
  const pools: PoolRecord[] = [];
  const open = FAMILIES.some((family) => wanted.families[family].some((pool) => pool.subnet === undefined));
  const exclude = open ? await hostPrefixes(core) : [];
  for (const family of FAMILIES) {
    for (const requested of wanted.families[family]) {
      throwIfAborted(signal);
      pools.push(await requestPool(wanted, family, requested, exclude, undo, signal));
    }
  }
  return pools;
}

async function requestPool(
  wanted: PoolsWanted,
  family: Family,
  requested: RequestedPool,
  exclude: readonly Excluded[],
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<PoolRecord> {
  const { ipam, addressSpace, options, networkName } = wanted;
  const { subnet, ipRange } = requested;
  const pool = await ipam.requestPool(
    { addressSpace, family, subnet, ipRange, options, exclude },
    { signal },
  );
  undo.push(`release pool ${pool.subnet}`, () => ipam.releasePool(pool.id));
  const hold = async (
    address: string | undefined,
    holder: string,
    kind: Readonly<Record<string, string>>,
  ) => {
    const got = await ipam.requestAddress({ poolId: pool.id, address, holder, options: kind }, { signal });
    undo.push(`release ${got.address}`, () => ipam.releaseAddress(pool.id, plain(got.address)));
    return got.address;
  };
  const offered = requested.gateway === undefined ? pool.meta[GATEWAY] : undefined;
  const skipped = requested.gateway === undefined && wanted.skipGateways?.[family] === true;
  const gateway = skipped
    ? undefined
    : (offered ??
      (await hold(requested.gateway, `gateway of ${networkName}`, { RequestAddressType: GATEWAY })));
  const auxAddresses: Record<string, string> = {};
  for (const [name, address] of Object.entries(requested.auxAddresses)) {
    auxAddresses[name] = await holdAux(pool.subnet, ipRange, address, () =>
      hold(address, `auxiliary address ${name} of ${networkName}`, {}),
    );
  }
  return { family, poolId: pool.id, subnet: pool.subnet, ipRange, gateway, auxAddresses };
}

/** An auxiliary address may lie outside the range that addresses are given from, as long as the subnet holds it. */
async function holdAux(
  subnet: string,
  ipRange: string | undefined,
  address: string,
  hold: () => Promise<string>,
): Promise<string> {
  try {
    return await hold();
  } catch (error) {
    const parsed = parseAddress(address);
    const prefix = parsePrefix(subnet);
    if (ipRange === undefined || !LibnetworkError.is(error, 'INVALID_ARGUMENT') || !parsed || !prefix)
      throw error;
    return formatCidr({ address: parsed, prefix });
  }
}

/** Gives back everything a network holds, past failures. */
export function releaseSteps(ipam: Ipam, pools: readonly PoolRecord[]): (() => Promise<unknown>)[] {
  return pools.flatMap((pool) => [
    ...heldAddresses(pool).map(
      ({ address }) =>
        () =>
          ipam.releaseAddress(pool.poolId, plain(address)),
    ),
    () => ipam.releasePool(pool.poolId),
  ]);
}

/** How full each pool is; none where the IPAM driver can't tell. */
export async function usageOf(
  ipam: Ipam,
  pools: readonly PoolRecord[],
): Promise<readonly (PoolUsage & { readonly subnet: string })[]> {
  if (!ipam.usage) return [];
  const usages: (PoolUsage & { readonly subnet: string })[] = [];
  for (const { poolId, subnet } of pools) usages.push({ subnet, ...(await ipam.usage(poolId)) });
  return usages;
}

/** The gateway and the auxiliary addresses of a pool, with who holds them. */
export function heldAddresses(
  pool: PoolRecord,
): { address: string; holder: string; options?: Readonly<Record<string, string>> }[] {
  const options = { RequestAddressType: GATEWAY };
  return [
    ...(pool.gateway === undefined ? [] : [{ address: pool.gateway, holder: 'gateway', options }]),
    ...Object.entries(pool.auxAddresses).map(([name, address]) => ({
      address,
      holder: `auxiliary address ${name}`,
    })),
  ];
}

/** The host's routes and name servers: what a pool of our choosing must not cover. */
async function hostPrefixes(core: Core): Promise<Excluded[]> {
  const routes = (await core.osl.host.routes())
    .filter(({ destination }) => destination !== 'default' && !destination.endsWith('/0'))
    .map((route) => ({
      prefix: route.destination,
      reason: `route ${route.destination}${route.link === undefined ? '' : ` of ${route.link}`}`,
    }));
  const { path, content } = await readHostResolvConf(hostPaths(core));
  const servers = parseResolvConf(content).servers.flatMap((server) => {
    const address = parseAddress(server);
    if (address === undefined) return [];
    const prefix = formatPrefix(prefixOf(address, bits(address.family)));
    return [{ prefix, reason: `name server ${server} of ${path}` }];
  });
  return [...routes, ...servers];
}

/** The address of a CIDR form. */
export function plain(cidr: string): string {
  return cidr.split('/')[0] ?? cidr;
}
