import { randomBytes } from 'node:crypto';
import type { Datastore } from '../datastore/datastore.ts';
import { invalid, LibnetworkError } from '../errors.ts';
import { Ledger } from './ledger/ledger.ts';
import { nameOf } from './members.ts';
import { Ranges } from './ranges.ts';

export interface IdmOptions {
  /** Names the set in the store: `vni`. */
  readonly name: string;
  /** The first and the last id, both included. */
  readonly start: number;
  readonly end: number;
  /** Where taken ids are kept, page by page. Omitted: in memory. */
  readonly store?: Datastore | undefined;
}

export interface IdRequest {
  /** A certain id; omitted: any. */
  readonly id?: number | undefined;
  /** The first and the last id that will do. Default: those of the set. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** Go on after the id given last instead of from the lowest. Default false. */
  readonly serial?: boolean | undefined;
  /** Who will hold it, for errors: `network front`. */
  readonly holder?: string | undefined;
}

/** Gives out numbers, each to one holder at a time: VNIs, interface numbers. */
export interface Idm {
  /**
   * @throws INVALID_ARGUMENT id or range outside the set; FORBIDDEN id in use, with its `holder`; UNAVAILABLE no id
   * of the range is free
   */
  request(request?: IdRequest): Promise<number>;
  /** False when nobody held the id. @throws INVALID_ARGUMENT id outside the set */
  release(id: number): Promise<boolean>;
  /** Every id that is held, ascending, with its holder. */
  held(): Promise<{ readonly id: number; readonly holder: string }[]>;
}

const ROOT = 'docker/network/v1.0/idm';

/**
 * Ids from `start` to `end`. In a store that others share, they get different ones. An id is held until it is
 * released, also when who requested it dies: what it names, such as a network, may live on elsewhere.
 * @throws INVALID_ARGUMENT for a name that is empty or has a slash, or an end that is not after the start
 */
export function createIdm(options: IdmOptions): Idm {
  return new LedgerIdm(options);
}

class LedgerIdm implements Idm {
  readonly #options: IdmOptions;
  readonly #ledger: Ledger;
  readonly #prefix: string;
  /** Tells this process's requests from others' for the same holder. */
  readonly #life = randomBytes(4).toString('hex');
  #loaded: Promise<void> | undefined;

  constructor(options: IdmOptions) {
    const { name, start, end, store } = options;
    if (name === '' || name.includes('/')) throw invalid('name', name, 'must be a text without a slash');
    if (!Number.isSafeInteger(start) || start < 0)
      throw invalid('start', start, 'must be a whole number, 0 or more');
    if (!Number.isSafeInteger(end) || end <= start)
      throw invalid('end', end, 'must be a whole number after the start');
    this.#options = options;
    this.#prefix = `${ROOT}/${name}/pages/`;
    this.#ledger = new Ledger({
      size: BigInt(end - start) + 1n,
      store,
      prefix: this.#prefix,
      withheld: new Ranges([]),
      restMs: 0,
      clock: Date.now,
    });
  }

  async request(request: IdRequest = {}): Promise<number> {
    const { start, end } = this.#options;
    const { id, from = start, to = end, serial, holder = '' } = request;
    const owner = `${holder}/${this.#life}`;
    this.#check('from', from);
    this.#check('to', to);
    if (to < from) throw invalid('to', to, `must not be before ${from}`);
    await this.#load();
    if (id === undefined) {
      const ordinal = await this.#ledger.takeAny(this.#ordinal(from), this.#ordinal(to), { owner, serial });
      if (ordinal !== undefined) return start + Number(ordinal);
      const message = `no ${this.#options.name} from ${from} to ${to} is free`;
      throw new LibnetworkError('UNAVAILABLE', message, { field: 'id', limit: this.#options.name });
    }
    this.#check('id', id);
    const other = await this.#ledger.take(this.#ordinal(id), owner);
    if (other === undefined) return id;
    throw this.#inUse(id, nameOf(other));
  }

  async release(id: number): Promise<boolean> {
    this.#check('id', id);
    await this.#load();
    const holder = await this.#ledger.holderOf(this.#ordinal(id));
    return holder !== undefined && this.#ledger.release(this.#ordinal(id), holder);
  }

  async held(): Promise<{ readonly id: number; readonly holder: string }[]> {
    await this.#load();
    await this.#ledger.refresh();
    return [...this.#ledger.held()]
      .map(({ ordinal, owner }) => ({ id: this.#options.start + Number(ordinal), holder: nameOf(owner) }))
      .sort((a, b) => a.id - b.id);
  }

  #ordinal(id: number): bigint {
    return BigInt(id - this.#options.start);
  }

  #check(field: string, id: number): void {
    const { start, end } = this.#options;
    if (!Number.isSafeInteger(id) || id < start || id > end)
      throw invalid(field, id, `must be a whole number from ${start} to ${end}`);
  }

  #inUse(id: number, holder: string): LibnetworkError {
    const by = holder === '' ? '' : ` by ${holder}`;
    return new LibnetworkError('FORBIDDEN', `${this.#options.name} ${id} is in use${by}`, {
      field: 'id',
      value: id,
      ...(holder !== '' && { holder }),
    });
  }

  #load(): Promise<void> {
    this.#loaded ??= this.#read().catch((error: unknown) => {
      // The next call tries again.
      this.#loaded = undefined;
      throw error;
    });
    return this.#loaded;
  }

  async #read(): Promise<void> {
    this.#ledger.load((await this.#options.store?.list(this.#prefix)) ?? []);
  }
}
