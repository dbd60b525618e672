/**
 * The first process of a machine of its own: its namespaces of processes, mounts and the network end with it. It
 * serves our bridge driver and our IPAM as Docker's plugin `ours`, runs a Docker daemon, and obeys lines on stdin.
 * Its argument is a directory for all that it writes.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { builtinDrivers, driverHost, linuxOsl } from 'libnetwork';
import { levelStore } from 'libnetwork/datastore';
import { createIpam } from 'libnetwork/ipam';
import { servePlugin } from 'libnetwork/plugin';

const [directory = '', cgroup = ''] = process.argv.slice(2);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const ignore = () => undefined;
const logger = { debug: ignore, info: ignore, warn: complain, error: complain };
function complain(message, facts) {
  process.stderr.write(`${message} ${facts?.error?.stack ?? ''}\n`);
}

execFileSync('mount', ['--make-rprivate', '/']);
mkdirSync('/run/docker', { recursive: true });
execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run/docker']);

const osl = linuxOsl({ logger });
await osl.host.apply([{ op: 'setLink', name: 'lo', up: true }]);

async function startPlugin() {
  const store = await levelStore({ path: `${directory}/plugin` });
  const host = await driverHost({ osl, instance: 'ours', store, runDir: `${directory}/run`, logger });
  const driver = await builtinDrivers.bridge(host);
  const ipam = createIpam({ store, defaultAddressPools: [{ base: '10.66.0.0/16', size: 24 }] });
  const server = await servePlugin(
    { driver, ipam },
    { socket: '/run/docker/plugins/ours.sock', osl, store, logger },
  );
  return {
    kept: async () => (await store.list('')).map(({ key }) => key),
    async stop() {
      await server.close();
      await host.firewall.close();
      await store.close();
    },
  };
}

async function startDocker() {
  const socket = `${directory}/docker.sock`;
  const args = [
    ['--data-root', `${directory}/data`],
    ['--exec-root', `${directory}/exec`],
    ['--pidfile', `${directory}/docker.pid`],
    ['--host', `unix://${socket}`],
    ['--cgroup-parent', cgroup],
    ['--bridge', 'none'],
    ['--iptables=false'],
  ].flat();
  const log = createWriteStream(`${directory}/docker.log`, { flags: 'a' });
  const daemon = spawn('dockerd', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [daemon.stdout, daemon.stderr]) stream.pipe(log);
  const ended = once(daemon, 'exit');
  while (!existsSync(socket)) {
    if (daemon.exitCode !== null) throw new Error(`dockerd ended with ${daemon.exitCode}`);
    await setTimeout(50);
  }
  return {
    async stop() {
      daemon.kill('SIGTERM');
      await ended;
    },
  };
}

let plugin = await startPlugin();
let docker = await startDocker();

const commands = {
  'restart docker': async () => {
    await docker.stop();
    docker = await startDocker();
  },
  'restart plugin': async () => {
    await plugin.stop();
    plugin = await startPlugin();
  },
  look: async () => ({
    links: (await osl.host.links()).map(({ name }) => name),
    rules: execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }),
    kept: await plugin.kept(),
  }),
  stop: async () => {
    await docker.stop();
    await plugin.stop();
    await osl.close();
  },
};

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say({ did: line, result: await commands[line]() });
  } catch (error) {
    say({ failed: line, error: String(error?.stack ?? error) });
  }
  if (line === 'stop') break;
}
process.exit(0);
