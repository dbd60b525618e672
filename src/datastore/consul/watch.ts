import { type Calls, ownCall } from '../remote/calls.ts';
import { type OpenWatch, Watching } from '../remote/watching.ts';
import type { Agents, ConsulAnswer } from './agents.ts';
import { consulError } from './failure.ts';
import type { ConsulKeys, ConsulPair } from './keys.ts';

/** How long one blocking query waits, in seconds; Consul adds up to a sixteenth. */
const WAIT_S = 30;
const GRACE_MS = 5_000;

export interface ConsulWatchParts extends OpenWatch {
  readonly agents: Agents;
  readonly keys: ConsulKeys;
  readonly calls: Calls;
}

/**
 * One watch: blocking queries on the prefix. Each answer is the whole list, so the watch tells the differences: each
 * key's latest state, without what happened between two answers.
 */
export class ConsulWatch {
  readonly #parts: ConsulWatchParts;
  readonly #watching: Watching;
  #index = 0;

  constructor(parts: ConsulWatchParts) {
    this.#parts = parts;
    this.#watching = new Watching(parts, (operation, error) => consulError(operation, error, false));
  }

  /** Resolves when it is settled what the watch starts from. */
  async start(): Promise<void> {
    await this.#watching.untilItPasses(async () => {
      const call = ownCall(this.#watching.operation, this.#parts.signal, this.#parts.calls);
      const answer = await this.#parts.agents.ask(call, 'read', this.#request({ consistent: '' }));
      for (const pair of pairsOf(answer))
        this.#watching.tracker.seed(this.#parts.keys.decode(pair.Key), pair.ModifyIndex);
      this.#index = Math.max(answer.index, 1);
    });
    if (!this.#watching.ended) void this.#follow();
  }

  async #follow(): Promise<void> {
    const { agents, keys, signal } = this.#parts;
    while (!this.#watching.ended)
      await this.#watching.untilItPasses(async () => {
        const limit = AbortSignal.timeout(WAIT_S * 1_000 * (17 / 16) + GRACE_MS);
        const request = this.#request({ index: `${this.#index}`, wait: `${WAIT_S}s` });
        const answer = await agents.wait(request, AbortSignal.any([signal, limit]));
        if (this.#watching.ended) return;
        this.#watching.backoff.reset();
        // After a restored snapshot the index may go back: then the next answer comes at once.
        if (answer.index < this.#index) {
          this.#index = 0;
          return;
        }
        this.#index = Math.max(answer.index, 1);
        this.#watching.tracker.replace(pairsOf(answer).map((pair) => keys.entry(pair)));
      });
  }

  #request(query: Record<string, string>) {
    const path = `kv/${this.#parts.keys.encode(this.#watching.prefix)}`;
    return { method: 'GET', path, query: { recurse: '', ...query }, accept: [404] } as const;
  }
}

/** The keys of a list; 404 says that there are none. */
export function pairsOf(answer: ConsulAnswer): readonly ConsulPair[] {
  return Array.isArray(answer.body) ? (answer.body as readonly ConsulPair[]) : [];
}
