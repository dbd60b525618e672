import { invalid, LibnetworkError, throwIfAborted } from '../errors.ts';
import type { Ipam } from './ipam.ts';

const SPACE = 'null';
const POOLS = { ipv4: '0.0.0.0/0', ipv6: '::/0' } as const;
const IDS: readonly string[] = Object.values(POOLS).map((subnet) => `${SPACE}/${subnet}`);

/**
 * The IPAM for networks whose endpoints get no address from us (`null`): one pool for each family that holds
 * everything, and an empty text for every address.
 */
export function nullIpam(): Ipam {
  return {
    name: SPACE,
    capabilities: { requiresMacAddress: false, requiresRequestReplay: false },
    defaultAddressSpaces: async () => ({ local: SPACE, global: SPACE }),
    async requestPool({ addressSpace, family, subnet, ipRange }, waits) {
      throwIfAborted(waits?.signal);
      if (addressSpace !== SPACE) throw invalid('addressSpace', addressSpace, `must be "${SPACE}"`);
      if (subnet !== undefined) throw invalid('ipam.pools.subnet', subnet, 'the null IPAM takes no subnet');
      if (ipRange !== undefined) throw invalid('ipam.pools.ipRange', ipRange, 'the null IPAM takes no range');
      return { id: `${SPACE}/${POOLS[family]}`, subnet: POOLS[family], meta: {} };
    },
    async releasePool(poolId, waits) {
      throwIfAborted(waits?.signal);
      checkPool(poolId);
    },
    async requestAddress({ poolId }, waits) {
      throwIfAborted(waits?.signal);
      checkPool(poolId);
      return { address: '', data: {} };
    },
    async releaseAddress(poolId, _address, waits) {
      throwIfAborted(waits?.signal);
      checkPool(poolId);
    },
  };
}

function checkPool(poolId: string): void {
  if (IDS.includes(poolId)) return;
  const message = `unknown address pool ${JSON.stringify(poolId)}: the null IPAM has ${IDS.join(' and ')}`;
  throw new LibnetworkError('NOT_FOUND', message, { field: 'poolId', value: poolId });
}
