import type { Command } from 'commander';
import type { GlobalOptions } from '../session.ts';

interface Flags extends GlobalOptions {
  readonly config?: string;
  readonly web?: string;
  readonly webExposed?: boolean;
  readonly firewall?: string;
  readonly allowDirectRouting?: boolean;
  readonly bridgeAcceptFwmark?: string;
  readonly predefined?: boolean;
  readonly runtimeHook?: boolean;
  readonly logLevel?: string;
  readonly socketMode?: string;
  readonly clusterStore?: string;
  readonly clusterAdvertise?: string;
  readonly clusterHost?: string;
}

export function daemonCommand(program: Command): void {
  const command = program
    .command('daemon')
    .description('serve the HTTP interfaces at --host until SIGTERM; sandboxes outlive it')
    .option('--config <file>', 'settings as JSON; default: /etc/libnetwork/dnet.json where it is')
    .option('--web <address:port>', 'serve the topology page, read-only, at an address of the loopback')
    .option('--web-exposed', 'let --web be an address that others reach; the page asks for no password')
    .option('--firewall <engine>', 'nftables, iptables or none')
    .option('--allow-direct-routing', 'let published ports be reached at the containers’ own addresses')
    .option('--bridge-accept-fwmark <mark>', 'let in what bears this mark of the host’s: 1, or 0x1/0xff')
    .option('--no-predefined', 'without the networks bridge, host and none')
    .option('--runtime-hook', 'listen for libnetwork-setkey, the hook of container runtimes')
    .option('--log-level <level>', 'debug, info, warn, error or silent')
    .option('--socket-mode <octal>', 'rights of the unix socket')
    .option(
      '--cluster-store <url>',
      'the store that hosts share: etcd://ADDRESS:PORT[,…]; others: docs/dnet.md',
    )
    .option('--cluster-advertise <address>', 'by which other hosts reach this one: its address, or a link')
    .option(
      '--cluster-host <name>',
      'this host’s name in the cluster, always the same; default: a random one',
    );
  command.action(async () => {
    const flags = command.optsWithGlobals<Flags>();
    (await import('../daemon/memory.ts')).keepSmall();
    const [{ readConfig }, { runDaemon }] = await Promise.all([
      import('../daemon/config.ts'),
      import('../daemon/run.ts'),
    ]);
    const { config, tlscacert, tlscert, tlskey, predefined, ...rest } = flags;
    const settings = {
      ...rest,
      tlsCaCert: tlscacert,
      tlsCert: tlscert,
      tlsKey: tlskey,
      // True is what commander has where the flag is not given.
      predefined: predefined === false ? false : undefined,
    };
    await runDaemon(readConfig(settings, process.env, config));
  });
}
