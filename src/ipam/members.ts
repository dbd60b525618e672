import { randomBytes } from 'node:crypto';
import type { Datastore, Lease } from '../datastore/datastore.ts';

/** Ends a controller's name in a label; what follows is one life of it. */
const SEPARATOR = '/';

/** A controller from one lease to the next. */
interface Life {
  readonly label: string;
  /** Absent where the store knows no leases. */
  readonly lease: Lease | undefined;
}

export interface MembersOptions {
  readonly store: Datastore;
  /** The start of the members' keys; the label follows. */
  readonly prefix: string;
  /** This controller's name: the same in all its lives, and no other's. */
  readonly name: () => Promise<string>;
  readonly leaseMs: number;
  /** Called when this controller has a new label, before it is used: what it holds must come under it. */
  readonly onNewLabel: (label: string, isMine: (label: string) => boolean) => Promise<void>;
}

/**
 * The controllers that share a store, each under a label of its own that lives as long as its lease. What is held
 * under a label that is gone is held by nobody: a label never comes back, since every lease gets a new one. It is not
 * the host's own lease (`discovery/announcement.ts`): that is short, so that others soon take back its endpoints, one
 * by one; this one is long, as addresses may be in use for all the time in which no controller is there to hold them.
 */
export class Members {
  readonly #options: MembersOptions;
  #current: Promise<string> | undefined;
  #begun: Life | undefined;

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** The label under which this controller holds addresses; takes a lease first when there is none. */
  label(): Promise<string> {
    this.#current ??= this.#join().catch((error: unknown) => {
      this.#current = undefined;
      throw error;
    });
    return this.#current;
  }

  /** True for a label of this controller, in this or an earlier life. */
  async isMine(label: string): Promise<boolean> {
    return nameOf(label) === (await this.#options.name());
  }

  /** Which of these controllers have no lease: they are gone, in every life of theirs. */
  async without(names: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    if (this.#options.store.lease === undefined || names.size === 0) return new Set();
    const alive = new Set([...(await this.#present())].map(nameOf));
    return new Set([...names].filter((name) => !alive.has(name)));
  }

  /**
   * Which of these labels are gone. They must have been read before this is called: a label is stored before
   * anything is held under it, so one that was read and is not stored now has ended.
   */
  async gone(labels: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    if (this.#options.store.lease === undefined || labels.size === 0) return new Set();
    const alive = await this.#present();
    return new Set([...labels].filter((label) => !alive.has(label)));
  }

  async #present(): Promise<ReadonlySet<string>> {
    const { store, prefix } = this.#options;
    return new Set((await store.list(prefix)).map((entry) => entry.key.slice(prefix.length)));
  }

  async #join(): Promise<string> {
    const name = await this.#options.name();
    // A life that began before, but could not bring all that it holds under its label, is gone on with: some of it
    // is under that label already.
    if (this.#begun?.lease?.lost.aborted) this.#begun = undefined;
    this.#begun ??= await this.#begin(name);
    const { label, lease } = this.#begun;
    await this.#options.onNewLabel(label, (other) => nameOf(other) === name);
    this.#begun = undefined;
    if (lease) this.#rejoinWhenLost(lease);
    return label;
  }

  async #begin(name: string): Promise<Life> {
    const { store, prefix, leaseMs } = this.#options;
    const label = `${name}${SEPARATOR}${randomBytes(4).toString('hex')}`;
    const lease = await store.lease?.(leaseMs);
    try {
      await lease?.put(`${prefix}${label}`, { v: 1 });
    } catch (error) {
      // The next attempt takes another one; this would be renewed for nothing. Where it can't be given back, it ends by itself.
      await lease?.release().catch(() => undefined);
      throw error;
    }
    return { label, lease };
  }

  #rejoinWhenLost(lease: Lease): void {
    const rejoin = (): void => {
      this.#current = undefined;
      // Addresses are in use whether or not anything is asked of us now. A failure shows at the next request.
      this.label().catch(() => undefined);
    };
    if (lease.lost.aborted) rejoin();
    else lease.lost.addEventListener('abort', rejoin, { once: true });
  }
}

/** The controller's name in a label. */
export function nameOf(label: string): string {
  return label.slice(0, label.lastIndexOf(SEPARATOR));
}
