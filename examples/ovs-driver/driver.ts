import { LibnetworkError } from 'libnetwork';
import {
  type Driver,
  type DriverEndpoint,
  type DriverHost,
  type DriverNetwork,
  type DriverState,
  integerOption,
  invalid,
  type JoinRequest,
  stamp,
  textOption,
} from 'libnetwork/driverapi';
import { Ovsdb } from './ovsdb.ts';
import { VSwitch } from './vswitch.ts';

export interface OvsOptions {
  /** The socket of the database's server. @default '/var/run/openvswitch/db.sock' */
  readonly database?: string | undefined;
  /** `netdev` switches in ovs-vswitchd itself, for kernels without its module. @default 'system' */
  readonly datapath?: 'system' | 'netdev' | undefined;
}

/** The one bridge of all networks: what keeps them apart are VLANs. */
const BRIDGE = 'br-libnetwork';

const option = {
  /** 1 to 4094, a number of its own for each network. */
  vlan: 'ovs.vlan',
  /** Other switches with the same network, between commas; with `vni`. */
  remotes: 'ovs.remotes',
  /** The VXLAN network identifier (RFC 7348). */
  vni: 'ovs.vni',
  /** Of an endpoint: bits a second to and from the container. */
  toContainer: 'ovs.rate.to',
  fromContainer: 'ovs.rate.from',
} as const;

/** The host's end of an endpoint's link, found again by the id. Names of other forms are other drivers'. */
const hostEnd = (endpointId: string) => `ovs${endpointId.slice(0, 11)}`;

interface OvsNetwork {
  readonly id: string;
  readonly vlan: number;
  readonly tunnels: readonly { readonly port: string; readonly remote: string; readonly vni: number }[];
}

/**
 * Networks as VLANs of one Open vSwitch bridge, stretched to other switches by VXLAN, with rates for each endpoint.
 * The gateway is whoever has its address: a router on the VLAN.
 */
