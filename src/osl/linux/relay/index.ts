/** Ports that are served: by one thread for all of them, so that neither side waits for the other. */
import { closeSync, fstatSync } from 'node:fs';
import { LibnetworkError } from '../../../errors.ts';
import type { HeldPort, PortSpec, ProxyTarget, SocketAddress } from '../../osl.ts';
import type { Warner } from '../deletes.ts';
import { duplicate, libc } from '../libc.ts';
import { openPort } from '../sockets.ts';
import { type Serve, serve } from './serve.ts';
import { canHaveThread, RelayThread } from './thread.ts';

/** The least time from one start of a thread to the next, in ms. */
const PAUSE_MS = 1_000;

/** A port, from when it is bound until it is let go of. Its own descriptor holds it whatever becomes of the thread. */
interface Port {
  readonly protocol: 'tcp' | 'udp';
  readonly fd: number;
  readonly local: SocketAddress;
  readonly namespaceFd: number | undefined;
  readonly target: ProxyTarget;
  /** It is served by this one, from this on. */
  started: {
    readonly by: RelayThread | undefined;
    readonly server: Promise<{ close(): Promise<void> | void }>;
  };
}

/** A thread that died may not have taken a descriptor, or closed it, and the number be another file's by now. */
function closeIfSame(fd: number, ino: number): void {
  try {
    if (fstatSync(fd).ino === ino) closeSync(fd);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EBADF')) throw error;
  }
}

export class Relay {
  readonly #logger: Warner | undefined;
  readonly #ports = new Map<number, Port>();
  readonly #stopping = new Set<Promise<void>>();
  #thread: RelayThread | undefined;
  #startedAt = Number.NEGATIVE_INFINITY;
  #last = 0;
  #closed = false;

  constructor(logger: Warner | undefined) {
    this.#logger = logger;
  }

  /** See `Namespace.servePort`. */
  async serve(namespaceFd: number | undefined, spec: PortSpec, target: ProxyTarget): Promise<HeldPort> {
    const { protocol } = spec;
    if (protocol === 'sctp')
      throw new LibnetworkError('NOT_IMPLEMENTED', 'sctp ports can be led by rules, but not be served', {
        field: 'protocol',
        value: protocol,
      });
    const { fd, local } = openPort(namespaceFd, spec);
    const number = ++this.#last;
    const own = namespaceFd === undefined ? undefined : duplicate(namespaceFd);
    const plain = { protocol, fd, local, namespaceFd: own, target };
    const port: Port = { ...plain, started: this.#start(number, plain) };
    this.#ports.set(number, port);
    const release = () => this.#release(number);
    try {
      await port.started.server;
    } catch (error) {
      // One that died is started again, and serves this port too.
      if (!LibnetworkError.is(error, 'UNAVAILABLE') || this.#closed) {
        release();
        throw error;
      }
    }
    return { protocol, ...local, release };
  }

  /** Waits until ports that were let go of are free. */
  async settled(): Promise<void> {
    while (this.#stopping.size > 0) await Promise.all(this.#stopping);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const number of [...this.#ports.keys()]) this.#release(number);
    await this.settled();
    await this.#thread?.end();
  }

  #start(number: number, port: Omit<Port, 'started'>): Port['started'] {
    const { protocol, local, namespaceFd, target } = port;
    const what: Serve = { protocol, local, namespaceFd, target, fd: duplicate(port.fd) };
    if (!canHaveThread) return { by: undefined, server: serve(what) };
    const thread = this.#thread ?? this.#newThread();
    const { ino } = fstatSync(what.fd);
    const server = thread.serve(number, what).then(
      () => ({ close: () => thread.stop(number) }),
      (error: unknown) => {
        closeIfSame(what.fd, ino);
        throw error;
      },
    );
    // Whoever asked for it hears of it; a later start has nobody who waits.
    server.catch(() => undefined);
    return { by: thread, server };
  }

  #newThread(): RelayThread {
    this.#startedAt = performance.now();
    const thread = new RelayThread((cause) => this.#bury(thread, cause));
    this.#thread = thread;
    return thread;
  }

  /** What a dead thread served the next one serves. Who comes in between waits in the ports' own queues. */
  #bury(thread: RelayThread, cause: unknown): void {
    if (this.#thread === thread) this.#thread = undefined;
    if (this.#closed || this.#ports.size === 0) return;
    this.#logger?.warn('the thread that serves ports has ended, and is started again', { error: cause });
    const wait = Math.max(0, this.#startedAt + PAUSE_MS - performance.now());
    setTimeout(() => {
      if (this.#closed) return;
      for (const [number, port] of this.#ports) {
        if (port.started.by === thread) this.#startAgain(number, port);
      }
    }, wait).unref();
  }

  #startAgain(number: number, port: Port): void {
    port.started = this.#start(number, port);
    port.started.server.catch((error: unknown) => {
      // One that died as well is started once more.
      if (LibnetworkError.is(error, 'UNAVAILABLE')) return;
      this.#logger?.warn('a port is held and not served', { ...port.local, error });
    });
  }

  #release(number: number): void {
    const port = this.#ports.get(number);
    if (port === undefined) return;
    this.#ports.delete(number);
    libc().close(port.fd);
    const stopped = port.started.server
      .then((server) => server.close())
      // One that died has let go of everything.
      .catch(() => undefined)
      .then(() => {
        if (port.namespaceFd !== undefined) libc().close(port.namespaceFd);
        this.#stopping.delete(stopped);
      });
    this.#stopping.add(stopped);
  }
}
