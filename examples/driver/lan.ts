/**
 * A network driver to start from: each network is a bridge, each endpoint a veth pair, and nothing leads out of it.
 * `test/unit/examples/lan.test.ts` holds it to the driver contract; docs/drivers.md goes through it.
 */
import {
  type DriverFactory,
  type DriverNetwork,
  type DriverState,
  type JoinRequest,
  LibnetworkError,
  newMacAddress,
  parseStamp,
  stamp,
  throwIfAborted,
  vethName,
} from 'libnetwork/driverapi';

const bridgeName = (networkId: string): string => `lan${networkId.slice(0, 12)}`;

export const lanDriver: DriverFactory = ({ osl: { host }, instance }) => {
  const networks = new Set<string>();

  async function ensureBridge({ id }: DriverNetwork): Promise<void> {
    const name = bridgeName(id);
    const alias = stamp(instance, id);
    if (await host.link(name)) return host.apply([{ op: 'setLink', name, up: true, alias }]);
    await host.apply([{ op: 'createLink', name, link: { kind: 'bridge' }, up: true, alias }]);
  }

  /** The pair is made in one request, its far end right in the sandbox: all of it or nothing. */
  async function plugIn({ network, endpoint, namespace, interfaceName }: JoinRequest): Promise<void> {
    const name = vethName(endpoint.id);
    const alias = stamp(instance, endpoint.id);
    const master = bridgeName(network.id);
    if (await host.link(name)) {
      // An earlier call got this far; without its far end it is of no use.
      if (await namespace.link(interfaceName))
        return host.apply([{ op: 'setLink', name, master, up: true, alias }]);
      await host.deleteLink(name);
    }
    const peer = { name: interfaceName, macAddress: endpoint.macAddress, namespace };
    await host.apply([{ op: 'createLink', name, link: { kind: 'veth', peer }, master, up: true, alias }]);
  }

  /** Links with our stamp that no record names. Names of others' links don't look like ours. */
  async function orphans({ networks, endpoints }: DriverState): Promise<string[]> {
    const known = new Set([...networks.map(bridgeOf), ...endpoints.filter(isJoined).map(linkOf)]);
    return (await host.links())
      .filter(({ name, alias }) => /^(lan[0-9a-f]{12}|v[0-9a-f]{11})$/.test(name) && isOurs(alias))
      .flatMap(({ name }) => (known.has(name) ? [] : [name]));
  }
  const bridgeOf = ({ id }: DriverNetwork) => bridgeName(id);
  const linkOf = ({ endpoint }: DriverState['endpoints'][number]) => vethName(endpoint.id);
  const isJoined = ({ joined }: DriverState['endpoints'][number]) => joined;
  const isOurs = (alias: string | undefined) => parseStamp(alias)?.instance === instance;

  return {
    name: 'lan',
    capability: { dataScope: 'local', connectivityScope: 'local', usesIpam: true, resolvesNames: true },
    async createNetwork(network, { signal } = {}) {
      throwIfAborted(signal);
      await ensureBridge(network);
      networks.add(network.id);
    },
    async deleteNetwork({ id }) {
      await host.deleteLink(bridgeName(id));
      networks.delete(id);
    },
    decideEndpoint: ({ endpoint }) => (endpoint.macAddress ? {} : { macAddress: newMacAddress() }),
    async join(request) {
      if (!networks.has(request.network.id))
        throw new LibnetworkError('NOT_FOUND', `the lan driver has no network ${request.network.name}`);
      await plugIn(request);
      return { link: { kind: 'in-place' }, disableGatewayService: true };
    },
    async leave({ endpoint }) {
      await host.deleteLink(vethName(endpoint.id));
    },
    async restore(state) {
      for (const { id } of state.networks) networks.add(id);
    },
    async reconcile(state, { dryRun = false } = {}) {
      const there = new Set((await host.links()).map(({ name }) => name));
      const missing = state.networks.filter((network) => !there.has(bridgeOf(network)));
      const orphaned = await orphans(state);
      if (!dryRun) for (const network of missing) await ensureBridge(network);
      if (!dryRun) for (const name of orphaned) await host.deleteLink(name);
      return { missing: missing.map(bridgeOf), orphaned };
    },
  };
};
