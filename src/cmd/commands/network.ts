import type { Command } from 'commander';
import type { Client, NetworkView } from '../../client/client.ts';
import { LibnetworkError } from '../../errors.ts';
import { shortId } from '../output.ts';
import { collect, optionPairs, pairs, readInteger } from '../values.ts';
import { act, actSlowly, FORMAT, forEach, type Kit, showEach } from './kit.ts';

interface CreateFlags {
  readonly driver?: string;
  readonly subnet?: readonly string[];
  readonly ipRange?: readonly string[];
  readonly gateway?: readonly string[];
  readonly auxAddress?: readonly string[];
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly internal?: boolean;
  readonly attachable?: boolean;
  readonly configOnly?: boolean;
  readonly configFrom?: string;
  readonly ipamDriver?: string;
  readonly ipamOpt?: readonly string[];
  readonly label?: readonly string[];
  readonly opt?: readonly string[];
}

export function networkCommands(program: Command, kit: Kit): void {
  const network = program.command('network').description('networks');
  creation(network, kit);
  listing(network, kit);
  membership(network, kit);
}

function creation(network: Command, kit: Kit): void {
  const { output } = kit;
  actSlowly<[string], CreateFlags>(
    kit,
    network
      .command('create')
      .description('make a network; prints its id')
      .argument('<name>')
      .option('-d, --driver <driver>', 'the driver', 'bridge')
      .option('--subnet <cidr>', 'a subnet; one for each address family', collect)
      .option('--ip-range <cidr>', 'the part of a subnet that addresses come from', collect)
      .option('--gateway <address>', 'the gateway of a subnet', collect)
      .option('--aux-address <name=address>', 'an address that no endpoint gets', collect)
      .option('--no-ipv4', 'without IPv4')
      .option('--ipv6', 'with IPv6')
      .option('--internal', 'no way in or out')
      .option('--attachable', 'containers that no orchestrator manages may join')
      .option('--config-only', 'only holds settings for other networks')
      .option('--config-from <network>', 'takes the settings of that network')
      .option('--ipam-driver <driver>', 'the IPAM driver')
      .option('--ipam-opt <key=value>', 'an option of the IPAM driver', collect)
      .option('--label <key=value>', 'a label', collect)
      .option('-o, --opt <key=value>', 'an option of the driver', collect),
    'making the network',
    async (client, flags, name) => {
      const { id } = await client.createNetwork({
        name,
        driver: flags.driver,
        ipv4: flags.ipv4,
        ipv6: flags.ipv6,
        internal: flags.internal,
        attachable: flags.attachable,
        configOnly: flags.configOnly,
        configFrom: flags.configFrom,
        labels: pairs(flags.label),
        options: optionPairs(flags.opt),
        ipam: await ipamOf(flags),
      });
      output.line(id);
    },
  );
  act<[string], { readonly label?: readonly string[]; readonly opt?: readonly string[] }>(
    network
      .command('update')
      .description('change labels and options in place')
      .argument('<network>')
      .option('--label <key=value>', 'a label', collect)
      .option('-o, --opt <key=value>', 'an option of the driver', collect),
    async (client, { label, opt }, name) => {
      const now = await client.network(name);
      await client.updateNetwork(name, {
        labels: { ...now.labels, ...pairs(label) },
        options: { ...now.options, ...optionPairs(opt) },
      });
    },
  );
  actSlowly<[string[]], object>(
    kit,
    network.command('rm').description('delete networks').argument('<network...>'),
    'deleting',
    async (client, _flags, names) =>
      forEach(names, async (name) => {
        await client.deleteNetwork(name);
        output.line(name);
      }),
  );
}

/** Ranges, gateways and auxiliary addresses go to the subnet that holds them. */
async function ipamOf(flags: CreateFlags) {
  const { subnet: subnets = [], ipRange = [], gateway = [] } = flags;
  const aux = Object.entries(pairs(flags.auxAddress));
  const { poolsOf } = await import('../pools.ts');
  return {
    driver: flags.ipamDriver,
    options: optionPairs(flags.ipamOpt),
    pools: poolsOf({ subnets, ranges: ipRange, gateways: gateway, aux }),
  };
}

