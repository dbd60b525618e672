/** A machine of its own with a Docker daemon and our plugin on it: namespaces that end with their first process. */
import { type ChildProcessByStdio, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { canUseKernel, whyNot } from '../../support/kernel.ts';

const inside = fileURLToPath(new URL('./inside.mjs', import.meta.url));
const APPLETS = ['sh', 'ping', 'ping6', 'sleep', 'httpd'];

/** Why no Docker can be run here; `undefined` when it can. */
export function whyNoDocker(): string | undefined {
  if (!canUseKernel) return whyNot;
  for (const [program, debian] of [
    ['dockerd', 'docker.io'],
    ['docker', 'docker.io'],
    ['busybox', 'busybox-static'],
    ['unshare', 'util-linux'],
    ['nft', 'nftables'],
  ] as const)
    if (where(program) === undefined) return `(no ${program}: apt-get install ${debian})`;
  return undefined;
}

function where(program: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(':')
    .map((directory) => join(directory, program))
    .find((path) => existsSync(path));
}

export interface Looked {
  readonly links: readonly string[];
  readonly rules: string;
  readonly kept: readonly string[];
}

export class DockerMachine {
  readonly #directory: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: Interface;
  readonly #ended: Promise<unknown>;
  #errors = '';

  private constructor(directory: string, cgroup: string) {
    this.#directory = directory;
    const args = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    this.#process = spawn('unshare', [...args, process.execPath, inside, directory, cgroup], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#ended = once(this.#process, 'exit');
    this.#process.stderr.on('data', (text) => {
      this.#errors += text;
    });
    this.#lines = createInterface({ input: this.#process.stdout });
  }

  static async start(): Promise<DockerMachine> {
    const directory = mkdtempSync(join(tmpdir(), `libnetwork-docker-${process.pid}-`));
    const machine = new DockerMachine(directory, cgroupName());
    await machine.#nextLine();
    return machine;
  }

  async #nextLine(): Promise<Record<string, unknown>> {
    const [line] = await Promise.race([
      once(this.#lines, 'line'),
      this.#ended.then(() => {
        throw new Error(`the machine has ended: ${this.#errors}${this.#log()}`);
      }),
    ]);
    const said = JSON.parse(String(line)) as Record<string, unknown>;
    if ('failed' in said) throw new Error(`${String(said.failed)}: ${String(said.error)}${this.#log()}`);
    return said;
  }

  #log(): string {
    const path = join(this.#directory, 'docker.log');
    return existsSync(path) ? `\n${readFileSync(path, 'utf8').slice(-3_000)}` : '';
  }

  async tell(command: 'restart docker' | 'restart plugin' | 'stop'): Promise<void> {
    this.#process.stdin.write(`${command}\n`);
    await this.#nextLine();
  }

  /** What is on it now. */
  async look(): Promise<Looked> {
    this.#process.stdin.write('look\n');
    return (await this.#nextLine()).result as Looked;
  }

  /** Runs Docker's command. @throws with what it said */
  async docker(...args: readonly string[]): Promise<string> {
    const host = `unix://${join(this.#directory, 'docker.sock')}`;
    try {
      const { stdout } = await promisify(execFile)('docker', ['--host', host, ...args]);
      return stdout.trim();
    } catch (error) {
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
      throw new Error(`docker ${args.join(' ')}: ${said}\n${this.#errors}${this.#log()}`);
    }
  }

  /** Runs a program on the machine itself, as a neighbour of the daemon. */
  async run(file: string, ...args: readonly string[]): Promise<string> {
    const { pid } = this.#process;
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    const { stdout } = await promisify(execFile)('nsenter', ['-t', String(first), '-n', file, ...args]);
    return stdout;
  }

  /** An image of nothing but busybox. */
  async importImage(name: string): Promise<void> {
    const root = join(this.#directory, 'root');
    for (const each of ['bin', 'www', 'etc']) mkdirSync(join(root, each), { recursive: true });
    const busybox = where('busybox') ?? '';
    execFileSync('cp', ['-L', busybox, join(root, 'bin', 'busybox')]);
    for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet));
    writeFileSync(join(root, 'www', 'index.html'), 'it works\n');
    const archive = join(this.#directory, 'root.tar');
    execFileSync('tar', ['-C', root, '-cf', archive, '.']);
    await this.docker('import', archive, name);
  }

  /** Ends everything, whatever state it is in. */
  async end(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
    this.#lines.close();
    // The mounts of the daemon are gone with their namespace; the kernel may still be at it.
    for (let left = 50; left > 0; left--) {
      try {
        rmSync(this.#directory, { recursive: true, force: true });
        break;
      } catch (error) {
        if (left === 1) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    await removeCgroups(cgroupName());
  }
}

function cgroupName(): string {
  return `/libnetwork-${process.pid}`;
}

/** Control groups are in no namespace of the machine: they go when the last of their processes has. */
async function removeCgroups(name: string): Promise<void> {
  const roots = ['/sys/fs/cgroup', ...readdirSync('/sys/fs/cgroup').map((each) => `/sys/fs/cgroup/${each}`)];
  for (const root of roots.map((each) => `${each}${name}`)) {
    for (let left = 50; left > 0 && existsSync(root); left--) {
      try {
        removeTree(root);
      } catch (error) {
        if (left === 1) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }
}

function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  rmdirSync(path);
}
