/** The command line: what there is, and what each command takes. What a command needs is loaded when it runs. */
import { Command, Option } from 'commander';
import { clusterCommands } from './commands/cluster.ts';
import { daemonCommand } from './commands/daemon.ts';
import { endpointCommands } from './commands/endpoint.ts';
import { act, FORMAT, type Kit } from './commands/kit.ts';
import { networkCommands } from './commands/network.ts';
import { sandboxCommands } from './commands/sandbox.ts';
import { serviceCommands } from './commands/service.ts';
import { stateCommands } from './commands/state.ts';
import { completionScript, SHELLS } from './completion.ts';
import { outputTo, type Streams } from './output.ts';
import { DEFAULT_HOST } from './session.ts';
import { packageVersion } from './version.ts';

export function makeProgram(streams: Streams): Command {
  const kit: Kit = { output: outputTo(streams) };
  const program = new Command('dnet')
    .description(
      'Networks of containers: a daemon, and the commands that speak to it or work alone with --data-dir',
    )
    .version(packageVersion(), '-v, --version')
    .addOption(
      new Option('-H, --host <host>', 'the daemon: unix:///PATH or tcp://ADDRESS:PORT').env('DNET_HOST'),
    )
    .option('--data-dir <dir>', 'where records are; without a daemon: work on them in this process')
    .option('--run-dir <dir>', 'where namespaces and files of sandboxes are')
    .option('--instance <name>', 'tells the objects of one daemon from those of another')
    .option('--fake', 'on a kernel in memory, without root')
    .option('--tlscacert <file>', 'with tcp: the certificate of the authority')
    .option('--tlscert <file>', 'with tcp: the own certificate')
    .option('--tlskey <file>', 'with tcp: the own key')
    .configureHelp({ showGlobalOptions: true, helpWidth: 100 })
    .configureOutput({
      writeOut: (text) => streams.out.write(text),
      writeErr: (text) => streams.err.write(text),
    })
    .addHelpText('after', `\nWithout --host it is DNET_HOST, or ${DEFAULT_HOST}. Exit codes: docs/dnet.md.`);
  daemonCommand(program);
  networkCommands(program, kit);
  endpointCommands(program, kit);
  sandboxCommands(program, kit);
  serviceCommands(program, kit);
  clusterCommands(program, kit);
  stateCommands(program, kit);
  act<[], { format?: string }>(
    program
      .command('health')
      .description('whether the daemon answers, and which it is')
      .option(...FORMAT),
    async (client, { format }) => kit.output.thing(await client.health(), format),
  );
  program
    .command('completion')
    .description('print a completion script')
    .argument('<shell>', SHELLS.join(', '))
    .action((shell: string) => {
      streams.out.write(completionScript(program, shell));
    });
  pointToHelp(program, []);
  return program;
}

/** After a wrong usage each command names its own help. */
function pointToHelp(command: Command, path: readonly string[]): void {
  const own = [...path, command.name()];
  command.showHelpAfterError(`(${own.join(' ')} --help tells what there is)`);
  for (const each of command.commands) pointToHelp(each as Command, own);
}
