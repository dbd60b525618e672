/** Taking back what hosts left behind that are gone past their lease: once, whoever notices. */
import type { Datastore, Entry } from '../datastore/datastore.ts';
import type { Logger } from '../driverapi/driver.ts';
import { sleep } from '../sleep.ts';
import { isWritten } from '../written.ts';
import { isCutOff } from './follow.ts';
import { endpointNameKey, hostKey, readEndpoint, type SharedEndpoint } from './shapes.ts';

export interface ReclaimOptions {
  readonly store: Datastore;
  readonly logger: Logger;
  /** Gives back what the endpoint held. Its record is gone. */
  readonly onReclaimed: (endpoint: SharedEndpoint) => Promise<void>;
}

/** How long each further host waits for those before it: so that not all write the same at once. */
const RANK_MS = 1_000;

export class Reclaimer {
  readonly #options: ReclaimOptions;
  readonly #ended = new AbortController();
  readonly #busy = new Map<string, Promise<void>>();

  constructor(options: ReclaimOptions) {
    this.#options = options;
  }

  /** Whether a host is there: its lease has not run out. */
  async isThere(host: string): Promise<boolean> {
    return (await this.#options.store.get(hostKey(host))) !== undefined;
  }

  /** Takes back a host's records, after those of lower rank had their chance. `records` tells what is left by then. */
  begin(scope: string, host: string, rank: number, records: () => readonly Entry[]): void {
    const name = `${scope} ${host}`;
    if (this.#busy.has(name) || this.#ended.signal.aborted) return;
    const work = this.#run(host, rank, records)
      .catch((error: unknown) => {
        const say = isCutOff(error) ? 'debug' : 'error';
        this.#options.logger[say](`what host ${host} left behind could not be taken back`, { error });
      })
      .finally(() => this.#busy.delete(name));
    this.#busy.set(name, work);
  }

  /**
   * Takes back one record, unless its host is there or somebody else was first. The host's absence is a condition
   * of the write itself: a host that returns finds either all of it or knows what it lost.
   */
  async reclaim(entry: Entry): Promise<boolean> {
    const endpoint = readEndpoint(entry);
    const erased = this.#options.store.transaction([
      { op: 'delete', key: hostKey(endpoint.host), ifVersion: 0 },
      { op: 'delete', key: entry.key, ifVersion: entry.version },
      { op: 'delete', key: endpointNameKey(endpoint.networkId, endpoint.name) },
    ]);
    if (!(await isWritten(erased))) return false;
    this.#options.logger.info(
      `endpoint ${endpoint.name} of host ${endpoint.host}, which is gone, was taken back`,
    );
    await this.#options.onReclaimed(endpoint);
    return true;
  }

  async end(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#busy.values());
  }

  async #run(host: string, rank: number, records: () => readonly Entry[]): Promise<void> {
    const { signal } = this.#ended;
    if (rank > 0) await sleep(rank * RANK_MS, signal);
    if (signal.aborted || records().length === 0 || (await this.isThere(host))) return;
    for (const entry of records()) if (!signal.aborted) await this.reclaim(entry);
  }
}
