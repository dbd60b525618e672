/**
 * `FakeKernel`: the state of a machine that outlives a process. Every handle (`fakeOsl({ kernel })`) that is opened
 * on it sees the same namespaces, links, rules, ports, and processes; a handle's death takes only its sockets.
 */
import { LibnetworkError } from '../../errors.ts';
import { kernelError } from '../errno.ts';
import type { Namespace, PortSpec } from '../osl.ts';
import { dump, type KernelDump } from './dump.ts';
import { removeLink, setUp } from './links.ts';
import { needLink, newNetns } from './netns.ts';
import { place } from './ports.ts';
import { type ReachAnswer, type ReachOptions, reaches } from './reach.ts';
import type { NetnsState, ProcessState, SocketState } from './state.ts';
import { Watchers } from './watch.ts';

export interface FakeKernelOptions {
  /** Linux 6.2 and later rename links that are up; older ones answer EBUSY. Default false: the stricter. */
  readonly renamesWhileUp?: boolean;
}

/** What is at a path: a namespace's mount, or the file that a crash left before the mount. */
type PathEntry = { readonly netns: NetnsState | undefined };

const FIRST_PID = 1000;

export class FakeKernel {
  /** The namespace that processes start in. */
  readonly host: NetnsState;
  readonly renamesWhileUp: boolean;
  /** Who is told of changes. */
  readonly watchers = new Watchers();
  readonly #paths = new Map<string, PathEntry>();
  readonly #namespaces = new Set<NetnsState>();
  readonly #processes = new Map<number, ProcessState>();
  #nextId = 1;
  #nextPid = FIRST_PID;

  constructor(options: FakeKernelOptions = {}) {
    this.renamesWhileUp = options.renamesWhileUp ?? false;
    this.host = this.#newNetns(undefined);
    this.host.holders.add(this);
    // As on every machine that has started.
    setUp(needLink(this.host, 'lo'));
  }

  #newNetns(host: NetnsState | undefined): NetnsState {
    const netns = newNetns(this.#nextId++, host);
    this.#namespaces.add(netns);
    return netns;
  }

  /** Makes a namespace at a path; one that is there already stays. */
  mount(path: string): NetnsState {
    const there = this.#paths.get(path)?.netns;
    if (there !== undefined) return there;
    const netns = this.#newNetns(this.host);
    const entry: PathEntry = { netns };
    this.#paths.set(path, entry);
    netns.holders.add(entry);
    return netns;
  }

  /** Leaves a file without a mount, as a crash between the two does. */
  leaveFile(path: string): void {
    if (!this.#paths.has(path)) this.#paths.set(path, { netns: undefined });
  }

  unmount(path: string): void {
    const entry = this.#paths.get(path);
    this.#paths.delete(path);
    if (entry?.netns !== undefined) this.release(entry.netns, entry);
  }

  /** What a path leads to. @throws NOT_FOUND; INVALID_ARGUMENT for a file that is no namespace */
  lookUp(path: string): NetnsState {
    const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1];
    if (pid !== undefined) {
      const process = this.#processes.get(Number(pid));
      if (process === undefined) throw kernelError(`open ${path}`, 'ENOENT');
      return process.namespace;
    }
    const entry = this.#paths.get(path);
    if (entry === undefined) throw kernelError(`open ${path}`, 'ENOENT');
    if (entry.netns === undefined)
      throw new LibnetworkError('INVALID_ARGUMENT', `${path} is no network namespace`, {
        field: 'path',
        value: path,
      });
    return entry.netns;
  }

  /** The paths directly in a directory, in order. */
  paths(directory?: string): readonly string[] {
    const prefix = directory === undefined ? '' : `${directory.replace(/\/$/, '')}/`;
    return [...this.#paths.keys()]
      .filter(
        (path) => path.startsWith(prefix) && (prefix === '' || !path.slice(prefix.length).includes('/')),
      )
      .sort();
  }

  namespaces(): readonly NetnsState[] {
    return [...this.#namespaces];
  }

  /** The paths that a namespace is mounted at; `['host']` for the host's. */
  pathsOf(netns: NetnsState): readonly string[] {
    if (netns === this.host) return ['host'];
    return this.paths().filter((path) => this.#paths.get(path)?.netns === netns);
  }

  /** Lets go of a namespace; with its last holder it ends, and what is in it. */
  release(netns: NetnsState, holder: unknown): void {
    netns.holders.delete(holder);
    if (netns.holders.size > 0) return;
    this.#namespaces.delete(netns);
    for (const link of [...netns.links.values()]) removeLink(link);
  }

  processes(): readonly ProcessState[] {
    return [...this.#processes.values()];
  }

  /** Starts a process of no one's: a container's, for `/proc/<pid>/ns/net`. */
  startProcess(file: string, args: readonly string[], namespace: NetnsState): ProcessState {
    const process: ProcessState = { pid: this.#nextPid++, file, args, namespace };
    this.#processes.set(process.pid, process);
    namespace.holders.add(process);
    return process;
  }

  endProcess(process: ProcessState): void {
    if (this.#processes.delete(process.pid)) this.release(process.namespace, process);
  }

  /**
   * Whether a packet from a namespace (or the namespace at a path, or `'host'`) would be delivered, and its answer
   * come back. Changes nothing. `why` names the first thing in the way.
   */
  reaches(from: Namespace | string, to: string, options: ReachOptions): ReachAnswer {
    return reaches(this, this.#find(from), to, options);
  }

  /** A server of no one's in a namespace: something that listens, for `reaches`. Ends with `close`. */
  serve(where: Namespace | string, server: PortSpec): { close(): void } {
    const netns = this.#find(where);
    const socket: SocketState = { ...place(netns, server), protocol: server.protocol, listening: true };
    netns.sockets.add(socket);
    netns.holders.add(socket);
    return {
      close: () => {
        netns.sockets.delete(socket);
        this.release(netns, socket);
      },
    };
  }

  #find(where: Namespace | string): NetnsState {
    const path = typeof where === 'string' ? where : where.path;
    return path === 'host' ? this.host : this.lookUp(path);
  }

  /** The whole state as plain data with stable names and order, for comparison before and after. */
  dump(): KernelDump {
    return dump(this);
  }
}
