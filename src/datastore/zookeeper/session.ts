import type { ACL, Client, Event, Stat } from 'node-zookeeper-client';
import { LibnetworkError } from '../../errors.ts';
import { pause } from '../../sleep.ts';
import type { CheckedZookeeperOptions } from './options.ts';

export type ZookeeperModule = typeof import('node-zookeeper-client');

/** The package's state in which it does not connect again. */
const CLOSING = -1;
/** How long a closing session may take to say goodbye. */
const GOODBYE_MS = 1_000;

/**
 * One session with ZooKeeper. Requests go out only while it is connected: the package would keep them and send them
 * whenever the server comes back, long after the caller was told that they failed.
 */
export class Session {
  readonly #client: Client;
  readonly #listeners = new Set<() => void>();
  #connected = false;
  #refused = false;
  #over = false;

  /** @param timeoutMs after which a silent holder counts as gone; the servers have bounds of their own */
  constructor(zookeeper: ZookeeperModule, options: CheckedZookeeperOptions, timeoutMs: number) {
    const sessionTimeout = Math.ceil(timeoutMs);
    this.#client = zookeeper.createClient(options.servers, { sessionTimeout, spinDelay: 200, retries: 0 });
    const { auth } = options;
    if (auth) this.#client.addAuthInfo('digest', Buffer.from(`${auth.username}:${auth.password}`));
    this.#client.on('connected', () => this.#change(true));
    this.#client.on('disconnected', () => this.#change(false));
    this.#client.on('expired', () => this.#end());
    this.#client.on('authenticationFailed', () => {
      this.#refused = true;
      this.#end();
    });
    this.#client.connect();
  }

  /** True when the servers have ended it, and its ephemeral nodes are gone. */
  get over(): boolean {
    return this.#over;
  }

  /** What the servers made of the wished timeout; known once it was connected. */
  get timeoutMs(): number {
    return this.#client.getSessionTimeout();
  }

  get id(): string {
    return this.#client.getSessionId().toString('hex');
  }

  /** Called whenever the connection comes, goes, or ends for good. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when it is connected, or over (throws). */
  async ready(signal: AbortSignal): Promise<void> {
    while (!this.#connected) {
      if (this.#refused) throw new LibnetworkError('FORBIDDEN', 'ZooKeeper refuses these credentials');
      if (this.#over) throw new LibnetworkError('UNAVAILABLE', 'the session with ZooKeeper has expired');
      if (signal.aborted) throw new LibnetworkError('UNAVAILABLE', 'ZooKeeper was not there in time');
      await this.#nextChange(signal);
    }
  }

  exists(path: string, watcher?: (event: Event) => void): Promise<Stat | undefined> {
    return this.#request((done) =>
      watcher
        ? this.#client.exists(path, watcher, (error, stat) => done(error, stat ?? undefined))
        : this.#client.exists(path, (error, stat) => done(error, stat ?? undefined)),
    );
  }

  children(path: string, watcher?: (event: Event) => void): Promise<readonly string[]> {
    return this.#request((done) =>
      watcher
        ? this.#client.getChildren(path, watcher, (error, names) => done(error, names))
        : this.#client.getChildren(path, (error, names) => done(error, names)),
    );
  }

  data(path: string): Promise<{ readonly data: Buffer; readonly stat: Stat }> {
    return this.#request((done) =>
      this.#client.getData(path, (error, data, stat) => done(error, { data: data ?? Buffer.alloc(0), stat })),
    );
  }

  create(path: string, acl: ACL[]): Promise<string> {
    return this.#request((done) => this.#client.create(path, acl, (error, made) => done(error, made)));
  }

  /** All or nothing; the answers in order. @param build adds the steps */
  multi(build: (steps: ReturnType<Client['transaction']>) => void): Promise<readonly MultiResult[]> {
    return this.#request((done) => {
      const steps = this.#client.transaction();
      build(steps);
      steps.commit((error, results: readonly MultiResult[]) => done(error, results));
    });
  }

  /** Drops a connection on which nothing comes back; the package connects anew, to another server if there is one. */
  dropConnection(): void {
    call(Reflect.get(this.#internals(), 'socket'), 'destroy');
  }

  /** Ends the session at the servers, where they can be told; its ephemeral nodes go with it. */
  async close(): Promise<void> {
    if (this.#over) return;
    if (this.#connected) {
      const enough = AbortSignal.timeout(GOODBYE_MS);
      this.#client.close();
      while (this.#connected && !enough.aborted) await this.#nextChange(enough);
    }
    this.abandon();
  }

  /** Falls silent, as a holder that died: the servers end the session when its time is over. */
  abandon(): void {
    this.#end();
    const internals = this.#internals();
    // The package can't leave a session alone, and reads what comes while it closes as if it were open.
    Reflect.set(internals, 'state', CLOSING);
    Reflect.set(internals, 'onSocketData', () => undefined);
    Reflect.set(internals, 'onSocketConnected', () => this.dropConnection());
    const socket: unknown = Reflect.get(internals, 'socket');
    call(socket, 'removeAllListeners', 'data');
    call(socket, 'destroy');
  }

  /** The package's connection manager, for what the package has no call for. */
  #internals(): object {
    const manager: unknown = Reflect.get(this.#client, 'connectionManager');
    if (manager instanceof Object) return manager;
    throw new LibnetworkError('INTERNAL', 'node-zookeeper-client has changed inside: use version 1.1.3');
  }

  #request<T>(send: (done: (error: unknown, result: T) => void) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!this.#connected) throw new LibnetworkError('UNAVAILABLE', 'the connection to ZooKeeper is lost');
      send((error, result) => (error ? reject(error) : resolve(result)));
    });
  }

  #change(connected: boolean): void {
    this.#connected = connected && !this.#over;
    for (const listener of [...this.#listeners]) listener();
  }

  #end(): void {
    this.#over = true;
    this.#change(false);
  }

  async #nextChange(signal: AbortSignal): Promise<void> {
    const changed = new AbortController();
    const stop = this.onChange(() => changed.abort());
    await pause(2 ** 31 - 1, AbortSignal.any([signal, changed.signal]));
    stop();
  }
}

function call(target: unknown, method: string, ...args: unknown[]): void {
  const found: unknown = target instanceof Object ? Reflect.get(target, method) : undefined;
  if (typeof found === 'function') Reflect.apply(found, target, args);
}

export interface MultiResult {
  readonly stat?: Stat;
  readonly err?: number;
}

/** A zxid, which numbers every change of the whole ensemble, as a version. */
export function versionOf(stat: Stat): number {
  return Number(stat.mzxid.readBigUInt64BE());
}

export function isEphemeral(stat: Stat): boolean {
  return stat.ephemeralOwner.some((byte) => byte !== 0);
}