function listing(network: Command, { output }: Kit): void {
  act<[], { quiet?: boolean; trunc?: boolean; format?: string }>(
    network
      .command('ls')
      .description('list networks')
      .option('-q, --quiet', 'ids only')
      .option('--no-trunc', 'whole ids')
      .option(...FORMAT),
    async (client, { quiet, trunc, format }) => {
      const networks = await client.networks();
      const isWhole = trunc === false;
      if (quiet) for (const { id } of networks) output.line(shortId(id, isWhole));
      else
        output.list<NetworkView>(
          networks,
          [
            { title: 'NETWORK ID', of: ({ id }) => shortId(id, isWhole) },
            { title: 'NAME', of: ({ name }) => name },
            { title: 'DRIVER', of: ({ driver }) => driver },
            { title: 'SCOPE', of: ({ scope }) => scope },
            { title: 'SUBNETS', of: ({ ipam }) => ipam.pools.map(({ subnet }) => subnet).join(', ') },
            { title: 'ENDPOINTS', of: ({ endpoints }) => String(endpoints) },
          ],
          format,
        );
    },
  );
  act<[string[]], { format?: string }>(
    network
      .command('inspect')
      .description('all about networks')
      .argument('<network...>')
      .option(...FORMAT),
    async (client, { format }, names) =>
      showEach(output, names, format, async (name) => {
        const [one, members] = await Promise.all([client.network(name), client.endpoints(name)]);
        return { ...one, members };
      }),
  );
  act<[string], object>(
    network.command('info').description('id, name and driver').argument('<network>'),
    async (client, _flags, name) => {
      const { id, name: full, driver } = await client.network(name);
      output.line(`Network Id: ${id}\nName: ${full}\nType: ${driver}`);
    },
  );
}

interface ConnectFlags {
  readonly ip?: string;
  readonly ip6?: string;
  readonly alias?: readonly string[];
  readonly name?: string;
  readonly macAddress?: string;
  readonly gwPriority?: string;
}

function membership(network: Command, kit: Kit): void {
  actSlowly<[string, string], ConnectFlags>(
    kit,
    network
      .command('connect')
      .description('put a container into a network, by an endpoint of its name')
      .argument('<network>')
      .argument('<container>')
      .option('--ip <address>', 'a certain IPv4 address')
      .option('--ip6 <address>', 'a certain IPv6 address')
      .option('--alias <name>', 'a further name in the network', collect)
      .option('--mac-address <address>', 'a certain MAC address')
      .option('--gw-priority <number>', 'the highest one gives the default route'),
    'connecting',
    async (client, flags, name, container) => {
      const { containerId, present } = await membershipOf(client, name, container);
      if (present)
        throw new LibnetworkError(
          'ALREADY_EXISTS',
          `container ${containerId} is in network ${name} already, by its endpoint ${present.name}`,
          { holder: `endpoint ${present.id}` },
        );
      const endpoint = await client.createEndpoint(name, {
        name: containerId,
        ipv4: flags.ip,
        ipv6: flags.ip6,
        aliases: flags.alias,
        macAddress: flags.macAddress,
        gatewayPriority: readInteger('gw-priority', flags.gwPriority),
      });
      try {
        await client.join(name, endpoint.id, { sandbox: containerId });
      } catch (error) {
        await client.deleteEndpoint(name, endpoint.id, { force: true });
        throw error;
      }
    },
  );
  actSlowly<[string, string], object>(
    kit,
    network
      .command('disconnect')
      .description('take a container out of a network')
      .argument('<network>')
      .argument('<container>'),
    'disconnecting',
    async (client, _flags, name, container) => {
      const { containerId, present } = await membershipOf(client, name, container);
      if (!present)
        throw new LibnetworkError('NOT_FOUND', `container ${containerId} is not in network ${name}`);
      await client.deleteEndpoint(name, present.id, { force: true });
    },
  );
}

async function membershipOf(client: Client, network: string, container: string) {
  const [{ containerId }, all] = await Promise.all([client.sandbox(container), client.endpoints(network)]);
  return { containerId, present: all.find((each) => each.containerId === containerId) };
}
