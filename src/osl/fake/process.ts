/** Processes in memory: programs are functions, and what `spawn` returns is used as node's `ChildProcess`. */
import { ChildProcess, type SpawnOptions } from 'node:child_process';
import { PassThrough } from 'node:stream';
import type { FakeKernel } from './kernel.ts';
import type { NetnsState, ProcessState } from './state.ts';

/** A running program, as the program sees itself. */
export interface FakeProcess {
  readonly pid: number;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The path of its namespace for `openNamespace`: `/proc/<pid>/ns/net`. */
  readonly namespacePath: string;
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  /** Ends it. Only the first call counts. */
  exit(code: number): void;
  /** Called with the signal that it gets; without a listener a signal ends it. */
  onKill(listener: (signal: NodeJS.Signals) => void): void;
}

/** By the name or path that is spawned. */
export type Programs = Readonly<Record<string, (process: FakeProcess) => void>>;

/** A child of a fake kernel. */
class FakeChild extends ChildProcess {
  #kill: (signal: NodeJS.Signals) => void = () => undefined;
  #exitCode: number | null = null;
  #signalCode: NodeJS.Signals | null = null;

  constructor(file: string, args: readonly string[]) {
    super();
    const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
    const facts = { ...streams, spawnfile: file, spawnargs: [file, ...args] };
    for (const [name, value] of Object.entries(facts)) Object.defineProperty(this, name, { value });
    Object.defineProperty(this, 'stdio', { value: Object.values(streams) });
    Object.defineProperty(this, 'exitCode', { get: () => this.#exitCode });
    Object.defineProperty(this, 'signalCode', { get: () => this.#signalCode });
  }

  start(pid: number, kill: (signal: NodeJS.Signals) => void): void {
    Object.defineProperty(this, 'pid', { value: pid });
    this.#kill = kill;
  }

  end(code: number | null, signal: NodeJS.Signals | null): void {
    this.#exitCode = code;
    this.#signalCode = signal;
    this.stdout?.push(null);
    this.stderr?.push(null);
    this.emit('exit', code, signal);
    this.emit('close', code, signal);
  }

  override kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    if (this.pid === undefined || this.#exitCode !== null || this.#signalCode !== null) return false;
    if (signal === 0) return true;
    this.#kill(typeof signal === 'number' ? 'SIGTERM' : signal);
    return true;
  }

  override ref(): void {
    // Nothing of a fake process keeps the event loop alive.
  }

  override unref(): void {
    // The same.
  }
}

/** Starts a program in a namespace; one that is not known ends with an `error` event, as node's spawn does. */
export function spawnFake(
  kernel: FakeKernel,
  programs: Programs,
  netns: NetnsState,
  file: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const child = new FakeChild(file, args);
  const program = programs[file];
  if (program === undefined) {
    const error = Object.assign(new Error(`spawn ${file} ENOENT`), {
      code: 'ENOENT',
      errno: -2,
      syscall: `spawn ${file}`,
      path: file,
      spawnargs: [...args],
    });
    setImmediate(() => child.emit('error', error));
    return child;
  }
  const state = kernel.startProcess(file, args, netns);
  const process = runningProcess(kernel, state, child, options);
  setImmediate(() => {
    child.emit('spawn');
    if (kernel.processes().includes(state)) program(process);
  });
  return child;
}

function runningProcess(
  kernel: FakeKernel,
  state: ProcessState,
  child: FakeChild,
  options: SpawnOptions,
): FakeProcess {
  let onKill: ((signal: NodeJS.Signals) => void) | undefined;
  let ended = false;
  const end = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (ended) return;
    ended = true;
    kernel.endProcess(state);
    setImmediate(() => child.end(code, signal));
  };
  child.start(state.pid, (signal) => {
    if (onKill === undefined || signal === 'SIGKILL') end(null, signal);
    else onKill(signal);
  });
  return {
    pid: state.pid,
    args: state.args,
    env: { ...options.env },
    namespacePath: `/proc/${state.pid}/ns/net`,
    stdin: child.stdin as PassThrough,
    stdout: child.stdout as PassThrough,
    stderr: child.stderr as PassThrough,
    exit: (code) => end(code, null),
    onKill: (listener) => {
      onKill = listener;
    },
  };
}
