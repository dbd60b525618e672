import type { IWatchRequest, IWatchResponse, WatchClient } from 'etcd3';
import { LibnetworkError } from '../../errors.ts';
import { type Calls, ownCall } from '../remote/calls.ts';
import { type OpenWatch, Watching } from '../remote/watching.ts';
import { etcdError, failureKind } from './failure.ts';
import type { Members } from './members.ts';
import { type Keyspace, listRange } from './ranges.ts';

export interface EtcdWatchParts extends OpenWatch {
  readonly members: Members;
  readonly keys: Keyspace;
  readonly calls: Calls;
}

type WatchStream = Awaited<ReturnType<WatchClient['watch']>>;

/**
 * One watch on etcd. It remembers the revision of the last event, and after a disconnect goes on from the next one,
 * at whichever member answers. Where etcd has compacted that revision away, it lists the prefix anew and tells the
 * differences: each key's latest state, without what happened in between.
 */
export class EtcdWatch {
  readonly #parts: EtcdWatchParts;
  readonly #watching: Watching;
  /** The first revision that was not told yet. */
  #next = 0;

  constructor(parts: EtcdWatchParts) {
    this.#parts = parts;
    this.#watching = new Watching(parts, (operation, error) => etcdError(operation, error, false));
  }

  /** Resolves when it is settled from which revision on this watch tells; that may take as long as etcd is away. */
  async start(): Promise<void> {
    await this.#watching.untilItPasses(async () => {
      const { pairs, revision } = await this.#list({ keysOnly: true });
      for (const pair of pairs)
        this.#watching.tracker.seed(this.#parts.keys.key(pair.key), Number(pair.mod_revision));
      this.#next = revision + 1;
    });
    if (!this.#watching.ended) void this.#follow();
  }

  async #follow(): Promise<void> {
    while (!this.#watching.ended) {
      await this.#watching.untilItPasses(async () => {
        const { client, options, failed } = this.#parts.members.stream();
        try {
          const stream = await client.watchClient.watch(options);
          if (await this.#read(stream)) await this.#catchUp();
        } catch (error) {
          if (failureKind(error) !== 'final') failed();
          throw error;
        }
      });
    }
  }

  /** Reads until the stream breaks (throws), nobody wants it any more, or its place is compacted away (true). */
  #read(stream: WatchStream): Promise<boolean> {
    const { keys, watch, signal } = this.#parts;
    let end = (): void => undefined;
    return new Promise<boolean>((resolve, reject) => {
      end = () => resolve(false);
      signal.addEventListener('abort', end, { once: true });
      stream.on('data', (response) => {
        try {
          if (this.#take(response)) resolve(true);
        } catch (error) {
          reject(error);
        }
      });
      stream.on('error', reject);
      stream.on('end', () => reject(new LibnetworkError('UNAVAILABLE', 'etcd ended the watch')));
      const request: IWatchRequest = {
        create_request: { ...keys.range(watch.prefix), start_revision: this.#next, progress_notify: true },
      };
      stream.write(request);
    }).finally(() => {
      signal.removeEventListener('abort', end);
      stream.cancel();
    });
  }

  /** True when etcd no longer has what comes next. */
  #take(response: IWatchResponse): boolean {
    if (response.canceled) {
      if (Number(response.compact_revision) > 0) return true;
      throw new Error(`etcd cancelled the watch: ${response.cancel_reason || 'it gave no reason'}`);
    }
    this.#watching.backoff.reset();
    if (response.created) return false;
    const last = response.events.at(-1);
    for (const event of response.events) {
      // The wire's enum is in capitals, the package's type is not.
      if (event.type.toUpperCase() === 'DELETE')
        this.#watching.tracker.delete(this.#parts.keys.key(event.kv.key));
      else this.#watching.tracker.put(this.#parts.keys.entry(event.kv));
    }
    // The header of events that come late names a revision beyond them; only without events it is the place reached.
    this.#next = Number(last?.kv.mod_revision ?? response.header.revision) + 1;
    return false;
  }

  async #catchUp(): Promise<void> {
    const { pairs, revision } = await this.#list({ keysOnly: false });
    this.#watching.tracker.replace(pairs.map((pair) => this.#parts.keys.entry(pair)));
    this.#next = revision + 1;
  }

  #list(options: { readonly keysOnly: boolean }) {
    const { members, keys, calls, watch, signal } = this.#parts;
    return listRange(
      members,
      ownCall(this.#watching.operation, signal, calls),
      keys.range(watch.prefix),
      options,
    );
  }
}
