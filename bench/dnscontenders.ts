/** Name servers of containers, each as its own program runs it, in namespaces made for it. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetworkController, type Sandbox } from 'libnetwork';
import type { Namespace, Osl } from 'libnetwork/osl';
import { isInstalled, type Programs } from './dnsclient.ts';

/** One that answers clients in `client` at `address`, for the name `web` and for all below `example`. */
export interface Contender {
  readonly name: string;
  readonly client: Namespace;
  readonly address: string;
  /** Processor time that it has taken until now, in microseconds, with what the kernel does on its account. */
  cpu(): number;
}

/** Of a process and all its threads; 0 for one that is not there. */
function cpuOf(pid: number | undefined): number {
  if (pid === undefined || !existsSync(`/proc/${pid}/task`)) return 0;
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000)
    .reduce((sum, each) => sum + each, 0);
}

/** Where contenders are made, and how they are taken away: last first, past failures. */
export class Yard {
  readonly kernel: Osl;
  readonly programs: Programs;
  readonly #ends: (() => unknown)[] = [];

  constructor(kernel: Osl, programs: Programs) {
    this.kernel = kernel;
    this.programs = programs;
  }

  /** A directory in which everything of the bench lives. */
  get directory(): string {
    return this.programs.directory;
  }

  atEnd(end: () => unknown): void {
    this.#ends.push(end);
  }

  async clear(): Promise<void> {
    const failures: unknown[] = [];
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'something of the bench is left behind');
  }

  async namespace(name: string): Promise<Namespace> {
    const path = join(this.directory, name);
    const namespace = await this.kernel.createNamespace(path);
    this.atEnd(async () => {
      await namespace.close();
      await this.kernel.deleteNamespace(path);
    });
    return namespace;
  }

  /** Runs a program until the end. */
  daemon(namespace: Namespace, file: string, words: readonly string[]): ChildProcess {
    const child = namespace.spawn(file, words, { stdio: ['pipe', 'ignore', 'ignore'] });
    const exit = once(child, 'exit');
    this.atEnd(async () => {
      child.kill();
      await exit;
    });
    return child;
  }

  /** The server that all forward to, at an address of a namespace: `dnsmasq`, or one of the bench's own. */
  upstream(namespace: Namespace, address: string, port = 53): void {
    if (!isInstalled('dnsmasq')) {
      this.daemon(namespace, this.programs.path('dnsserve'), [address, String(port)]);
      return;
    }
    this.daemon(namespace, 'dnsmasq', [
      ...DNSMASQ,
      `--listen-address=${address}`,
      `--port=${port}`,
      '--address=/example/192.0.2.1',
    ]);
  }

  /** Waits until it answers for a name. */
  async ready(contender: Contender, names: readonly string[]): Promise<Contender> {
    for (const name of names) {
      for (let tries = 0; ; tries++) {
        const { answered, bad } = await this.programs.load({ ...contender, name }, 1, 1);
        if (answered === 1 && bad === 0) break;
        if (tries === 50) throw new Error(`${contender.name} does not answer for ${name}`);
        await sleep(100);
      }
    }
    return contender;
  }
}

const DNSMASQ = [
  '--keep-in-foreground',
  '--conf-file=/dev/null',
  '--no-resolv',
  '--no-hosts',
  '--bind-interfaces',
  '--user=root',
  '--pid-file=',
  '--cache-size=0',
  '--dns-forward-max=10000',
];

export interface Ours extends Contender {
  /** One more sandbox on the same network. */
  add(containerId: string): Promise<Contender>;
}

/** A controller of this package, with a namespace that plays its host; with `inThread` in a thread of its own. */
export async function ours(yard: Yard, name: string, inThread: boolean): Promise<Ours> {
  const host = await yard.namespace(`ours-${inThread}`);
  const { kernel } = yard;
  const osl: Osl = {
    kind: kernel.kind,
    host,
    createNamespace: (path) => kernel.createNamespace(path),
    openNamespace: (path) => kernel.openNamespace(path),
    deleteNamespace: (path) => kernel.deleteNamespace(path),
    listNamespaces: (directory) => kernel.listNamespaces(directory),
    close: async () => undefined,
  };
  const controller = await NetworkController.open({
    osl,
    runDir: join(yard.directory, `run-${inThread}`),
    dns: { worker: inThread },
  });
  yard.atEnd(() => controller.close());
  const network = await controller.createNetwork({
    name: 'front',
    ipam: { pools: [{ subnet: '10.78.0.0/16' }] },
  });
  const box = async (container: string): Promise<Sandbox> => {
    const sandbox = await controller.createSandbox({
      containerId: container,
      dns: { servers: ['10.78.0.1'] },
    });
    yard.atEnd(() => sandbox.delete());
    await (await network.createEndpoint({ name: container })).join(sandbox);
    return sandbox;
  };
  const add = async (container: string): Promise<Contender> => {
    const client = await kernel.openNamespace((await box(container)).namespacePath);
    yard.atEnd(() => client.close());
    return { name, client, address: '127.0.0.11', cpu: () => cpuOf(process.pid) };
  };
  await box('web');
  yard.upstream(host, '10.78.0.1');
  return { ...(await yard.ready(await add('client'), NAMES)), add };
}

const NAMES = ['web', 'a.example'];

