import type { Command } from 'commander';
import type { EndpointView } from '../../client/client.ts';
import { invalid, LibnetworkError } from '../../errors.ts';
import type { EndpointOptions } from '../../index.ts';
import { placeText, shortId } from '../output.ts';
import { ALIAS, collect, namesOf, pairs, readInteger, readPort } from '../values.ts';
import { act, actSlowly, FORMAT, forEach, type Kit } from './kit.ts';

interface CreateFlags {
  readonly ip?: string;
  readonly ip6?: string;
  readonly macAddress?: string;
  readonly alias?: readonly string[];
  readonly publish?: readonly string[];
  readonly gwPriority?: string;
  readonly interface?: string;
  readonly opt?: readonly string[];
  readonly label?: readonly string[];
  readonly service?: string;
  readonly serviceAlias?: readonly string[];
  readonly roundRobin?: boolean;
}

interface UpdateFlags {
  /** False: nothing any more. */
  readonly publish?: readonly string[] | false;
  readonly label?: readonly string[];
  readonly drain?: boolean;
}

export function endpointCommands(program: Command, kit: Kit): void {
  const endpoint = program.command('endpoint').description('places of sandboxes in networks');
  creation(endpoint, kit);
  listing(endpoint, kit);
  joining(endpoint, kit);
}

function creation(endpoint: Command, kit: Kit): void {
  const { output } = kit;
  act<[string, string], CreateFlags>(
    endpoint
      .command('create')
      .description('add an endpoint; prints its id')
      .argument('<network>')
      .argument('<name>')
      .option('--ip <address>', 'a certain IPv4 address')
      .option('--ip6 <address>', 'a certain IPv6 address')
      .option('--mac-address <address>', 'a certain MAC address')
      .option('--alias <name>', 'a further name in the network', collect)
      .option('-p, --publish <port>', '[ADDRESS:][HOST[-END]:]CONTAINER[/PROTOCOL]', collect)
      .option('--gw-priority <number>', 'the highest one gives the default route')
      .option('--interface <name>', 'the interface’s name in the sandbox')
      .option('-o, --opt <key=value>', 'an option of the driver', collect)
      .option('--label <key=value>', 'a label, by which policies know it', collect)
      .option('--service <name>', 'the service whose connections it takes its share of')
      .option('--service-alias <name>', 'a further name of the service', collect)
      .option('--round-robin', 'no virtual address: the service’s name has those of its endpoints'),
    async (client, flags, network, name) => {
      const { id } = await client.createEndpoint(network, {
        name,
        ipv4: flags.ip,
        ipv6: flags.ip6,
        macAddress: flags.macAddress,
        aliases: flags.alias,
        ports: flags.publish?.map(readPort),
        gatewayPriority: readInteger('gw-priority', flags.gwPriority),
        interfaceName: flags.interface,
        options: pairs(flags.opt),
        labels: pairs(flags.label),
        service: serviceOf(flags),
      });
      output.line(id);
    },
  );
  act<[string, string], UpdateFlags>(
    endpoint
      .command('update')
      .description('change what an endpoint publishes, its labels, or its share of its service, in place')
      .argument('<network>')
      .argument('<endpoint>')
      .option('-p, --publish <port>', 'a port; those not named are published no more', collect)
      .option('--no-publish', 'publish nothing any more')
      .option('--label <key=value>', 'a label; those not named go', collect)
      .option('--drain', 'its service gives it no new connections; those it has go on')
      .option('--no-drain', 'its service gives it connections again'),
    async (client, { publish, label, drain }, network, name) => {
      if (publish === undefined && label === undefined && drain === undefined)
        throw new LibnetworkError(
          'INVALID_ARGUMENT',
          'what is to change must be named: --publish, --no-publish, --label, --drain or --no-drain',
        );
      const ports = publish === false ? [] : publish;
      const { ports: now } = await client.updateEndpoint(network, name, {
        ports: ports?.map(readPort),
        labels: label && pairs(label),
        service: drain === undefined ? undefined : { enabled: !drain },
      });
      for (const port of now)
        output.line(`${port.container}/${port.protocol} -> ${placeText(port.hostAddress, port.host)}`);
    },
  );
  actSlowly<[string, string[]], { readonly force?: boolean }>(
    kit,
    endpoint
      .command('rm')
      .description('delete endpoints')
      .argument('<network>')
      .argument('<endpoint...>')
      .option('-f, --force', 'leave the sandbox first'),
    'deleting',
    async (client, { force }, network, names) =>
      forEach(names, async (name) => {
        await client.deleteEndpoint(network, name, { force: force ?? false });
        output.line(name);
      }),
  );
}

function serviceOf({ service, serviceAlias, roundRobin }: CreateFlags): EndpointOptions['service'] {
  if (service !== undefined)
    return { name: service, aliases: serviceAlias ?? [], mode: roundRobin ? 'dnsrr' : 'vip' };
  if (serviceAlias === undefined && !roundRobin) return undefined;
  throw invalid('service', undefined, 'must be named: --service-alias and --round-robin are about a service');
}

function listing(endpoint: Command, { output }: Kit): void {
  act<[string | undefined], { trunc?: boolean; format?: string }>(
    endpoint
      .command('ls')
      .description('list endpoints, of one network or of all')
      .argument('[network]')
      .option('--no-trunc', 'whole ids')
      .option(...FORMAT),
    async (client, { trunc, format }, network) => {
      const isWhole = trunc === false;
      output.list<EndpointView>(
        await client.endpoints(network),
        [
          { title: 'ENDPOINT ID', of: ({ id }) => shortId(id, isWhole) },
          { title: 'NAME', of: ({ name }) => name },
          { title: 'NETWORK', of: (it) => it.network },
          { title: 'CONTAINER', of: ({ containerId }) => containerId ?? '' },
          { title: 'ADDRESSES', of: ({ ipv4, ipv6 }) => [ipv4, ipv6].filter(Boolean).join(', ') },
          { title: 'INTERFACE', of: ({ interfaceName }) => interfaceName ?? '' },
        ],
        format,
      );
    },
  );
  act<[string, string], { format?: string }>(
    endpoint
      .command('inspect')
      .description('all about an endpoint')
      .argument('<network>')
      .argument('<endpoint>')
      .option(...FORMAT),
    async (client, { format }, network, name) => output.thing(await client.endpoint(network, name), format),
  );
}

interface JoinFlags {
  readonly alias?: readonly string[];
  readonly priority?: string;
}

function joining(endpoint: Command, kit: Kit): void {
  actSlowly<[string, string, string], JoinFlags>(
    kit,
    endpoint
      .command('join')
      .description('put an endpoint into a sandbox')
      .argument('<network>')
      .argument('<endpoint>')
      .argument('<sandbox>')
      .option(...ALIAS)
      .option('--priority <number>', 'replaces the endpoint’s gateway priority'),
    'joining',
    async (client, { alias = [], priority }, network, name, sandbox) => {
      const number = readInteger('priority', priority);
      const options = { sandbox, ...namesOf(alias), ...(number === undefined ? {} : { priority: number }) };
      const { interfaceName, ipv4, ipv6 } = await client.join(network, name, options);
      kit.output.line([interfaceName, ipv4, ipv6].filter(Boolean).join(' '));
    },
  );
  actSlowly<[string, string, string], object>(
    kit,
    endpoint
      .command('leave')
      .description('take an endpoint out of its sandbox')
      .argument('<network>')
      .argument('<endpoint>')
      .argument('<sandbox>'),
    'leaving',
    async (client, _flags, network, name, sandbox) => {
      await client.leave(network, name, sandbox);
    },
  );
}
