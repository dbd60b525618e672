import { invalid, LibnetworkError } from '../../errors.ts';
import type { Namespace, Osl } from '../osl.ts';
import { explainRefusal } from './capabilities.ts';
import { rtnl } from './gate.ts';
import { Handle } from './handle.ts';
import { findNamespaces, makeNamespace, openNamespaceFile, removeNamespace } from './mounts.ts';
import { LinuxNamespace } from './namespace.ts';

export { kernelAvailability } from './availability.ts';
export { LinuxNamespace } from './namespace.ts';

export interface LinuxOslOptions {
  /** Told what can't be told to a caller. Default: nobody. */
  readonly logger?: { warn(message: string, facts?: object): void } | undefined;
}

/** After a namespace ends, the kernel deletes what was in it and holds the rtnl lock for about as long. */
const CLEANUP_MS = 100;

/**
 * The real kernel. Nothing is loaded, opened or asked for until it is used, so that making one never fails.
 * Needs CAP_NET_ADMIN and CAP_SYS_ADMIN; see `kernelAvailability`.
 */
export function linuxOsl(_options: LinuxOslOptions = {}): Osl {
  return new LinuxOsl();
}

class LinuxOsl implements Osl {
  readonly kind = 'linux';
  readonly host: Namespace;
  readonly #handles = new WeakMap<Namespace, Handle>();
  readonly #open = new Set<Handle>();
  #closed = false;

  constructor() {
    this.host = this.#namespace('host', undefined);
  }

  async createNamespace(path: string): Promise<Namespace> {
    const namespace = await this.#opened(path, () => rtnl.run(() => makeNamespace(path)));
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
    for (const handle of this.#open) handle.close();
    this.#open.clear();
  }

  async #opened(path: string, open: () => Promise<number> | number): Promise<Namespace> {
    if (this.#closed) throw new LibnetworkError('UNAVAILABLE', 'this osl was closed');
    try {
      return this.#namespace(path, await open());
    } catch (error) {
      throw explainRefusal(error);
    }
  }

  #namespace(path: string, fd: number | undefined): Namespace {
    const handle = new Handle(path, fd, () => this.#open.delete(handle));
    const namespace = new LinuxNamespace(handle, (other, field) => this.#handleOf(other, field));
    this.#handles.set(namespace, handle);
    this.#open.add(handle);
    return namespace;
  }

  #handleOf(namespace: Namespace, field: string): Handle {
    const handle = this.#handles.get(namespace);
    if (!handle) throw invalid(field, namespace.path, 'must be a namespace that this osl opened');
    return handle;
  }
}