/** Docker's engine, with directories and a socket of its own. */
export async function docker(yard: Yard): Promise<Contender | undefined> {
  if (!['dockerd', 'docker'].every(isInstalled)) return undefined;
  const host = await yard.namespace('docker');
  const place = (name: string) => join(yard.directory, `docker-${name}`);
  const group = `libnetwork-bench-${process.pid}`;
  yard.atEnd(() => removeControlGroups(group));
  writeFileSync(place('config'), '{}');
  const socket = `unix://${place('socket')}`;
  const words = ['--data-root', place('data'), '--exec-root', place('exec'), '--pidfile', place('pid')];
  words.push(
    '--config-file',
    place('config'),
    '--host',
    socket,
    '--bridge',
    'none',
    '--cgroup-parent',
    group,
  );
  const daemon = yard.daemon(host, 'unshare', ['--mount', '--propagation', 'private', 'dockerd', ...words]);
  const environment = { ...process.env, DOCKER_CONFIG: place('client') };
  const run = (...args: string[]) =>
    execFileSync('docker', ['--host', socket, ...args], {
      env: environment,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  for (let tries = 0; !existsSync(place('socket')) || !succeeds(() => run('version')); tries++) {
    if (tries === 100) throw new Error('dockerd does not start');
    await sleep(200);
  }
  const root = place('root');
  mkdirSync(root);
  execFileSync('cp', [yard.programs.path('dnspause'), join(root, 'pause')]);
  chmodSync(join(root, 'pause'), 0o755);
  execFileSync('tar', ['-C', root, '-cf', place('image'), '.']);
  run('import', place('image'), 'pause');
  run('network', 'create', '--subnet', '10.77.0.0/24', 'front');
  for (const name of ['web', 'client']) {
    run('run', '--detach', '--network', 'front', '--name', name, '--dns', '10.77.0.1', 'pause', '/pause');
    yard.atEnd(() => run('rm', '--force', name));
  }
  const pid = run('inspect', '--format', '{{.State.Pid}}', 'client');
  const client = await yard.kernel.openNamespace(`/proc/${pid}/ns/net`);
  yard.atEnd(() => client.close());
  yard.upstream(host, '10.77.0.1');
  const cpu = () => cpuOf(daemon.pid);
  return yard.ready({ name: 'docker', client, address: '127.0.0.11', cpu }, NAMES);
}

/** Podman's name server: one on the host's end of a network, for all its containers. */
export async function aardvark(yard: Yard): Promise<Contender | undefined> {
  const program = ['/usr/lib/podman/aardvark-dns', '/usr/libexec/podman/aardvark-dns'].find((it) =>
    existsSync(it),
  );
  if (program === undefined) return undefined;
  const { host, client } = await cabled(yard, 'aardvark', '10.79.0');
  yard.upstream(host, '127.0.0.1');
  const config = join(yard.directory, 'aardvark-config');
  mkdirSync(config);
  const id = (digit: string) => digit.repeat(64);
  const lines = ['10.79.0.1', `${id('a')} 10.79.0.5  client`, `${id('b')} 10.79.0.6  web`];
  writeFileSync(join(config, 'front'), `${lines.join('\n')}\n`);
  const servers = join(yard.directory, 'aardvark-servers');
  writeFileSync(servers, 'nameserver 127.0.0.1\n');
  const script = `mount --bind ${servers} /etc/resolv.conf && exec ${program} --config ${config} --port 53 run`;
  yard.daemon(host, 'unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script]);
  // It goes into the background, and leaves a note of its number.
  const note = join(config, 'aardvark.pid');
  yard.atEnd(() => existsSync(note) && process.kill(Number(readFileSync(note, 'utf8'))));
  const cpu = () => cpuOf(Number(readFileSync(note, 'utf8')));
  return yard.ready({ name: 'aardvark-dns', client, address: '10.79.0.1', cpu }, NAMES);
}

/** A name server in C on the host's end of a network: no name server of containers, but a fast one. */
export async function dnsmasq(yard: Yard): Promise<Contender | undefined> {
  if (!isInstalled('dnsmasq')) return undefined;
  const { host, client } = await cabled(yard, 'dnsmasq', '10.80.0');
  yard.upstream(host, '127.0.0.1', 5353);
  const daemon = yard.daemon(host, 'dnsmasq', [
    ...DNSMASQ,
    '--listen-address=10.80.0.1',
    '--host-record=web,10.80.0.6',
    '--server=127.0.0.1#5353',
  ]);
  const cpu = () => cpuOf(daemon.pid);
  return yard.ready({ name: 'dnsmasq', client, address: '10.80.0.1', cpu }, NAMES);
}

/** Two namespaces with a cable between: `.1` is the host's end, `.5` the client's. */
async function cabled(
  yard: Yard,
  name: string,
  net: string,
): Promise<{ host: Namespace; client: Namespace }> {
  const [host, client] = [await yard.namespace(`${name}-host`), await yard.namespace(`${name}-client`)];
  await host.apply([
    { op: 'createLink', name: 'first', link: { kind: 'bridge' } },
    {
      op: 'createLink',
      name: 'eth0',
      link: { kind: 'veth', peer: { name: 'eth0', namespace: client } },
      up: true,
    },
    { op: 'addAddress', link: 'eth0', address: `${net}.1/24` },
  ]);
  await client.apply([
    { op: 'addAddress', link: 'eth0', address: `${net}.5/24` },
    { op: 'setLink', name: 'eth0', up: true },
  ]);
  return { host, client };
}

function succeeds(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (error instanceof Error && 'status' in error) return false;
    throw error;
  }
}

/** The daemon leaves the group of all its containers behind. */
function removeControlGroups(group: string): void {
  const controllers = [
    '',
    'cpu',
    'cpuacct',
    'cpuset',
    'memory',
    'devices',
    'freezer',
    'blkio',
    'pids',
    'systemd',
    'unified',
  ];
  for (const each of controllers) {
    const path = join('/sys/fs/cgroup', each, group);
    if (existsSync(path)) rmdirSync(path);
  }
}
