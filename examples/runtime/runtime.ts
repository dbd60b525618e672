/**
 * A small container runtime: `runc` runs the containers, libnetwork gives them their networks. It keeps no records of
 * its own: what runs is what `runc` says, and who is on which network is what libnetwork says.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ControllerOptions,
  type Network,
  NetworkController,
  type PortRequest,
  type Sandbox,
} from 'libnetwork';
import { busyboxRootfs, type Container, ociConfig } from './bundle.ts';
import { Runc } from './runc.ts';

/**
 * How a container gets its network namespace. `path`: libnetwork makes it, the container's configuration names it.
 * `hook`: `runc` makes it, and tells libnetwork by a hook while it makes the container. `pid`: `runc` makes it, and
 * libnetwork is given `/proc/PID/ns/net` of the container that waits to be started.
 */
export const WAYS = ['path', 'hook', 'pid'] as const;
export type Way = (typeof WAYS)[number];

export interface RunOptions {
  readonly name: string;
  readonly command: readonly string[];
  /** The first one is where `publish` is published. */
  readonly networks: readonly string[];
  readonly publish: readonly PortRequest[];
  readonly way: Way;
}

/** How often the runtime looks whether a container has ended by itself, in milliseconds. */
const LOOK_MS = 250;

/** What tells a runtime's links, rules and cgroups from those of runtimes with other directories. */
export function instanceOf(directory: string): string {
  return `rt-${createHash('sha256').update(directory).digest('hex').slice(0, 8)}`;
}

export class Runtime {
  readonly runc: Runc;
  readonly #directory: string;
  readonly #instance: string;
  readonly #controller: NetworkController;
  /** The first process of each container that runs. */
  readonly #pids = new Map<string, number>();
  readonly #removals = new Map<string, Promise<void>>();
  readonly #looking: NodeJS.Timeout;

  private constructor(directory: string, instance: string, runc: Runc, controller: NetworkController) {
    this.#directory = directory;
    this.#instance = instance;
    this.runc = runc;
    this.#controller = controller;
    this.#looking = setInterval(() => this.#removeEnded(), LOOK_MS);
  }

  /**
   * Takes up the containers that run, with their networks, and removes what an earlier runtime left half done.
   * @param directory everything of this runtime is in it; two at once are refused (`CONFLICT`)
   */
  static async open(
    directory: string,
    options: Pick<ControllerOptions, 'logger' | 'hostResolvConf'> = {},
  ): Promise<Runtime> {
    await mkdir(join(directory, 'containers'), { recursive: true, mode: 0o700 });
    const instance = instanceOf(directory);
    const runc = new Runc(join(directory, 'runc'));
    const running = (await runc.list()).filter(({ status }) => status === 'running' || status === 'paused');
    const controller = await NetworkController.open({
      instance,
      dataDir: join(directory, 'data'),
      runDir: join(directory, 'run'),
      runtimeHook: true,
      activeSandboxes: running.map(({ id }) => id),
      ...options,
    });
    const runtime = new Runtime(directory, instance, runc, controller);
    for (const { id, pid } of running) runtime.#pids.set(id, pid);
    await runtime.#removeHalfDone();
    return runtime;
  }

  networks(): readonly Network[] {
    return this.#controller.networks();
  }

