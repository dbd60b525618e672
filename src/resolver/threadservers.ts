import { stat } from 'node:fs/promises';
import { LibnetworkError } from '../errors.ts';
import type { Firewall } from '../osl/firewall/firewall.ts';
import type { Namespace } from '../osl/osl.ts';
import { redirect } from './redirect.ts';
import type { NameServer, NameServerSpec, NameServers } from './servers.ts';
import { type Start, Thread, type ThreadOptions } from './thread.ts';

/** After a thread that ended sooner than this after its start, the next one is started only after this time. */
const SHORT_LIFE_MS = 1000;

interface Entry {
  readonly number: number;
  readonly firewall: Firewall;
  /** What a thread is told to start it. */
  start: Start;
  /** Until it answers in the present thread. */
  started: Promise<void>;
}

/**
 * Name servers that run in one thread of their own, which answers while this one is busy. It opens the sandboxes'
 * namespaces by their paths. The redirection of port 53 is set from here, so that the thread holds nothing of the
 * kernel that does not end with it. A thread that ends by a failure is followed by another, with all name servers.
 */
export class NameServerThread implements NameServers {
  readonly #options: Omit<ThreadOptions, 'onDeath'>;
  readonly #entries = new Map<number, Entry>();
  #thread: Thread | undefined;
  #bornAt = 0;
  #restart: NodeJS.Timeout | undefined;
  #last = 0;

  constructor(options: Omit<ThreadOptions, 'onDeath'>) {
    this.#options = options;
  }

  async start({ firewallTable: table, ...spec }: NameServerSpec, namespace: Namespace): Promise<NameServer> {
    const { path } = namespace;
    const { ino: inode } = await stat(path);
    const firewall = await namespace.firewall({ engine: 'nftables', table, latch: false });
    const entry: Entry = {
      number: ++this.#last,
      firewall,
      start: { spec, path, inode },
      started: Promise.resolve(),
    };
    const thread = this.#running();
    this.#entries.set(entry.number, entry);
    try {
      await this.#startIn(thread, entry);
    } catch (error) {
      await this.#close(entry, false);
      throw error;
    }
    return {
      counters: async () => {
        await entry.started;
        if (this.#thread !== undefined) return this.#thread.request('counters', entry.number, undefined);
        throw new LibnetworkError(
          'UNAVAILABLE',
          'the name servers are being started again: ask a second later',
        );
      },
      follow: (upstreams, ndotsSet) => {
        entry.start = { ...entry.start, spec: { ...entry.start.spec, upstreams, ndotsSet } };
        // A thread that ends meanwhile is followed by one that is started with them.
        void this.#thread?.request('follow', entry.number, { upstreams, ndotsSet }).catch(ignoreEnd);
      },
      close: ({ removeRules = false } = {}) => this.#close(entry, removeRules),
    };
  }

  async close(): Promise<void> {
    clearTimeout(this.#restart);
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.end();
  }

  /** The thread, started with all name servers if there is none. */
  #running(): Thread {
    if (this.#thread !== undefined) return this.#thread;
    clearTimeout(this.#restart);
    this.#bornAt = Date.now();
    const thread = new Thread({ ...this.#options, onDeath: (error) => this.#startAnother(error) });
    this.#thread = thread;
    for (const entry of this.#entries.values()) void this.#startAgain(thread, entry);
    return thread;
  }

  #startIn(thread: Thread, entry: Entry): Promise<void> {
    thread.needed = true;
    entry.started = this.#untilStarted(thread, entry);
    return entry.started;
  }

  async #untilStarted(thread: Thread, { number, firewall, start }: Entry): Promise<void> {
    const ports = await thread.request('start', number, start);
    if (this.#entries.has(number)) await redirect(firewall, start.spec.sandboxId, ports);
  }

  async #startAgain(thread: Thread, entry: Entry): Promise<void> {
    try {
      await this.#startIn(thread, entry);
    } catch (error) {
      // Where that thread has failed too, the one after it starts them all.
      if (this.#thread !== thread) return;
      const { path, spec } = entry.start;
      this.#options.logger?.warn('a name server could not be started again', { path, ...spec, error });
    }
  }

  #startAnother(error: unknown): void {
    this.#thread = undefined;
    this.#options.logger?.warn('the thread of the name servers failed: starting another', { error });
    const delay = Date.now() - this.#bornAt < SHORT_LIFE_MS ? SHORT_LIFE_MS : 0;
    this.#restart = setTimeout(() => {
      if (this.#entries.size > 0) this.#running();
    }, delay);
  }

  async #close(entry: Entry, removeRules: boolean): Promise<void> {
    if (!this.#entries.delete(entry.number)) return;
    await this.#thread?.request('close', entry.number, undefined).catch(ignoreEnd);
    if (this.#thread !== undefined) this.#thread.needed = this.#entries.size > 0;
    if (removeRules) await entry.firewall.destroy();
    await entry.firewall.close();
  }
}

/** With the thread its name servers have ended too. */
function ignoreEnd(error: unknown): void {
  if (!LibnetworkError.is(error, 'UNAVAILABLE')) throw error;
}
