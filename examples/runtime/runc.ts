/** The program `runc`: what a container runtime asks of it, each as one call. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** What `runc` tells of a container. */
export interface ContainerState {
  readonly id: string;
  /** 0 once it has ended. */
  readonly pid: number;
  readonly status: 'creating' | 'created' | 'running' | 'paused' | 'stopped';
  readonly bundle: string;
}

export class Runc {
  /** Where `runc` keeps its states: containers of another directory are not seen. */
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /**
   * Makes a container, its processes waiting for `start`. What it prints goes to `log` in its bundle: a pipe to us
   * would break when we end, and containers live longer.
   * @throws Error with the last words of `runc`, or of a hook
   */
  async create(id: string, bundle: string): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    const complaints = join(bundle, 'runc.log');
    const args = ['--root', this.root, '--log', complaints, '--log-format', 'json'];
    const log = await open(join(bundle, 'log'), 'a', 0o600);
    try {
      const child = spawn('runc', [...args, 'create', '--bundle', bundle, id], {
        stdio: ['ignore', log.fd, log.fd],
      });
      const [code] = await once(child, 'exit');
      if (code !== 0) throw new Error(`runc could not make ${id}: ${await lastWords(complaints)}`);
    } finally {
      await log.close();
    }
  }

  /** Runs a container to its end; nothing is left of it. What it printed. @throws Error when its exit code is not 0 */
  async run(id: string, bundle: string): Promise<string> {
    try {
      return await this.#run('run', '--bundle', bundle, id);
    } finally {
      await this.delete(id);
    }
  }

  async start(id: string): Promise<void> {
    await this.#run('start', id);
  }

  async kill(id: string, signal: 'TERM' | 'KILL'): Promise<void> {
    await this.#run('kill', id, signal);
  }

  /** Whatever its state: kills what is left of it, and removes its cgroup. */
  async delete(id: string): Promise<void> {
    await this.#run('delete', '--force', id);
  }

  async state(id: string): Promise<ContainerState> {
    return JSON.parse(await this.#run('state', id));
  }

  async list(): Promise<readonly ContainerState[]> {
    // `null` where there is none.
    return JSON.parse(await this.#run('list', '--format', 'json')) ?? [];
  }

  /** Runs a program in a container, on our own input and output. Its exit code. */
  async exec(id: string, command: readonly string[]): Promise<number> {
    const child = spawn('runc', ['--root', this.root, 'exec', id, ...command], { stdio: 'inherit' });
    const [code] = await once(child, 'exit');
    return code ?? 1;
  }

  async #run(...args: readonly string[]): Promise<string> {
    const { stdout } = await execute('runc', ['--root', this.root, ...args], { timeout: 30_000 });
    return stdout;
  }
}

async function lastWords(path: string): Promise<string> {
  const lines = (await readFile(path, 'utf8')).trim().split('\n');
  const { msg = 'it did not say why' } = JSON.parse(lines.at(-1) || '{}');
  return msg;
}
