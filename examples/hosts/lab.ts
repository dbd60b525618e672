/** Hosts that are namespaces on a bridge of our own, each with its own controller process, and an etcd among them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linuxOsl } from 'libnetwork';
import type { Namespace, Osl } from 'libnetwork/osl';
import { Caller } from './protocol.ts';
import type { WorkerConfig } from './worker.ts';

const ETCD_PORT = 2379;
const ETCD = { ipv4: '192.0.2.254', ipv6: '2001:db8::fe' } as const;

export interface LabOptions {
  readonly hosts: number;
  /** The compiled `worker.js`. Without it the hosts run nothing by themselves. */
  readonly worker?: string;
  /** @default 'ipv4' */
  readonly underlay?: 'ipv4' | 'ipv6';
  /** @default 60000 */
  readonly leaseMs?: number;
  /** @default 'nftables' */
  readonly firewall?: WorkerConfig['firewall'];
}

/** One host: its namespace, and the process in it. */
export class LabHost {
  readonly name: string;
  readonly address: string;
  readonly namespace: Namespace;
  readonly #lab: Lab;
  #process: ChildProcess | undefined;
  #caller: Caller | undefined;

  constructor(lab: Lab, name: string, address: string, namespace: Namespace) {
    this.#lab = lab;
    this.name = name;
    this.address = address;
    this.namespace = namespace;
  }