export async function ovsDriver(
  { osl, instance }: Pick<DriverHost, 'osl' | 'instance'>,
  { database = '/var/run/openvswitch/db.sock', datapath = 'system' }: OvsOptions = {},
): Promise<Driver> {
  const db = await Ovsdb.connect(database);
  const vswitch = new VSwitch(db, datapath);
  const networks = new Map<string, OvsNetwork>();

  function parse(network: DriverNetwork): OvsNetwork {
    const { options, id } = network;
    const vlan = integerOption(options, option.vlan, { min: 1, max: 4094 });
    if (vlan === undefined) throw invalid(option.vlan, undefined, 'must be given: the VLAN of the network');
    const vni = integerOption(options, option.vni, { min: 1, max: 0xff_ffff });
    const remotes = (textOption(options, option.remotes) ?? '').split(',').filter((each) => each !== '');
    if (remotes.length > 0 && vni === undefined)
      throw invalid(option.vni, vni, `must be given with ${option.remotes}`);
    const tunnels = remotes.map((remote, i) => ({ port: `vx${id.slice(0, 8)}${i}`, remote, vni: vni ?? 0 }));
    const other = [...networks.values()].find((each) => each.id !== id && each.vlan === vlan);
    if (other === undefined) return { id, vlan, tunnels };
    throw new LibnetworkError(
      'CONFLICT',
      `network ${network.name} can't have VLAN ${vlan}: network ${other.id.slice(0, 12)} has it`,
      {
        field: option.vlan,
        value: vlan,
        holder: other.id,
      },
    );
  }

  function ratesOf({ options, limits }: DriverEndpoint) {
    const range = { min: 8, max: Number.MAX_SAFE_INTEGER };
    return {
      out: limits?.ingress ?? integerOption(options, option.toContainer, range),
      in: limits?.egress ?? integerOption(options, option.fromContainer, range),
    };
  }

  /** Where the switch is a process, it reads what the container sends before a card would have summed it. */
  async function sumInSoftware({ namespace, interfaceName }: JoinRequest): Promise<void> {
    if (datapath !== 'netdev') return;
    const child = namespace.spawn('ethtool', ['-K', interfaceName, 'tx', 'off'], { stdio: 'ignore' });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('exit', resolve);
    });
    if (code !== 0)
      throw new LibnetworkError('INTERNAL', `ethtool ended with ${code}`, { operation: 'join' });
  }

  async function removeOrphans(state: DriverState, dryRun: boolean): Promise<string[]> {
    const joined = state.endpoints.filter((each) => each.joined).map(({ endpoint }) => endpoint.id);
    const known = new Set(
      [...joined, ...state.networks.map(({ id }) => id)].map((id) => stamp(instance, id)),
    );
    const ours = [...(await vswitch.ports())].filter(([, owner]) => owner.startsWith(stamp(instance, '')));
    const orphans = ours.filter(([, owner]) => !known.has(owner)).map(([name]) => name);
    if (!dryRun) for (const name of orphans) await vswitch.deletePort(name);
    return orphans.map((name) => `port ${name}`);
  }

  return {
    name: 'ovs',
    capability: { dataScope: 'local', connectivityScope: 'global', usesIpam: true, resolvesNames: true },
    validateNetwork: (network) => void parse(network),
    async createNetwork(network) {
      const parsed = parse(network);
      networks.set(network.id, parsed);
      await vswitch.ensureBridge(BRIDGE);
      for (const { port, ...vxlan } of parsed.tunnels)
        await vswitch.addPort(BRIDGE, {
          name: port,
          vlan: parsed.vlan,
          vxlan,
          owner: stamp(instance, network.id),
        });
    },
    async deleteNetwork(network) {
      for (const [name, owner] of await vswitch.ports())
        if (owner === stamp(instance, network.id)) await vswitch.deletePort(name);
      networks.delete(network.id);
      if (networks.size === 0) await vswitch.deleteUnusedBridge(BRIDGE);
    },
    decideEndpoint({ endpoint }) {
      // Refused now, not when the container starts.
      ratesOf(endpoint);
      return {};
    },
    async join(request) {
      const { network, endpoint, namespace, interfaceName } = request;
      const { vlan } = networks.get(network.id) ?? parse(network);
      const name = hostEnd(endpoint.id);
      const owner = stamp(instance, endpoint.id);
      await osl.host.deleteLink(name);
      const peer = { name: interfaceName, namespace, macAddress: endpoint.macAddress };
      await osl.host.apply([
        { op: 'createLink', name, link: { kind: 'veth', peer }, up: true, alias: owner },
      ]);
      await sumInSoftware(request);
      await vswitch.addPort(BRIDGE, { name, vlan, owner });
      await vswitch.setRates(name, ratesOf(endpoint));
      const hop = (cidr: string | undefined) => (network.internal ? undefined : cidr?.split('/')[0]);
      return {
        link: { kind: 'in-place' },
        gateway4: hop(network.ipv4[0]?.gateway),
        gateway6: hop(network.ipv6[0]?.gateway),
        disableGatewayService: true,
      };
    },
    async leave({ endpoint }) {
      await vswitch.deletePort(hostEnd(endpoint.id));
      await osl.host.deleteLink(hostEnd(endpoint.id));
    },
    limit: ({ endpoint }) => vswitch.setRates(hostEnd(endpoint.id), ratesOf(endpoint)),
    async restore(state) {
      for (const network of state.networks) networks.set(network.id, parse(network));
    },
    async reconcile(state, { dryRun = false } = {}) {
      const there = new Set((await vswitch.ports()).keys());
      const missing = state.endpoints.filter((each) => each.joined && !there.has(hostEnd(each.endpoint.id)));
      return {
        missing: missing.map(({ endpoint }) => `port ${hostEnd(endpoint.id)} of endpoint ${endpoint.name}`),
        orphaned: await removeOrphans(state, dryRun),
      };
    },
    async close() {
      db.close();
    },
  };
}
