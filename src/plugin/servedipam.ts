/** An IPAM behind Docker's protocol. */
import type * as v from 'valibot';
import { parseCidr } from '../ip.ts';
import type { Excluded, Ipam } from '../ipam/ipam.ts';
import type { Osl } from '../osl/osl.ts';
import { read } from './json.ts';
import { requests } from './messages/ipam.ts';
import type { Handler, Served } from './server.ts';

export interface ServedIpamOptions {
  /** Pools of the IPAM's choosing do not overlap the routes of this kernel's host. @default any pool will do */
  readonly osl?: Osl | undefined;
  /**
   * Docker asks again for all that it holds when it starts. Only for an IPAM that keeps nothing and is started anew
   * with Docker: one that goes on would be asked for what it has given. @default false
   */
  readonly requiresRequestReplay?: boolean | undefined;
}

const DONE = {};

export function servedIpam(ipam: Ipam, { osl, requiresRequestReplay = false }: ServedIpamOptions): Served {
  return {
    kind: 'IpamDriver',
    methods: {
      GetCapabilities: async () => ({
        RequiresMACAddress: ipam.capabilities.requiresMacAddress,
        RequiresRequestReplay: requiresRequestReplay,
      }),
      async GetDefaultAddressSpaces(_body, signal) {
        const { local, global } = await ipam.defaultAddressSpaces({ signal });
        return { LocalDefaultAddressSpace: local, GlobalDefaultAddressSpace: global };
      },
      RequestPool: asked('RequestPool', async (body, signal) => {
        const { id, subnet, meta } = await ipam.requestPool(
          {
            addressSpace: body.AddressSpace,
            family: body.V6 ? 'ipv6' : 'ipv4',
            subnet: body.Pool || undefined,
            ipRange: body.SubPool || undefined,
            options: body.Options,
            exclude: osl && body.Pool === '' ? await routesOf(osl) : [],
          },
          { signal },
        );
        return { PoolID: id, Pool: subnet, Data: meta };
      }),
      ReleasePool: asked('ReleasePool', async ({ PoolID }, signal) => {
        await ipam.releasePool(PoolID, { signal });
        return DONE;
      }),
      RequestAddress: asked('RequestAddress', async ({ PoolID, Address, Options }, signal) => {
        const request = { poolId: PoolID, address: Address || undefined, options: Options };
        const { address, data } = await ipam.requestAddress(request, { signal });
        return { Address: address, Data: data };
      }),
      ReleaseAddress: asked('ReleaseAddress', async ({ PoolID, Address }, signal) => {
        await ipam.releaseAddress(PoolID, Address, { signal });
        return DONE;
      }),
    },
    close: async () => undefined,
  };
}

function asked<M extends keyof typeof requests>(
  method: M,
  act: (body: v.InferOutput<(typeof requests)[M]>, signal: AbortSignal) => Promise<object>,
): Handler {
  return async (body, signal) =>
    act(
      read<v.GenericSchema<unknown, v.InferOutput<(typeof requests)[M]>>>(
        requests[method] as unknown as v.GenericSchema<unknown, v.InferOutput<(typeof requests)[M]>>,
        body,
        `IpamDriver.${method}`,
        'INVALID_ARGUMENT',
      ),
      signal,
    );
}

async function routesOf({ host }: Osl): Promise<Excluded[]> {
  const routes = await host.routes();
  return routes
    .filter(({ destination }) => destination !== 'default' && parseCidr(destination)?.prefix.length !== 0)
    .map(({ destination, link }) => ({
      prefix: destination,
      reason: `route ${destination}${link === undefined ? '' : ` of ${link}`}`,
    }));
}
