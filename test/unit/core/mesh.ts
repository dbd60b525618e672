import type { Driver, DriverFactory, JoinResult } from '../../../src/driverapi/driver.ts';
import { vethName } from '../../../src/ids.ts';

/**
 * A driver whose networks have links, several subnets, and no way out, as an overlay's; what its joins answer
 * beside the link is the test's.
 */
export function meshDriver(
  answer: Partial<JoinResult> = {},
  more: Partial<Driver> = {},
  name = 'mesh',
): DriverFactory {
  return ({ osl }) => ({
    name,
    capability: { dataScope: 'local', connectivityScope: 'local', usesIpam: true, resolvesNames: true },
    createNetwork: async () => undefined,
    deleteNetwork: async () => undefined,
    decideEndpoint: ({ endpoint }) => ({ macAddress: endpoint.macAddress ?? '02:42:00:00:00:01' }),
    join: async ({ endpoint, namespace, interfaceName }) => {
      const peer = { name: interfaceName, macAddress: endpoint.macAddress, namespace };
      await osl.host.apply([{ op: 'createLink', name: vethName(endpoint.id), link: { kind: 'veth', peer } }]);
      return { link: { kind: 'in-place' }, ...answer };
    },
    leave: async ({ endpoint }) => void (await osl.host.deleteLink(vethName(endpoint.id))),
    restore: async () => undefined,
    reconcile: async () => ({ missing: [], orphaned: [] }),
    ...more,
  });
}
