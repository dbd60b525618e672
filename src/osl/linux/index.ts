import { invalid, LibnetworkError } from '../../errors.ts';
import type { Namespace, Osl } from '../osl.ts';
import type { HandleOf } from './apply.ts';
import { explainRefusal } from './capabilities.ts';
import type { Warner } from './deletes.ts';
import { rtnl } from './gate.ts';
import { Handle } from './handle.ts';
import { findNamespaces, makeNamespace, openNamespaceFile, removeNamespace } from './mounts.ts';
import { LinuxNamespace } from './namespace.ts';
import { encodeSetLink, RTM_SETLINK } from './netlink/link.ts';
import { Relay } from './relay/index.ts';
import { requirePath } from './values.ts';

export { kernelAvailability } from './availability.ts';
export { type Connection, involves, type Tuple, wasBegunTo } from './conntrack.ts';
export { LinuxNamespace } from './namespace.ts';
export type { Rule } from './rules.ts';

export interface LinuxOslOptions {
  /** Told what can't be told to a caller. Default: nobody. */
  readonly logger?: Warner | undefined;
}

/** After a namespace ends, the kernel deletes what was in it and holds the rtnl lock for about as long. */
const CLEANUP_MS = 100;

/** A request to change nothing about `lo` (always index 1): it needs the rtnl lock, and that is all. */
const NO_CHANGE = { type: RTM_SETLINK, flags: 0, payload: encodeSetLink(1, {}), operation: 'wait for rtnl' };
const MAX_PROBES = 50;
const QUICK_MS = 4;

/**
 * The real kernel. Nothing is loaded, opened or asked for until it is used, so that making one never fails.
 * Needs CAP_NET_ADMIN and CAP_SYS_ADMIN; see `kernelAvailability`.
 */
export function linuxOsl(options: LinuxOslOptions = {}): Osl {
  return new LinuxOsl(options.logger);
}

class LinuxOsl implements Osl {
  readonly kind = 'linux';
  readonly host: Namespace;
  readonly #hostHandle: Handle;
  readonly #handles = new WeakMap<Namespace, Handle>();
  readonly #open = new Set<Handle>();
  readonly #logger: Warner | undefined;
  readonly #relay: Relay;
  #closed = false;

  constructor(logger: Warner | undefined) {
    this.#logger = logger;
    this.#relay = new Relay(logger);
    this.#hostHandle = this.#newHandle('host', undefined);
    this.host = this.#namespace(this.#hostHandle, true);
  }

  async createNamespace(path: string): Promise<Namespace> {
    const namespace = await this.#opened(path, async () => {
      requirePath(path, 'path');
      await this.#untilLockIsFree();
      return rtnl.run(() => makeNamespace(path));
    });
    await namespace.apply([{ op: 'setLink', name: 'lo', up: true }]);
    return namespace;
  }

  openNamespace(path: string): Promise<Namespace> {
    return this.#opened(path, () => openNamespaceFile(path));
  }

  async deleteNamespace(path: string): Promise<void> {
    try {
      if (removeNamespace(path)) rtnl.contended(CLEANUP_MS);
    } catch (error) {
      throw explainRefusal(error);
    }
  }

  async listNamespaces(directory: string): Promise<readonly string[]> {
    return findNamespaces(directory);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#relay.close();
    for (const handle of this.#open) handle.close();
    this.#open.clear();
  }

  async #opened(path: string, open: () => Promise<number> | number): Promise<Namespace> {
    if (this.#closed) throw new LibnetworkError('UNAVAILABLE', 'this osl was closed');
    try {
      return this.#namespace(this.#newHandle(path, await open()), false);
    } catch (error) {
      throw explainRefusal(error);
    }
  }

  /**
   * A new namespace needs the rtnl lock, and can only be made in this thread. So while somebody holds the lock,
   * the thread pool waits for it with a request of no effect, until one is answered quickly.
   */
  async #untilLockIsFree(): Promise<void> {
    for (let probes = 0; probes < MAX_PROBES && rtnl.busy; probes++) {
      const start = performance.now();
      await this.#hostHandle.socket.request([NO_CHANGE], { mode: 'async' });
      if (performance.now() - start < QUICK_MS) return;
    }
  }

  #newHandle(path: string, fd: number | undefined): Handle {
    const handle = new Handle(path, fd, () => this.#open.delete(handle));
    this.#open.add(handle);
    return handle;
  }

  #namespace(handle: Handle, isHost: boolean): Namespace {
    const handleOf: HandleOf = (other, field) => this.#handleOf(other, field);
    const namespace = new LinuxNamespace(handle, handleOf, isHost, this.#relay, this.#logger);
    this.#handles.set(namespace, handle);
    return namespace;
  }

  #handleOf(namespace: Namespace, field: string): Handle {
    const handle = this.#handles.get(namespace);
    if (!handle) throw invalid(field, namespace.path, 'must be a namespace that this osl opened');
    return handle;
  }
}
