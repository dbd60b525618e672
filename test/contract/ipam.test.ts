import { memoryStore } from '../../src/datastore/index.ts';
import { createIpam, nullIpam } from '../../src/ipam/index.ts';
import { ipamContract } from '../../src/testing/ipam.ts';

ipamContract({ name: 'default, without a store', open: async () => createIpam() });
ipamContract({ name: 'default, on a local store', open: async () => createIpam({ store: memoryStore() }) });
ipamContract({
  name: 'default, on a store that others share',
  open: async () => {
    const ipam = createIpam({ globalStore: memoryStore({ scope: 'global' }), hostId: 'a' });
    const { global } = await ipam.defaultAddressSpaces();
    return { ...bound(ipam), defaultAddressSpaces: async () => ({ local: global, global }) };
  },
});
ipamContract({
  name: 'null',
  open: async () => nullIpam(),
  deviations: ['no-subnets', 'no-ranges', 'no-addresses', 'no-holders'],
});

/** The methods of an IPAM as an object of its own, so that some can be replaced. */
function bound(ipam: ReturnType<typeof createIpam>): ReturnType<typeof createIpam> {
  return {
    name: ipam.name,
    capabilities: ipam.capabilities,
    defaultAddressSpaces: (...args) => ipam.defaultAddressSpaces(...args),
    requestPool: (...args) => ipam.requestPool(...args),
    releasePool: (...args) => ipam.releasePool(...args),
    requestAddress: (...args) => ipam.requestAddress(...args),
    releaseAddress: (...args) => ipam.releaseAddress(...args),
    usage: async (...args) => (await ipam.usage?.(...args)) ?? Promise.reject(new Error('no usage')),
    reconcile: async (...args) => (await ipam.reconcile?.(...args)) ?? { missing: [], orphaned: [] },
  };
}
