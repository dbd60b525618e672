import { pause } from '../../sleep.ts';
import { Backoff } from '../remote/backoff.ts';
import type { Call, Calls } from '../remote/calls.ts';
import { Tracker } from '../remote/tracker.ts';
import type { Watch } from '../watchers.ts';
import { zookeeperError } from './failure.ts';
import type { Session } from './session.ts';
import type { Tree } from './tree.ts';

export interface ZookeeperWatchParts {
  /** The main session, connected. */
  readonly ready: (call: Call) => Promise<Session>;
  readonly tree: Tree;
  readonly calls: Calls;
  readonly watch: Watch;
  readonly signal: AbortSignal;
}

/**
 * One watch. ZooKeeper's own fire once and say only that something changed, so the prefix is read anew each time, and
 * the differences are told: each key's latest state, without what happened in between.
 */
export class ZookeeperWatch {
  readonly #parts: ZookeeperWatchParts;
  readonly #tracker: Tracker;
  readonly #operation: string;
  readonly #backoff = new Backoff();
  #woken = new AbortController();
  /** Ends the listening to the session of the last round. */
  #deafen: () => void = () => undefined;

  constructor(parts: ZookeeperWatchParts) {
    this.#parts = parts;
    this.#tracker = new Tracker((event) => parts.watch.push(event));
    this.#operation = `watch ${parts.watch.prefix}`;
  }

  /** Resolves when it is settled what the watch starts from. */
  async start(): Promise<void> {
    await this.#round((entries) => {
      for (const { key, version } of entries) this.#tracker.seed(key, version);
    });
    if (!this.#ended) void this.#follow();
  }

  get #ended(): boolean {
    return this.#parts.signal.aborted;
  }

  async #follow(): Promise<void> {
    while (!this.#ended) {
      await pause(2 ** 31 - 1, AbortSignal.any([this.#parts.signal, this.#woken.signal]));
      if (!this.#ended) await this.#round((entries) => this.#tracker.replace(entries));
    }
    this.#deafen();
  }

  readonly #wake = (): void => this.#woken.abort();

  /** Reads until it works. Afterwards the next change, or the next loss of the connection, wakes it. */
  async #round(take: (entries: Awaited<ReturnType<Tree['list']>>) => void): Promise<void> {
    const { tree, watch, signal, calls } = this.#parts;
    while (!this.#ended) {
      this.#woken = new AbortController();
      try {
        const entries = await calls.run(this.#operation, { signal }, async (call) => {
          const session = await this.#parts.ready(call);
          this.#deafen();
          this.#deafen = session.onChange(this.#wake);
          return tree.list(session, watch.prefix, this.#wake);
        });
        if (this.#ended) return;
        take(entries);
        this.#backoff.reset();
        return;
      } catch (error) {
        if (this.#ended) return;
        const worded = zookeeperError(this.#operation, error, false);
        if (worded.code !== 'UNAVAILABLE') return watch.fail(worded);
        await this.#backoff.wait(signal);
      }
    }
  }
}
