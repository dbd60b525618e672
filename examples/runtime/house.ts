/** The runtime's daemon as a process, and what it is asked: for the demo and the tests. */
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Runtime } from './runtime.ts';
import { ask } from './server.ts';

export type Seen = Awaited<ReturnType<Runtime['containers']>>[number];

type Spawn = (file: string, args: readonly string[], options: SpawnOptions) => ChildProcess;

export class House {
  readonly directory: string;
  readonly #main: string;
  readonly #spawn: Spawn;
  #daemon: ChildProcess | undefined;

  /**
   * @param main the compiled `main.js`
   * @param spawnHere where its processes are started. Default: here
   */
  constructor(directory: string, main: string, spawnHere: Spawn = spawn) {
    this.directory = directory;
    this.#main = main;
    this.#spawn = spawnHere;
  }

  async start(): Promise<void> {
    // No server of the host is asked: the names here are our own.
    const resolvConf = join(this.directory, 'resolv.conf');
    await writeFile(resolvConf, '');
    const args = [this.#main, '--directory', this.directory, 'daemon', '--resolv-conf', resolvConf];
    // It ends with us, also when we are killed. Its containers do not: see `sweep`.
    const child = this.#spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#daemon = child;
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the daemon ended with code ${code}`);
    });
    if (child.stdout) await Promise.race([once(child.stdout, 'data'), ended]);
    // From here on its end is no surprise.
    ended.catch(() => undefined);
  }

  ask(...command: readonly string[]): Promise<unknown> {
    return ask(join(this.directory, 'socket'), command);
  }

  /** What a program prints that runs in a container. @throws Error when its exit code is not 0 */
  async exec(name: string, ...command: readonly string[]): Promise<string> {
    const args = ['--root', join(this.directory, 'runc'), 'exec', name, ...command];
    return (await promisify(execFile)('runc', args, { timeout: 10_000 })).stdout;
  }

  async all(): Promise<readonly Seen[]> {
    return (await this.ask('ps')) as readonly Seen[];
  }

  async seen(name: string): Promise<Seen> {
    const found = (await this.all()).find((each) => each.name === name);
    if (found === undefined) throw new Error(`no container ${name} is running`);
    return found;
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Asks it to end; its containers go on. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#daemon;
    this.#daemon = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }
}
