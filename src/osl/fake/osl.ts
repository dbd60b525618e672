import { posix } from 'node:path';
import { invalid, LibnetworkError } from '../../errors.ts';
import { countingFaults, type Faults } from '../../testing/faults.ts';
import type { Namespace, Osl } from '../osl.ts';
import { type Handle, step } from './handle.ts';
import { FakeKernel } from './kernel.ts';
import { setUp } from './links.ts';
import { FakeNamespace } from './namespace.ts';
import { needLink } from './netns.ts';
import type { Programs } from './process.ts';
import type { NetnsState } from './state.ts';

export interface FakeOslOptions {
  /** The machine. Default: a new one. */
  readonly kernel?: FakeKernel | undefined;
  /** Strikes at one of the steps of this process. Default: counts them. */
  readonly faults?: Faults | undefined;
  /** What `spawn` can start. Default: nothing. */
  readonly programs?: Programs | undefined;
}

/** One process's door to a fake kernel. */
export interface FakeOsl extends Osl {
  readonly kind: 'fake';
  readonly kernel: FakeKernel;
  readonly faults: Faults;
  /** `kill -9`: no later call acts, each throws `SimulatedCrash`. Sockets and held ports go, all else stays. */
  kill(): void;
}

export function fakeOsl(options: FakeOslOptions = {}): FakeOsl {
  return new FakeOslHandle(options);
}

class FakeOslHandle implements FakeOsl {
  readonly kind = 'fake';
  readonly kernel: FakeKernel;
  readonly faults: Faults;
  readonly host: Namespace;
  readonly #handle: Handle;
  readonly #opened = new Set<FakeNamespace>();
  #closed = false;

  constructor(options: FakeOslOptions) {
    this.kernel = options.kernel ?? new FakeKernel();
    this.faults = options.faults ?? countingFaults();
    this.#handle = {
      kernel: this.kernel,
      faults: this.faults,
      programs: options.programs ?? {},
      stateOf,
      sockets: new Set(),
    };
    this.host = this.#open('host', this.kernel.host);
    this.faults.onCrash(() => this.#dropSockets());
  }

  async createNamespace(path: string): Promise<Namespace> {
    checkPath(path);
    // The file comes before the mount: a crash may leave the one without the other.
    await this.#step(`createNamespace ${path}: file`, () => this.kernel.leaveFile(path));
    const state = await this.#step(`createNamespace ${path}: mount`, () => this.kernel.mount(path));
    await this.#step(`createNamespace ${path}: lo up`, () => setUp(needLink(state, 'lo')));
    return this.#open(path, state);
  }

  async openNamespace(path: string): Promise<Namespace> {
    checkPath(path);
    return this.#open(path, await this.#step(`openNamespace ${path}`, () => this.kernel.lookUp(path)));
  }

  async deleteNamespace(path: string): Promise<void> {
    checkPath(path);
    await this.#step(`deleteNamespace ${path}`, () => this.kernel.unmount(path));
  }

  async listNamespaces(directory: string): Promise<readonly string[]> {
    checkPath(directory);
    return await this.#step(`listNamespaces ${directory}`, () => this.kernel.paths(directory));
  }

  async close(): Promise<void> {
    if (this.#closed || this.faults.crashed) return;
    this.#closed = true;
    this.#dropSockets();
    for (const namespace of this.#opened) await namespace.close();
  }

  kill(): void {
    this.faults.crash();
  }

  #open(path: string, state: NetnsState): FakeNamespace {
    const namespace = new FakeNamespace(this.#handle, path, state);
    this.#opened.add(namespace);
    return namespace;
  }

  #dropSockets(): void {
    for (const drop of [...this.#handle.sockets]) drop();
  }

  async #step<T>(name: string, act: () => T): Promise<T> {
    if (this.#closed)
      throw new LibnetworkError('UNAVAILABLE', 'this osl handle is closed', { operation: name });
    if (this.faults.pause !== undefined) await this.faults.pause(name);
    return await step(this.#handle, name, act);
  }
}

function stateOf(namespace: Namespace): NetnsState {
  if (namespace instanceof FakeNamespace) return namespace.state;
  throw invalid('namespace', namespace.path, 'must be a namespace of the same osl');
}

function checkPath(path: string): void {
  if (!posix.isAbsolute(path) || posix.normalize(path) !== path || path.includes('\0'))
    throw invalid('path', path, 'must be absolute and normal');
}
