/** That a host is there: its lease, and what it says under it, again under a new one whenever that was lost. */
import type { Datastore, Lease } from '../datastore/datastore.ts';
import { LibnetworkError } from '../errors.ts';
import { sleep } from '../sleep.ts';
import type { Advertisement, Host } from './discovery.ts';

export interface AnnouncementParts<H> {
  readonly store: Datastore;
  readonly key: string;
  readonly host: H;
  readonly ttlMs: number;
  /** Told of a lease that lapsed, and of every attempt in the background that failed. */
  readonly report: (error: LibnetworkError) => void;
  /** The host is there again after it counted as gone: others may have taken what it had. */
  readonly onReturn?: () => Promise<void>;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

export class Announcement<H extends Pick<Host, 'id'> & Partial<Host>> implements Omit<Advertisement, 'host'> {
  readonly host: H;
  readonly #parts: AnnouncementParts<H>;
  readonly #over = new AbortController();
  /** What is written beside the host itself. */
  readonly #written = new Map<string, unknown>();
  /** Also one that not all could be written under yet: it is gone on with. */
  #lease: Lease | undefined;
  #there = false;
  #returning: Promise<void> | undefined;

  constructor(parts: AnnouncementParts<H>) {
    this.host = parts.host;
    this.#parts = parts;
  }

  get live(): boolean {
    return this.#there && this.#lease?.lost.aborted === false;
  }

  /** @throws CONFLICT naming the address of another host with this id; UNAVAILABLE */
  async begin(signal?: AbortSignal): Promise<void> {
    const { store, key, host, ttlMs } = this.#parts;
    if (this.#lease === undefined || this.#lease.lost.aborted)
      this.#lease = (await store.lease?.(ttlMs, { signal })) ?? withoutEnd(store);
    const lease = this.#lease;
    await lease.put(key, host, { ifVersion: await versionToReplace(store, key, host, signal), signal });
    for (const [each, value] of this.#written) await lease.put(each, value, { signal });
    this.#there = true;
    if (lease.lost.aborted) this.#onLost();
    else lease.lost.addEventListener('abort', this.#onLost, { once: true });
  }

  /** Goes on trying, in the background, until the host is there. */
  keepTrying(): void {
    if (this.#over.signal.aborted) return;
    this.#returning ??= this.#untilThere();
  }

  /** Writes under the lease, now and whenever there is a new one. @throws UNAVAILABLE while there is none */
  async put(key: string, value: unknown): Promise<void> {
    // At the end of the list, where a lease that is just being filled comes by again.
    this.#written.delete(key);
    this.#written.set(key, value);
    if (this.#lease && this.live) return void (await this.#lease.put(key, value));
    throw new LibnetworkError(
      'UNAVAILABLE',
      'this host has no lease in the global store at present: it is cut off, or was, and is coming back',
      { operation: 'lease' },
    );
  }

  /** @throws UNAVAILABLE; it is not written again in any case */
  async remove(key: string): Promise<void> {
    this.#written.delete(key);
    await this.#parts.store.delete(key);
  }

  /** The others learn at once that this host has left. */
  async withdraw(): Promise<void> {
    await this.end();
    const lease = this.#lease;
    this.#lease = undefined;
    await lease?.release();
  }

  /** Leaves the lease to run out: the next process of this host comes before that. */
  async end(): Promise<void> {
    this.#over.abort();
    await this.#returning;
  }

  /** One and the same listener: a lease that is gone on with is told of once. */
  readonly #onLost = (): void => {
    this.#there = false;
    if (this.#over.signal.aborted) return;
    const what = `the lease of host ${this.host.id} lapsed; it is advertised anew`;
    this.#parts.report(new LibnetworkError('UNAVAILABLE', what));
    this.keepTrying();
  };

  async #untilThere(): Promise<void> {
    const over = this.#over.signal;
    try {
      for (let pause = FIRST_PAUSE_MS; !over.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
        try {
          await this.begin(over);
          await this.#parts.onReturn?.();
          if (this.live) return;
        } catch (error) {
          if (!over.aborted) this.#parts.report(failed(this.host.id, error));
        }
        await sleep(pause, over);
      }
    } finally {
      // Here, and not when that is noticed outside: a lease that is lost in between must be told of again.
      this.#returning = undefined;
    }
  }
}

/** A store that knows no leases: what a host says stays. */
function withoutEnd(store: Datastore): Lease {
  return {
    put: (key, value, options) => store.put(key, value, options),
    lost: new AbortController().signal,
    release: async () => undefined,
  };
}

/** What this host left under its id before a restart is its own; another address is another host. */
async function versionToReplace(
  store: Datastore,
  key: string,
  { id, address }: Pick<Host, 'id'> & Partial<Host>,
  signal: AbortSignal | undefined,
): Promise<number> {
  const found = await store.get(key, { signal });
  if (found === undefined) return 0;
  const holder = (found.value as Partial<Host>).address;
  if (holder === address) return found.version;
  throw new LibnetworkError(
    'CONFLICT',
    `host ${id} lives already at ${holder}; give this host an id of its own, or wait until that one's lease is over`,
    { field: 'host.id', value: id, holder: String(holder) },
  );
}

function failed(id: string, error: unknown): LibnetworkError {
  if (LibnetworkError.is(error)) return error;
  return new LibnetworkError('INTERNAL', `host ${id} can't be advertised`, { cause: error });
}
