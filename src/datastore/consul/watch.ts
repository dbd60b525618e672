import { Backoff } from '../remote/backoff.ts';
import { type Calls, ownCall } from '../remote/calls.ts';
import { Tracker } from '../remote/tracker.ts';
import type { Watch } from '../watchers.ts';
import type { Agents, ConsulAnswer } from './agents.ts';
import { consulError } from './failure.ts';
import type { ConsulKeys, ConsulPair } from './keys.ts';

/** How long one blocking query waits, in seconds; Consul adds up to a sixteenth. */
const WAIT_S = 30;
const GRACE_MS = 5_000;

export interface ConsulWatchParts {
  readonly agents: Agents;
  readonly keys: ConsulKeys;
  readonly calls: Calls;
  readonly watch: Watch;
  readonly signal: AbortSignal;
}

/**
 * One watch: blocking queries on the prefix. Each answer is the whole list, so the watch tells the differences: each
 * key's latest state, without what happened between two answers.
 */
export class ConsulWatch {
  readonly #parts: ConsulWatchParts;
  readonly #tracker: Tracker;
  readonly #operation: string;
  readonly #backoff = new Backoff();
  #index = 0;

  constructor(parts: ConsulWatchParts) {
    this.#parts = parts;
    this.#tracker = new Tracker((event) => parts.watch.push(event));
    this.#operation = `watch ${parts.watch.prefix}`;
  }

  /** Resolves when it is settled what the watch starts from. */
  async start(): Promise<void> {
    await this.#untilItPasses(async () => {
      const call = ownCall(this.#operation, this.#parts.signal, this.#parts.calls);
      const answer = await this.#parts.agents.ask(call, 'read', this.#request({ consistent: '' }));
      for (const pair of pairsOf(answer))
        this.#tracker.seed(this.#parts.keys.decode(pair.Key), pair.ModifyIndex);
      this.#index = Math.max(answer.index, 1);
    });
    if (!this.#ended) void this.#follow();
  }

  get #ended(): boolean {
    return this.#parts.signal.aborted;
  }

  async #follow(): Promise<void> {
    const { agents, keys, signal } = this.#parts;
    while (!this.#ended)
      await this.#untilItPasses(async () => {
        const limit = AbortSignal.timeout(WAIT_S * 1_000 * (17 / 16) + GRACE_MS);
        const request = this.#request({ index: `${this.#index}`, wait: `${WAIT_S}s` });
        const answer = await agents.wait(request, AbortSignal.any([signal, limit]));
        if (this.#ended) return;
        this.#backoff.reset();
        // After a restored snapshot the index may go back: then the next answer comes at once.
        if (answer.index < this.#index) {
          this.#index = 0;
          return;
        }
        this.#index = Math.max(answer.index, 1);
        this.#tracker.replace(pairsOf(answer).map((pair) => keys.entry(pair)));
      });
  }

  async #untilItPasses(act: () => Promise<void>): Promise<void> {
    while (!this.#ended) {
      try {
        await act();
        return;
      } catch (error) {
        if (this.#ended) return;
        const worded = consulError(this.#operation, error, false);
        if (worded.code !== 'UNAVAILABLE') return this.#parts.watch.fail(worded);
        await this.#backoff.wait(this.#parts.signal);
      }
    }
  }

  #request(query: Record<string, string>) {
    const path = `kv/${this.#parts.keys.encode(this.#parts.watch.prefix)}`;
    return { method: 'GET', path, query: { recurse: '', ...query }, accept: [404] } as const;
  }
}

/** The keys of a list; 404 says that there are none. */
export function pairsOf(answer: ConsulAnswer): readonly ConsulPair[] {
  return Array.isArray(answer.body) ? (answer.body as readonly ConsulPair[]) : [];
}