  async createNetwork(
    name: string,
    options: { subnets: readonly string[]; ipv6: boolean; internal: boolean },
  ) {
    const { subnets, ipv6, internal } = options;
    await this.#controller.createNetwork({
      name,
      ipv6,
      internal,
      ipam: { pools: subnets.map((subnet) => ({ subnet })) },
    });
  }

  async deleteNetwork(name: string): Promise<void> {
    await this.#network(name).delete();
  }

  /** Starts a container on its networks, or leaves nothing of it. */
  async run(options: RunOptions): Promise<void> {
    const { name } = options;
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/.test(name))
      throw new Error(`${name} can't be a container's name`);
    // Only one of two that want the same name makes it.
    await mkdir(this.#bundle(name), { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? new Error(`there is a container ${name} already`) : error;
    });
    try {
      await this.#create(options);
      await this.runc.start(name);
      this.#pids.set(name, (await this.runc.state(name)).pid);
    } catch (error) {
      await this.#remove(name);
      throw error;
    }
  }

  /** Plugs a running container into a further network. */
  async connect(network: string, name: string, aliases: readonly string[] = []): Promise<void> {
    await this.#attach(this.#sandbox(name), network, { aliases });
  }

  async disconnect(network: string, name: string): Promise<void> {
    const endpoint = this.#network(network).endpoint(name);
    if (endpoint === undefined) throw new Error(`${name} is not on the network ${network}`);
    await endpoint.leave(this.#sandbox(name));
    await endpoint.delete();
  }

  /** Asks a container to end, kills it when it has not by then, and removes all of it. */
  async stop(name: string, graceMs: number): Promise<void> {
    const pid = this.#pids.get(name);
    if (pid === undefined) throw new Error(`no container ${name} is running`);
    if (graceMs > 0 && !(await hasEnded(pid))) await this.runc.kill(name, 'TERM');
    for (const until = Date.now() + graceMs; Date.now() < until && !(await hasEnded(pid)); ) await sleep(20);
    await this.#remove(name);
  }

  /** The containers that run, with what libnetwork knows of them. */
  async containers() {
    const states = await this.runc.list();
    return states.map(({ id, pid, status }) => ({
      name: id,
      pid,
      status,
      networks: (this.#controller.sandbox(id)?.endpoints() ?? []).map((endpoint) => ({
        network: this.#controller.network(endpoint.networkId)?.name ?? endpoint.networkId,
        interface: endpoint.interfaceName,
        ipv4: endpoint.ipv4,
        ipv6: endpoint.ipv6,
        ports: endpoint.ports,
      })),
    }));
  }

  /** Removes every container and every network. */
  async clear(): Promise<void> {
    await Promise.all([...this.#pids.keys()].map((name) => this.#remove(name)));
    for (const network of this.networks()) await network.delete();
  }

  /** Ends the runtime. Containers go on, with their networks and published ports; the next one takes them up. */
  async close(): Promise<void> {
    clearInterval(this.#looking);
    await Promise.all(this.#removals.values());
    await this.#controller.close();
  }

  /** All but the start: the processes of the container wait. */
  async #create({ name, command, networks, publish, way }: RunOptions): Promise<void> {
    const bundle = this.#bundle(name);
    const [hostsPath, resolvConfPath] = [join(bundle, 'hosts'), join(bundle, 'resolv.conf')];
    const sandboxOptions = { containerId: name, hostname: name, hostsPath, resolvConfPath };
    const attachAll = async (sandbox: Sandbox) => {
      for (const [i, network] of networks.entries())
        await this.#attach(sandbox, network, { ports: i === 0 ? publish : [] });
    };
    const create = async (namespace: Pick<Container, 'networkNamespace' | 'createRuntime'>) => {
      const config = ociConfig({
        id: name,
        command,
        rootfs: await busyboxRootfs(join(this.#directory, 'rootfs')),
        files: { '/etc/hosts': hostsPath, '/etc/resolv.conf': resolvConfPath },
        cgroup: `libnetwork-${this.#instance}-${name}`,
        annotations: { 'org.libnetwork.example.way': way },
        ...namespace,
      });
      await writeFile(join(bundle, 'config.json'), JSON.stringify(config));
      await this.runc.create(name, bundle);
    };
    switch (way) {
      case 'path': {
        const sandbox = await this.#controller.createSandbox(sandboxOptions);
        await attachAll(sandbox);
        return create({ networkNamespace: sandbox.namespacePath });
      }
      case 'hook': {
        // Until the hook tells the namespace the joins are only noted; then all of them happen, or `runc` fails.
        const sandbox = await this.#controller.createSandbox({ ...sandboxOptions, externalKey: true });
        await attachAll(sandbox);
        return create({ createRuntime: this.#controller.runtimeHook(name).oci });
      }
      case 'pid': {
        // Bound before there is a sandbox that writes them.
        await Promise.all([hostsPath, resolvConfPath].map((path) => writeFile(path, '', { mode: 0o644 })));
        await create({});
        const { pid } = await this.runc.state(name);
        const namespacePath = `/proc/${pid}/ns/net`;
        return attachAll(await this.#controller.createSandbox({ ...sandboxOptions, namespacePath }));
      }
    }
  }

  async #attach(
    sandbox: Sandbox,
    network: string,
    options: { readonly ports?: readonly PortRequest[]; readonly aliases?: readonly string[] },
  ): Promise<void> {
    const endpoint = await this.#network(network).createEndpoint({ name: sandbox.containerId, ...options });
    try {
      await endpoint.join(sandbox);
    } catch (error) {
      await endpoint.delete();
      throw error;
    }
  }

  /** The container's processes first, so that nothing runs without its network. Goes on past a failure. */
  #remove(name: string): Promise<void> {
    const removal = this.#removals.get(name) ?? this.#removeNow(name);
    this.#removals.set(name, removal);
    return removal.finally(() => this.#removals.delete(name));
  }

  async #removeNow(name: string): Promise<void> {
    this.#pids.delete(name);
    const outcomes = [];
    for (const step of [
      () => this.runc.delete(name),
      async () => this.#controller.sandbox(name)?.delete(),
      () => rm(this.#bundle(name), { recursive: true, force: true }),
    ])
      outcomes.push(...(await Promise.allSettled([step()])));
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    if (failures.length > 0) throw new AggregateError(failures, `${name} could not be removed wholly`);
  }

  #removeEnded(): void {
    for (const [name, pid] of this.#pids)
      void hasEnded(pid)
        .then((ended) => (ended ? this.#remove(name) : undefined))
        .catch((error: unknown) => console.error(`${name} has ended`, error));
  }

  /** What an earlier runtime was making or removing when it was killed. */
  async #removeHalfDone(): Promise<void> {
    const known = await this.runc.list();
    const bundles = await readdir(join(this.#directory, 'containers'));
    for (const name of new Set([...known.map(({ id }) => id), ...bundles]))
      if (!this.#pids.has(name)) await this.#remove(name);
    // Made, and not joined by then.
    for (const endpoint of this.networks().flatMap((network) => network.endpoints()))
      if (endpoint.sandboxId === undefined) await endpoint.delete();
  }

  #bundle(name: string): string {
    return join(this.#directory, 'containers', name);
  }

  #network(name: string): Network {
    const network = this.#controller.network(name);
    if (network === undefined) throw new Error(`there is no network ${name}`);
    return network;
  }

  #sandbox(name: string): Sandbox {
    const sandbox = this.#controller.sandbox(name);
    if (sandbox === undefined) throw new Error(`no container ${name} is running`);
    return sandbox;
  }
}

/** Also true of a process that nobody has waited for yet (proc_pid_stat(5)). */
async function hasEnded(pid: number): Promise<boolean> {
  try {
    return / [ZX] /.test((await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\)/s, ''));
  } catch {
    return true;
  }
}
