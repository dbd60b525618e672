import type { Command } from 'commander';
import type { SandboxView } from '../../client/client.ts';
import { shortId } from '../output.ts';
import type { GlobalOptions } from '../session.ts';
import { collect, pairs } from '../values.ts';
import { act, actSlowly, FORMAT, forEach, type Kit, showEach } from './kit.ts';

interface CreateFlags {
  readonly hostname?: string;
  readonly domainname?: string;
  readonly addHost?: readonly string[];
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOpt?: readonly string[];
  readonly namespace?: string;
  readonly externalKey?: boolean;
}

export function sandboxCommands(program: Command, kit: Kit): void {
  const { output } = kit;
  const sandbox = program.command('sandbox').description('network stacks of containers');
  creation(sandbox, kit);
  act<[], { quiet?: boolean; trunc?: boolean; format?: string }>(
    sandbox
      .command('ls')
      .description('list sandboxes')
      .option('-q, --quiet', 'container ids only')
      .option('--no-trunc', 'whole ids')
      .option(...FORMAT),
    async (client, { quiet, trunc, format }) => {
      const all = await client.sandboxes();
      if (quiet) for (const { containerId } of all) output.line(containerId);
      else
        output.list<SandboxView>(
          all,
          [
            { title: 'SANDBOX ID', of: ({ id }) => shortId(id, trunc === false) },
            { title: 'CONTAINER', of: ({ containerId }) => containerId },
            { title: 'HOSTNAME', of: ({ hostname }) => hostname ?? '' },
            { title: 'NETWORKS', of: ({ endpoints }) => endpoints.map((it) => it.network).join(', ') },
            { title: 'NAMESPACE', of: ({ namespacePath }) => namespacePath },
          ],
          format,
        );
    },
  );
  act<[string[]], { format?: string }>(
    sandbox
      .command('inspect')
      .description('all about sandboxes')
      .argument('<sandbox...>')
      .option(...FORMAT),
    async (client, { format }, names) => showEach(output, names, format, (name) => client.sandbox(name)),
  );
  removal(sandbox, kit, '<sandbox...>');
  execution(sandbox);
  // As libnetwork's own client has it.
  const container = program
    .command('container')
    .description('sandboxes, as libnetwork’s own client calls them');
  act<[string], object>(
    container.command('create').description('make a sandbox; prints its id').argument('<id>'),
    async (client, _flags, containerId) => output.line((await client.createSandbox({ containerId })).id),
  );
  removal(container, kit, '<id...>');
}

function creation(sandbox: Command, kit: Kit): void {
  actSlowly<[string], CreateFlags>(
    kit,
    sandbox
      .command('create')
      .description('make a sandbox for a container; prints its id')
      .argument('<container>')
      .option('--hostname <name>')
      .option('--domainname <name>')
      .option('--add-host <name=address>', 'a line of /etc/hosts', collect)
      .option('--dns <address>', 'a name server', collect)
      .option('--dns-search <domain>', 'a domain to search in', collect)
      .option('--dns-opt <option>', 'an option of resolv.conf', collect)
      .option('--namespace <path>', 'an existing network namespace, or `host`')
      .option('--external-key', 'the runtime tells its namespace later'),
    'making the sandbox',
    async (client, flags, containerId) => {
      const { id } = await client.createSandbox({
        containerId,
        hostname: flags.hostname,
        domainname: flags.domainname,
        extraHosts: pairs(flags.addHost?.map((line) => line.replace(/^([^=:]+):/, '$1='))),
        dns: { servers: flags.dns, search: flags.dnsSearch, options: flags.dnsOpt },
        namespacePath: flags.namespace,
        externalKey: flags.externalKey,
      });
      kit.output.line(id);
    },
  );
}

function removal(parent: Command, kit: Kit, argument: string): void {
  const { output } = kit;
  actSlowly<[string[]], object>(
    kit,
    parent.command('rm').description('delete sandboxes and the endpoints in them').argument(argument),
    'deleting',
    async (client, _flags, names) =>
      forEach(names, async (name) => {
        await client.deleteSandbox(name);
        output.line(name);
      }),
  );
}

function execution(sandbox: Command): void {
  const command = sandbox
    .command('exec')
    .description(
      'run a program in a sandbox’s network stack, with this user, files and terminal; ends as it ends',
    )
    .argument('<sandbox>')
    .argument('<program>', 'its own flags may follow, with or without -- before it')
    .argument('[arguments...]');
  command.action(async (name: string, program: string, args: string[]) => {
    const { execute } = await import('../execute.ts');
    process.exitCode = await execute(command.optsWithGlobals<GlobalOptions>(), { name, program, args });
  });
}
