/** A dockerd of the benchmark's own: in a network and a mount namespace, on a socket and in directories of its own. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Namespace } from 'libnetwork/osl';

/** The image of all its containers: nothing but busybox, linked statically. */
const IMAGE = 'bench';
const START_MS = 60_000;

export function programPath(name: string): string | undefined {
  const places = (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, name));
  return places.find((path) => existsSync(path));
}

/** What it needs that is not there; `undefined`: nothing. */
export function whyNoDockerd(): string | undefined {
  const lacking = ['dockerd', 'containerd', 'unshare', 'setpriv', 'tar'].filter((name) => !programPath(name));
  if (lacking.length > 0) return `no ${lacking.join(', no ')}: install docker.io`;
  return programPath('busybox') ? undefined : 'no busybox: install busybox-static';
}

export class Dockerd {
  readonly #process: ChildProcess;
  readonly #socket: string;
  readonly version: string;

  private constructor(process: ChildProcess, socket: string, version: string) {
    this.#process = process;
    this.#socket = socket;
    this.version = version;
  }

  /** @param directory for all that it keeps; removed by the caller once it is closed */
  static async start(namespace: Namespace, directory: string): Promise<Dockerd> {
    const at = (name: string) => join(directory, name);
    mkdirSync(directory, { recursive: true });
    const args = ['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')];
    // All of it, containers too, is in a process namespace that ends with its first process, and that with this one:
    // nothing is left of it, however this ends.
    const isolation = [
      '--mount',
      '--propagation',
      'private',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
    ];
    const child = namespace.spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'unshare',
        ...isolation,
        'dockerd',
        ...args,
        '-H',
        `unix://${at('socket')}`,
        '--bridge',
        'none',
      ],
      { stdio: 'ignore' },
    );
    try {
      const version = execFileSync('dockerd', ['--version'], { encoding: 'utf8' }).trim();
      const dockerd = new Dockerd(child, at('socket'), version.split(',')[0] ?? version);
      await dockerd.#ready();
      await dockerd.#makeImage(at('rootfs'));
      return dockerd;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** One request of the Engine API. @throws for every status but those of success */
  async ask<T>(method: string, path: string, body?: object | Buffer): Promise<T> {
    const sent = Buffer.isBuffer(body) ? body : Buffer.from(body === undefined ? '' : JSON.stringify(body));
    const headers = {
      'Content-Type': Buffer.isBuffer(body) ? 'application/x-tar' : 'application/json',
      'Content-Length': sent.length,
    };
    const call = request({ socketPath: this.#socket, method, path, headers });
    call.end(sent);
    const [answer] = (await once(call, 'response')) as [import('node:http').IncomingMessage];
    const parts: Buffer[] = [];
    for await (const part of answer) parts.push(part as Buffer);
    const text = Buffer.concat(parts).toString();
    if ((answer.statusCode ?? 500) >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return (text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text) as T;
  }

  /** A container that only sleeps, not started. Its id. */
  async create(name: string, network: string, ports: Readonly<Record<string, number>> = {}): Promise<string> {
    const bindings = Object.entries(ports).map(([port, host]) => [port, [{ HostPort: String(host) }]]);
    const { Id } = await this.ask<{ Id: string }>('POST', `/containers/create?name=${name}`, {
      Image: IMAGE,
      Cmd: ['/bin/busybox', 'sleep', '3600'],
      ExposedPorts: Object.fromEntries(Object.keys(ports).map((port) => [port, {}])),
      HostConfig: { NetworkMode: network, PortBindings: Object.fromEntries(bindings) },
    });
    return Id;
  }

  async start(container: string): Promise<void> {
    await this.ask('POST', `/containers/${container}/start`);
  }

  /** Where a running container's namespace is, and its address on a network. */
  async look(container: string, network: string): Promise<{ path: string; address: string }> {
    const { State, NetworkSettings } = await this.ask<{
      State: { Pid: number };
      NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
    }>('GET', `/containers/${container}/json`);
    return {
      path: `/proc/${this.#first()}/root/proc/${State.Pid}/ns/net`,
      address: NetworkSettings.Networks[network]?.IPAddress ?? '',
    };
  }

  /** Removes all its containers, and ends it. */
  async close(): Promise<void> {
    const containers = await this.ask<{ Id: string }[]>('GET', '/containers/json?all=true');
    for (const { Id } of containers) await this.ask('DELETE', `/containers/${Id}?force=true`);
    const ended = once(this.#process, 'exit');
    process.kill(this.#first(), 'SIGTERM');
    const killer = setTimeout(() => this.#process.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(killer);
  }

  /** The first process of its namespace. */
  #first(): number {
    const { pid } = this.#process;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  }

  async #ready(): Promise<void> {
    for (const end = Date.now() + START_MS; ; await sleep(100)) {
      if (this.#process.exitCode !== null) throw new Error(`dockerd ended with ${this.#process.exitCode}`);
      if (!existsSync(this.#socket) && Date.now() < end) continue;
      await this.ask('GET', '/_ping');
      return;
    }
  }

  async #makeImage(rootfs: string): Promise<void> {
    const busybox = programPath('busybox') ?? 'busybox';
    mkdirSync(join(rootfs, 'bin'), { recursive: true });
    mkdirSync(join(rootfs, 'etc'));
    writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
    copyFileSync(busybox, join(rootfs, 'bin/busybox'));
    const tar = execFileSync('tar', ['-C', rootfs, '-c', '.'], { maxBuffer: 64 << 20 });
    await this.ask('POST', `/images/create?fromSrc=-&repo=${IMAGE}`, tar);
  }
}