  async start(activeSandboxes: readonly string[] = []): Promise<this> {
    const { worker } = this.#lab;
    if (worker === undefined) throw new Error('the lab was opened without a program for its hosts');
    const config: WorkerConfig = {
      hostId: this.name,
      address: this.address,
      directory: join(this.#lab.directory, this.name),
      etcd: this.#lab.etcdUrl,
      leaseMs: this.#lab.leaseMs,
      firewall: this.#lab.firewall,
      activeSandboxes,
    };
    const args = ['--pdeathsig', 'KILL', process.execPath, worker, JSON.stringify(config)];
    const child = this.namespace.spawn('setpriv', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = child;
    this.#caller = new Caller(child);
    await this.call('ready');
    return this;
  }

  call<T>(op: string, args: object = {}): Promise<T> {
    if (!this.#caller) throw new Error(`host ${this.name} is not running`);
    return this.#caller.call<T>(op, args);
  }

  /** Its process dies, and its wire with it: as a host whose power fails. */
  async die(): Promise<void> {
    await this.killProcess();
    await this.unplug();
  }

  async killProcess(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** It does nothing any more, and nobody is told: not even the kernel closes its connections. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  /** Ends it as it would end itself. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.stdin?.end();
    await once(child, 'exit');
  }

  unplug(): Promise<void> {
    return this.#lab.wire(this.name, false);
  }

  plug(): Promise<void> {
    return this.#lab.wire(this.name, true);
  }

  /** Cuts it off from etcd, and from nothing else. */
  async cutFromStore(): Promise<void> {
    const family = this.#lab.underlay === 'ipv4' ? 'ip' : 'ip6';
    await this.#nft(`add table inet cut
      add chain inet cut out { type filter hook output priority 0; }
      add rule inet cut out ${family} daddr ${this.#lab.etcdAddress} drop`);
  }

  async mendStore(): Promise<void> {
    await this.#nft('delete table inet cut');
  }

  async #nft(text: string): Promise<void> {
    const child = this.namespace.spawn('nft', ['-f', '-'], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.stdin?.end(text);
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`nft ended with ${code}`);
  }
}

export class Lab {
  readonly directory: string;
  readonly worker: string | undefined;
  readonly leaseMs: number;
  readonly underlay: 'ipv4' | 'ipv6';
  readonly firewall: WorkerConfig['firewall'];
  readonly hosts: LabHost[] = [];
  readonly #osl: Osl;
  readonly #wires: Namespace;
  #etcd: ChildProcess | undefined;

  private constructor(directory: string, osl: Osl, wires: Namespace, options: LabOptions) {
    this.directory = directory;
    this.worker = options.worker;
    this.underlay = options.underlay ?? 'ipv4';
    this.leaseMs = options.leaseMs ?? 60_000;
    this.firewall = options.firewall ?? 'nftables';
    this.#osl = osl;
    this.#wires = wires;
  }

  static async open(options: LabOptions): Promise<Lab> {
    const directory = await realpath(await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-hosts-`)));
    const osl = linuxOsl();
    const wires = await osl.createNamespace(join(directory, 'wires'));
    const lab = new Lab(directory, osl, wires, options);
    try {
      await lab.#buildWires();
      await lab.startEtcd();
      const made = await Promise.all(Array.from({ length: options.hosts }, (_, i) => lab.#makeHost(i + 1)));
      lab.hosts.push(...made);
      if (options.worker !== undefined) await Promise.all(made.map((host) => host.start()));
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get etcdAddress(): string {
    return ETCD[this.underlay];
  }

  get etcdUrl(): string {
    const { etcdAddress } = this;
    return `http://${etcdAddress.includes(':') ? `[${etcdAddress}]` : etcdAddress}:${ETCD_PORT}`;
  }

  host(i: number): LabHost {
    const host = this.hosts[i];
    if (!host) throw new Error(`there is no host ${i}`);
    return host;
  }

  /** A further namespace, which goes with the lab. */
  namespace(name: string): Promise<Namespace> {
    return this.#osl.createNamespace(join(this.directory, name));
  }

  openNamespace(path: string): Promise<Namespace> {
    return this.#osl.openNamespace(path);
  }

  async startEtcd(): Promise<void> {
    const [client, peer] = [this.etcdUrl, this.etcdUrl.replace(String(ETCD_PORT), '2380')];
    const args = [
      ...['--pdeathsig', 'KILL', 'etcd', '--name', 'e', '--data-dir', join(this.directory, 'etcd')],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...[
        '--listen-peer-urls',
        peer,
        '--initial-advertise-peer-urls',
        peer,
        '--initial-cluster',
        `e=${peer}`,
      ],
      ...['--logger', 'zap', '--log-level', 'error'],
    ];
    this.#etcd = this.#wires.spawn('setpriv', args, { stdio: ['ignore', 'ignore', 'ignore'] });
    await this.#etcdListens();
  }

  async killEtcd(): Promise<void> {
    const child = this.#etcd;
    this.#etcd = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  wire(host: string, up: boolean): Promise<void> {
    return this.#wires.apply([{ op: 'setLink', name: `p-${host}`, up }]);
  }

  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.killProcess()));
    await this.killEtcd();
    for (const host of this.hosts) {
      const run = join(this.directory, host.name, 'run', 'default');
      for (const folder of ['netns', 'overlay'])
        for (const path of await this.#osl.listNamespaces(join(run, folder)))
          await this.#osl.deleteNamespace(path);
    }
    for (const path of await this.#osl.listNamespaces(this.directory)) await this.#osl.deleteNamespace(path);
    await this.#osl.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #buildWires(): Promise<void> {
    await this.#wires.setSysctl('net/ipv6/conf/default/accept_dad', '0');
    await this.#wires.apply([
      { op: 'createLink', name: 'br0', link: { kind: 'bridge', multicastSnooping: false }, up: true },
      { op: 'addAddress', link: 'br0', address: `${ETCD.ipv4}/24`, noDad: true },
      { op: 'addAddress', link: 'br0', address: `${ETCD.ipv6}/64`, noDad: true },
    ]);
  }

  async #makeHost(n: number): Promise<LabHost> {
    const name = `h${n}`;
    const namespace = await this.#osl.createNamespace(join(this.directory, `ns-${name}`));
    const peer = { name: 'eth0', namespace };
    await this.#wires.apply([
      { op: 'createLink', name: `p-${name}`, link: { kind: 'veth', peer }, master: 'br0', up: true },
    ]);
    await namespace.apply([
      { op: 'addAddress', link: 'eth0', address: `192.0.2.${n}/24`, noDad: true },
      { op: 'addAddress', link: 'eth0', address: `2001:db8::${n}/64`, noDad: true },
      { op: 'setLink', name: 'eth0', up: true },
    ]);
    const address = this.underlay === 'ipv4' ? `192.0.2.${n}` : `2001:db8::${n}`;
    return new LabHost(this, name, address, namespace);
  }

  async #etcdListens(): Promise<void> {
    for (const deadline = Date.now() + 30_000; ; ) {
      try {
        (await this.#wires.connectTcp(this.etcdAddress, ETCD_PORT)).destroy();
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}

export function hasProgram(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(name, ['--version'], { stdio: 'ignore' });
    child.once('error', () => resolve(false));
    child.once('exit', () => resolve(true));
  });
}
