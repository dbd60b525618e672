/** That this host is there: its lease in the global store, and what is written under it. */
import type { Datastore, Lease } from '../datastore/datastore.ts';
import type { Logger } from '../driverapi/driver.ts';
import { LibnetworkError } from '../errors.ts';
import { sleep } from './follow.ts';
import { hostKey } from './shapes.ts';

export interface PresenceOptions {
  readonly store: Datastore;
  readonly host: string;
  readonly address: string | undefined;
  readonly leaseMs: number;
  readonly logger: Logger;
  /** The host is there again after it counted as gone: others may have taken what it had. It never fails. */
  readonly onReturn: () => Promise<void>;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

export class Presence {
  readonly #options: PresenceOptions;
  readonly #ended = new AbortController();
  /** What is to be written under every lease, beside the host itself. */
  readonly #written = new Map<string, unknown>();
  #lease: Lease | undefined;
  #returning: Promise<void> | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Takes the lease; where the store can't be asked that goes on in the background. */
  async begin(): Promise<void> {
    try {
      await this.#enter();
    } catch (error) {
      this.#options.logger.warn('the global store can not be asked; this host will go on trying', { error });
      this.#comeBack();
    }
  }

  /** Whether this host counts as there. */
  get there(): boolean {
    return this.#lease !== undefined && !this.#lease.lost.aborted;
  }

  /** Writes under the lease, now and whenever there is a new one. @throws UNAVAILABLE while there is none */
  async put(key: string, value: unknown): Promise<void> {
    this.#written.set(key, value);
    await this.#write(this.#need(), key, value);
  }

  /** @throws UNAVAILABLE; it is not written again in any case */
  async remove(key: string): Promise<void> {
    this.#written.delete(key);
    await this.#options.store.delete(key);
  }

  /** Leaves the lease to run out: the next controller of this host comes before that. */
  async end(): Promise<void> {
    this.#ended.abort();
    await this.#returning;
  }

  #need(): Lease {
    if (this.#lease && !this.#lease.lost.aborted) return this.#lease;
    throw new LibnetworkError(
      'UNAVAILABLE',
      'this host has no lease in the global store at present: it is cut off, or was, and is coming back',
      { operation: 'lease' },
    );
  }

  async #enter(): Promise<void> {
    const { store, host, address, leaseMs } = this.#options;
    const lease = store.lease ? await store.lease(leaseMs) : undefined;
    const value = { host, ...(address === undefined ? {} : { address }), since: new Date().toISOString() };
    const without: Lease = {
      put: (key, written, options) => store.put(key, written, options),
      lost: new AbortController().signal,
      release: async () => undefined,
    };
    const taken = lease ?? without;
    await this.#write(taken, hostKey(host), value);
    for (const [key, written] of this.#written) await this.#write(taken, key, written);
    this.#lease = taken;
    const onLost = (): void => this.#comeBack();
    if (taken.lost.aborted) onLost();
    else taken.lost.addEventListener('abort', onLost, { once: true });
  }

  async #write(lease: Lease, key: string, value: unknown): Promise<void> {
    await lease.put(key, value);
  }

  #comeBack(): void {
    if (this.#ended.signal.aborted) return;
    this.#lease = undefined;
    this.#returning ??= this.#tryUntilThere().finally(() => {
      this.#returning = undefined;
    });
  }

  async #tryUntilThere(): Promise<void> {
    const { signal } = this.#ended;
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        await this.#enter();
        await this.#options.onReturn();
        if (this.there) return;
      } catch (error) {
        this.#options.logger.debug('this host is still cut off from the global store', { error });
      }
      await sleep(pause, signal);
    }
  }
}
