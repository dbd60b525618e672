/** A daemon of its own for a test, on the fake kernel or in a network namespace made for it, and clients of it. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { linuxOsl } from '../../src/osl/linux/index.ts';
import type { Namespace } from '../../src/osl/osl.ts';
import { bound } from './bound.ts';
import { openListener } from './unixsockets.ts';

// Programs start and end in these tests, on machines that have other work too.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

export const program = fileURLToPath(new URL('../../dist/cmd/dnet.js', import.meta.url));
/** The daemon runs as it is installed, so it must have been built. */
export const isBuilt = existsSync(program);

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

/** Runs a program to its end. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawn(file, [...args], {
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(options.input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
  /** The text as JSON; `undefined` where it is none. */
  readonly json: unknown;
}

export interface AskOptions {
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface Daemon {
  readonly host: string;
  readonly socket: string;
  readonly directory: string;
  readonly process: ChildProcess;
  /** The namespace that the daemon calls the host; `undefined` with the fake kernel. */
  readonly namespace: Namespace | undefined;
  /** What it has logged so far. */
  log(): string;
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>;
  /** With a value as JSON. */
  send(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The command line, against it. */
  dnet(...args: string[]): Promise<Ran>;
  /** Ends it as a service manager does; its exit code. */
  stop(): Promise<number | null>;
  /** Ends it as a fault does. */
  kill(): Promise<void>;
  /** Starts another one on the same directories. */
  restart(): Promise<void>;
}

export interface DaemonOptions {
  /** The real kernel, in a namespace of its own. Default: the fake one. */
  readonly real?: boolean;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** What stands in its file of settings. */
  readonly settings?: object;
  /** With a socket that is open already, as a service manager starts it. */
  readonly activated?: boolean;
}

/** Runs a test with a daemon, and ends it and all that it made, also when the test fails. */
export async function withDaemon(
  options: DaemonOptions,
  test: (daemon: Daemon) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-dnet-`));
  const osl = options.real ? linuxOsl() : undefined;
  try {
    const namespace = await osl?.createNamespace(join(directory, 'host'));
    const daemon = new TestDaemon(directory, namespace, options);
    await daemon.start();
    try {
      await test(daemon);
    } finally {
      await daemon.kill();
    }
  } finally {
    if (osl) {
      for (const place of [
        directory,
        ...['default', `t${process.pid}`].map((it) => join(directory, 'run', it, 'netns')),
      ])
        for (const path of await osl.listNamespaces(place)) await osl.deleteNamespace(path);
      await osl.close();
    }
    await rm(directory, { recursive: true, force: true });
  }
}

/** A daemon in a namespace, and with directories, of the caller's: whoever calls ends it, and what it has made. */
export async function startDaemon(
  directory: string,
  namespace: Namespace,
  options: DaemonOptions,
): Promise<Daemon> {
  const daemon = new TestDaemon(directory, namespace, options);
  await daemon.start();
  return daemon;
}

const START_MS = 60_000;

class TestDaemon implements Daemon {
  readonly directory: string;
  readonly socket: string;
  readonly host: string;
  readonly namespace: Namespace | undefined;
  readonly #options: DaemonOptions;
  #process: ChildProcess | undefined;
  #log = '';

  constructor(directory: string, namespace: Namespace | undefined, options: DaemonOptions) {
    this.directory = directory;
    this.namespace = namespace;
    this.#options = options;
    this.socket = join(directory, 'dnet.sock');
    this.host = `unix://${this.socket}`;
  }

  get process(): ChildProcess {
    if (!this.#process) throw new Error('the daemon does not run');
    return this.#process;
  }

  async start(): Promise<void> {
    const { flags = [], env = {}, settings = {} } = this.#options;
    const file = join(this.directory, 'dnet.json');
    await writeFile(file, JSON.stringify(settings));
    const args = [
      program,
      'daemon',
      '--config',
      file,
      '--host',
      this.host,
      '--data-dir',
      join(this.directory, 'data'),
      '--run-dir',
      join(this.directory, 'run'),
      ...(this.namespace ? [] : ['--fake']),
      ...flags,
    ];
    const listener = this.#options.activated ? openListener(this.socket) : undefined;
    // The number of the process that a socket is for is known when there is one.
    const activation = ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"', process.execPath, ...args];
    const [command, all] = listener ? bound('/bin/sh', activation) : bound(process.execPath, args);
    const options: SpawnOptions = {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe', ...(listener ? [listener.fd] : [])],
    };
    const child = this.namespace
      ? this.namespace.spawn(command, all, options)
      : spawn(command, [...all], options);
    listener?.close();
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#log += chunk.toString('utf8');
    });
    this.#process = child;
    const deadline = Date.now() + START_MS;
    while (!this.#log.includes('"ready"')) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`the daemon did not start: ${this.#log}`);
      await sleep(20);
    }
  }

  log(): string {
    return this.#log;
  }

  ask(method: string, path: string, { body, headers = {} }: AskOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
      const options = { socketPath: this.socket, method, path, headers: { ...length, ...headers } };
      const asked = httpRequest(options, async (answer) => {
        const told = await text(answer);
        const { statusCode = 0 } = answer;
        resolve({ status: statusCode, headers: answer.headers, text: told, json: asJson(told) });
      });
      asked.once('error', reject);
      asked.end(body);
    });
  }

  send(method: string, path: string, body?: unknown): Promise<Answer> {
    if (body === undefined) return this.ask(method, path);
    return this.ask(method, path, {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
  }

  dnet(...args: string[]): Promise<Ran> {
    return run(process.execPath, [program, ...args], { env: { DNET_HOST: this.host, NO_COLOR: '1' } });
  }

  async stop(): Promise<number | null> {
    const child = this.process;
    if (child.exitCode !== null) return child.exitCode;
    child.kill('SIGTERM');
    const [code]: (number | null)[] = await once(child, 'exit');
    return code ?? null;
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async restart(): Promise<void> {
    this.#log = '';
    await this.start();
  }
}

function asJson(told: string): unknown {
  try {
    return JSON.parse(told);
  } catch {
    // Not every answer is JSON.
    return undefined;
  }
}

/** Where stock Docker clients are found; one test runs for each. */
export const dockerClients: readonly string[] = ['/usr/bin/docker', '/usr/local/bin/docker'].filter((path) =>
  existsSync(path),
);
