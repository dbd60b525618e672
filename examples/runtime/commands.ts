/** The commands that the runtime answers, from their words. */
import { parseArgs } from 'node:util';
import type { PortRequest } from 'libnetwork';
import { type Runtime, WAYS, type Way } from './runtime.ts';

export const USAGE = `runtime [--directory DIR] [--json] COMMAND
  daemon [--resolv-conf FILE]                runs in the foreground; the other commands talk to it
  network create [--subnet CIDR]... [--ipv6] [--internal] NAME
  network ls | network rm NAME
  run --name NAME [--network NETWORK]... [--publish [HOST:]CONTAINER[/udp]]... [--way path|hook|pid] -- COMMAND...
  exec NAME COMMAND...                       in a container that runs
  ps | logs NAME | stop [--seconds N] NAME
  connect [--alias NAME]... NETWORK NAME     plugs a running container into a network
  disconnect NETWORK NAME
  clear                                      removes every container and every network
  demo                                       all of it, in a directory of its own`;

/** @throws Error with what is wrong, also for words that are no command */
export async function execute(runtime: Runtime, [command, ...args]: readonly string[]): Promise<unknown> {
  switch (command) {
    case 'network':
      return network(runtime, args);
    case 'run':
      return run(runtime, args);
    case 'ps':
      return runtime.containers();
    case 'connect': {
      const { values, positionals } = parseArgs({
        args,
        options: { alias: { type: 'string', multiple: true } },
        allowPositionals: true,
      });
      const [name, container] = exactly(2, positionals);
      return runtime.connect(name, container, values.alias);
    }
    case 'disconnect': {
      const [name, container] = exactly(2, args);
      return runtime.disconnect(name, container);
    }
    case 'stop': {
      const options = { seconds: { type: 'string', default: '2' } } as const;
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
      const seconds = Number(values.seconds);
      if (!(seconds >= 0 && seconds <= 60)) throw new Error('--seconds must be from 0 to 60');
      return runtime.stop(exactly(1, positionals)[0], seconds * 1000);
    }
    case 'clear':
      return runtime.clear();
    default:
      throw new Error(USAGE);
  }
}

async function network(runtime: Runtime, [command, ...args]: readonly string[]): Promise<unknown> {
  switch (command) {
    case 'create': {
      const { values, positionals } = parseArgs({
        args,
        options: {
          subnet: { type: 'string', multiple: true, default: [] },
          ipv6: { type: 'boolean', default: false },
          internal: { type: 'boolean', default: false },
        },
        allowPositionals: true,
      });
      const { subnet: subnets, ipv6, internal } = values;
      return runtime.createNetwork(exactly(1, positionals)[0], { subnets, ipv6, internal });
    }
    case 'ls':
      return runtime.networks().map(({ name, driver, internal, ipam }) => ({
        name,
        driver,
        internal,
        subnets: ipam.pools.map(({ subnet }) => subnet),
      }));
    case 'rm':
      return runtime.deleteNetwork(exactly(1, args)[0]);
    default:
      throw new Error(USAGE);
  }
}

async function run(runtime: Runtime, args: readonly string[]): Promise<void> {
  const { values, positionals: command } = parseArgs({
    args: [...args],
    options: {
      name: { type: 'string' },
      network: { type: 'string', multiple: true, default: [] },
      publish: { type: 'string', multiple: true, default: [] },
      way: { type: 'string', default: 'path' },
    },
    allowPositionals: true,
  });
  const { name, network: networks, publish, way } = values;
  if (name === undefined || command.length === 0) throw new Error(USAGE);
  if (!isWay(way)) throw new Error(`--way must be one of ${WAYS.join(', ')}`);
  await runtime.run({ name, command, networks, publish: publish.map(port), way });
}

/** `8080:80`, `5353:53/udp`; `80`: any free port of the host. */
function port(text: string): PortRequest {
  const [, host, container, protocol] = /^(?:(\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? [];
  if (container === undefined) throw new Error(`--publish must be [HOST:]CONTAINER[/udp], not ${text}`);
  return {
    ...(host !== undefined && { host: Number(host) }),
    container: Number(container),
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
  };
}

function isWay(text: string): text is Way {
  return WAYS.some((way) => way === text);
}

function exactly(count: 1, words: readonly string[]): readonly [string];
function exactly(count: 2, words: readonly string[]): readonly [string, string];
function exactly(count: number, words: readonly string[]): readonly string[] {
  if (words.length !== count || words.some((word) => word.startsWith('-'))) throw new Error(USAGE);
  return words;
}
