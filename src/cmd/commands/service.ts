/** Endpoints under the name that libnetwork's own client has for them. */
import type { Command } from 'commander';
import type { Client, EndpointView } from '../../client/client.ts';
import { shortId } from '../output.ts';
import { ALIAS, collect, namesOf, splitService } from '../values.ts';
import { act, FORMAT, type Kit } from './kit.ts';

export function serviceCommands(program: Command, { output }: Kit): void {
  const service = program.command('service').description('endpoints, as SERVICE[.NETWORK]');
  act<[string], { alias?: readonly string[] }>(
    service
      .command('publish')
      .description('add an endpoint; prints its id')
      .argument('<service[.network]>')
      .option('--alias <name>', 'a further name in the network', collect),
    async (client, { alias }, text) => {
      const { service: name, network } = splitService(text);
      output.line((await client.createEndpoint(network, { name, aliases: alias })).id);
    },
  );
  act<[string], { force?: boolean }>(
    service
      .command('unpublish')
      .description('delete an endpoint')
      .argument('<service[.network]>')
      .option('-f, --force', 'leave the sandbox first'),
    async (client, { force }, text) => {
      const { service: name, network } = splitService(text);
      await client.deleteEndpoint(network, name, { force: force ?? false });
    },
  );
  act<[string, string], { alias?: readonly string[] }>(
    service
      .command('attach')
      .description('put it into a container’s sandbox')
      .argument('<container>')
      .argument('<service[.network]>')
      .option(...ALIAS),
    async (client, { alias = [] }, sandbox, text) => {
      const { service: name, network } = splitService(text);
      await client.join(network, name, { sandbox, ...namesOf(alias) });
    },
  );
  act<[string, string], object>(
    service
      .command('detach')
      .description('take it out of a container’s sandbox')
      .argument('<container>')
      .argument('<service[.network]>'),
    async (client, _flags, sandbox, text) => {
      const { service: name, network } = splitService(text);
      await client.leave(network, name, sandbox);
    },
  );
  act<[], { network?: string; quiet?: boolean; trunc?: boolean; format?: string }>(
    service
      .command('ls')
      .description('list them')
      .option('--network <network>', 'of that network alone')
      .option('-q, --quiet', 'ids only')
      .option('--no-trunc', 'whole ids')
      .option(...FORMAT),
    async (client, flags) => listed(client, flags),
  );
  const listed = async (
    client: Client,
    {
      network,
      quiet,
      trunc,
      format,
    }: { network?: string; quiet?: boolean; trunc?: boolean; format?: string },
  ): Promise<void> => {
    const all = await client.endpoints(network);
    const isWhole = trunc === false;
    if (quiet) for (const { id } of all) output.line(shortId(id, isWhole));
    else
      output.list<EndpointView>(
        all,
        [
          { title: 'SERVICE ID', of: ({ id }) => shortId(id, isWhole) },
          { title: 'NAME', of: ({ name }) => name },
          { title: 'NETWORK', of: (it) => it.network },
          { title: 'CONTAINER', of: ({ containerId }) => containerId ?? '' },
          { title: 'SANDBOX', of: ({ sandboxId }) => shortId(sandboxId ?? '', isWhole) },
        ],
        format,
      );
  };
  act<[string], object>(
    service.command('info').description('id, name and network').argument('<service[.network]>'),
    async (client, _flags, text) => {
      const { service: name, network } = splitService(text);
      const found = await client.endpoint(network, name);
      output.line(`Service Id: ${found.id}\nName: ${found.name}\nNetwork: ${found.network}`);
    },
  );
}
