import { pause } from '../../sleep.ts';
import type { Call, Calls } from '../remote/calls.ts';
import { type OpenWatch, Watching } from '../remote/watching.ts';
import { zookeeperError } from './failure.ts';
import type { Session } from './session.ts';
import type { Tree } from './tree.ts';

export interface ZookeeperWatchParts extends OpenWatch {
  /** The main session, connected. */
  readonly ready: (call: Call) => Promise<Session>;
  readonly tree: Tree;
  readonly calls: Calls;
}

/**
 * One watch. ZooKeeper's own fire once and say only that something changed, so the prefix is read anew each time, and
 * the differences are told: each key's latest state, without what happened in between.
 */
export class ZookeeperWatch {
  readonly #parts: ZookeeperWatchParts;
  readonly #watching: Watching;
  #woken = new AbortController();
  /** Ends the listening to the session of the last round. */
  #deafen: () => void = () => undefined;

  constructor(parts: ZookeeperWatchParts) {
    this.#parts = parts;
    this.#watching = new Watching(parts, (operation, error) => zookeeperError(operation, error, false));
  }

  /** Resolves when it is settled what the watch starts from. */
  async start(): Promise<void> {
    await this.#round((entries) => {
      for (const { key, version } of entries) this.#watching.tracker.seed(key, version);
    });
    if (!this.#watching.ended) void this.#follow();
  }

  async #follow(): Promise<void> {
    while (!this.#watching.ended) {
      await pause(2 ** 31 - 1, AbortSignal.any([this.#parts.signal, this.#woken.signal]));
      if (!this.#watching.ended) await this.#round((entries) => this.#watching.tracker.replace(entries));
    }
    this.#deafen();
  }

  readonly #wake = (): void => this.#woken.abort();

  /** Reads until it works. Afterwards the next change, or the next loss of the connection, wakes it. */
  async #round(take: (entries: Awaited<ReturnType<Tree['list']>>) => void): Promise<void> {
    const { tree, calls, ready } = this.#parts;
    const { operation, prefix, signal } = this.#watching;
    await this.#watching.untilItPasses(async () => {
      this.#woken = new AbortController();
      const entries = await calls.run(operation, { signal }, async (call) => {
        const session = await ready(call);
        this.#deafen();
        this.#deafen = session.onChange(this.#wake);
        return tree.list(session, prefix, this.#wake);
      });
      if (this.#watching.ended) return;
      take(entries);
      this.#watching.backoff.reset();
    });
  }
}
