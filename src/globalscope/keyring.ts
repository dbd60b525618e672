/** The keys that the hosts of a cluster encrypt with, and how far each host is with them, in the global store. */
import { hkdfSync } from 'node:crypto';
import type { Datastore, Entry } from '../datastore/datastore.ts';
import type { DriverWaits, Logger } from '../driverapi/driver.ts';
import type { Keyring, KeyringView, Member } from '../driverapi/keyring.ts';
import { LibnetworkError, throwIfAborted } from '../errors.ts';
import { SCHEMA_VERSION } from '../records.ts';
import { pause } from '../sleep.ts';
import { isWritten } from '../written.ts';
import { Follower, isCutOff } from './follow.ts';
import { firstKeys, isSettled, type Keys, nextStep } from './rotation.ts';
import {
  encryption,
  encryptionMemberKey,
  keysKey,
  memberNumberKey,
  memberOf,
  newSecret,
  readKeys,
  readMember,
} from './shapes.ts';

export interface KeyringOptions {
  readonly store: Datastore;
  /** This host's id. */
  readonly host: string;
  /** How old a key gets, in milliseconds. */
  readonly rotateMs: number;
  readonly logger: Logger;
}

/** What is written under this host's lease, whichever it is at the time. */
export interface LeasedWrites {
  put(key: string, value: unknown): Promise<void>;
  remove(key: string): Promise<void>;
}

/** How long the first question of a host may take. */
const ASK_MS = 5_000;
const RETRY_MS = 1_000;
const POLL_MS = 100;
const NUMBERS = 0xff_ffff;
const NUMBER_TRIES = 100;

/**
 * Every member follows the keys. Whoever is the first by its id among those that are there takes the next step of a
 * rotation; all steps are conditional writes, so that it does not matter when two believe to be the first.
 */
export class SharedKeyring implements Keyring {
  readonly #options: KeyringOptions;
  readonly #members = new Map<string, Member>();
  readonly #gone = new Map<string, Member>();
  #leased: LeasedWrites | undefined;
  #follower: Follower | undefined;
  #onChange: () => void = () => undefined;
  #keys: { readonly keys: Keys; readonly version: number } | undefined;
  #reported: string | undefined;
  #lapses = 0;
  #settledAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #listed = false;
  #leading: Promise<void> | undefined;
  /** Something changed while a step was taken. */
  #leadAgain = false;

  constructor(options: KeyringOptions) {
    this.#options = options;
  }

  /** Before anything is reported: by what it is written. */
  connect(leased: LeasedWrites): void {
    this.#leased = leased;
  }

  get view(): KeyringView | undefined {
    const keys = this.#keys?.keys;
    if (!keys || !this.#listed) return undefined;
    const { host } = this.#options;
    return {
      generations: keys.generations.map(({ id }) => id),
      sending: keys.sending,
      own: this.#members.get(host),
      others: [...this.#members.values()].filter((member) => member.host !== host),
      gone: [...this.#gone.values()],
      lapses: this.#lapses,
    };
  }

  follow(onChange: () => void): void {
    this.#onChange = onChange;
    const { store, logger } = this.#options;
    this.#follower ??= new Follower({
      store,
      prefix: encryption,
      onPut: (entry) => this.#put(entry),
      onDelete: (key) => this.#delete(key),
      onListed: () => {
        this.#listed = true;
        this.#changed();
      },
      onFailure: (error) => logger.debug('the keys of encryption can not be followed at present', { error }),
    });
  }

  async known({ signal }: DriverWaits = {}): Promise<KeyringView> {
    const until = Date.now() + ASK_MS;
    await this.#createKeys();
    while (Date.now() < until) {
      throwIfAborted(signal);
      const { view } = this;
      if (view) return view;
      await pause(POLL_MS / 10, signal);
    }
    throw new LibnetworkError(
      'UNAVAILABLE',
      'the global store could not be asked for the keys of encryption',
      {
        operation: 'list',
      },
    );
  }

  async newNumber(): Promise<number> {
    const { store } = this.#options;
    for (let tries = 0; tries < NUMBER_TRIES; tries++) {
      const last = await store.get(memberNumberKey);
      const number =
        (Number((last?.value as { readonly number?: unknown } | undefined)?.number ?? 0) % NUMBERS) + 1;
      const value = { schema: SCHEMA_VERSION, number };
      if (await isWritten(store.put(memberNumberKey, value, { ifVersion: last?.version ?? 0 })))
        return number;
      await pause(Math.random() * POLL_MS);
    }
    throw new LibnetworkError('UNAVAILABLE', 'too many hosts ask for numbers at once; try again', {
      operation: 'put',
    });
  }

  derive(generation: number, purpose: string, bytes: number): Uint8Array {
    const secret = this.#keys?.keys.generations.find(({ id }) => id === generation)?.secret;
    if (secret === undefined)
      throw new LibnetworkError('NOT_FOUND', `there is no key of generation ${generation}`, {
        field: 'generation',
        value: generation,
      });
    return new Uint8Array(hkdfSync('sha256', Buffer.from(secret, 'base64'), '', purpose, bytes));
  }

  async report({ address, number, accepts, sends }: Omit<Member, 'host'>): Promise<void> {
    const value = { schema: SCHEMA_VERSION, address, number, accepts, sends };
    const text = JSON.stringify(value);
    // What an earlier controller wrote is under a lease that may end: it is written anew.
    if (text === this.#reported) return;
    await this.#leased?.put(encryptionMemberKey(this.#options.host), value);
    this.#reported = text;
  }

  async leave(): Promise<void> {
    await this.end();
    this.#keys = undefined;
    this.#reported = undefined;
    try {
      await this.#leased?.remove(encryptionMemberKey(this.#options.host));
    } catch (error) {
      if (!isCutOff(error)) throw error;
      this.#options.logger.debug('that this host encrypts no more is told by the end of its lease', {
        error,
      });
    }
  }

  /** Follows nothing any more; what is written stays as long as the lease. */
  async end(): Promise<void> {
    const follower = this.#follower;
    this.#follower = undefined;
    this.#onChange = () => undefined;
    clearTimeout(this.#timer);
    await Promise.all([follower?.end(), this.#leading]);
    this.#listed = false;
    this.#members.clear();
    this.#gone.clear();
  }

  /** This host is there again after it counted as gone. */
  async returned(): Promise<void> {
    this.#lapses++;
    await this.#follower?.resync();
    this.#changed();
  }

  async #createKeys(): Promise<void> {
    const { store } = this.#options;
    if (this.#keys || (await store.get(keysKey))) return;
    await isWritten(store.put(keysKey, firstKeys(newSecret(), Date.now()), { ifVersion: 0 }));
  }

  #put(entry: Entry): void {
    const member = readMember(entry);
    if (entry.key === keysKey) this.#takeKeys(entry);
    else if (member) {
      this.#members.set(member.host, member);
      this.#gone.delete(member.host);
    }
    this.#changed();
  }

  #takeKeys(entry: Entry): void {
    if ((this.#keys?.version ?? 0) >= entry.version) return;
    try {
      this.#keys = { keys: readKeys(entry), version: entry.version };
    } catch (error) {
      this.#options.logger.error('encryption goes on with the keys that are known', { error });
    }
  }

  #delete(key: string): void {
    const host = memberOf(key);
    const member = host === undefined ? undefined : this.#members.get(host);
    if (key === keysKey) this.#keys = undefined;
    if (member) {
      this.#members.delete(member.host);
      if (member.host !== this.#options.host) this.#gone.set(member.host, member);
    }
    this.#changed();
  }

  #changed(): void {
    if (!this.#listed) return;
    this.#onChange();
    this.#lead();
  }

  /** The first of the members takes the steps of a rotation. */
  #lead(): void {
    clearTimeout(this.#timer);
    const members = [...this.#members.values()];
    const { host, logger } = this.#options;
    this.#leadAgain = this.#leading !== undefined;
    if (this.#leading || !this.#members.has(host) || members.some((member) => member.host < host)) return;
    const step = this.#keys
      ? this.#takeStep(this.#keys.keys, this.#keys.version, members)
      : this.#createKeys();
    this.#leading = step
      .catch((error: unknown) => {
        logger.warn('the next step of a rotation of keys could not be taken; it is tried again', { error });
        this.#again(RETRY_MS);
      })
      .finally(() => {
        this.#leading = undefined;
        if (this.#leadAgain) this.#lead();
      });
  }

  async #takeStep(keys: Keys, version: number, members: readonly Member[]): Promise<void> {
    const now = Date.now();
    this.#settledAt = isSettled(keys, members) ? (this.#settledAt ?? now) : undefined;
    const clock = { now, settledAt: this.#settledAt, rotateMs: this.#options.rotateMs };
    const step = nextStep(keys, members, clock, newSecret);
    if (step.do === 'wait') this.#again(step.until - now);
    // If somebody else was first, that is told as any change.
    if (step.do === 'write')
      await isWritten(this.#options.store.put(keysKey, step.keys, { ifVersion: version }));
  }

  #again(ms: number): void {
    if (!this.#follower) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lead(), ms);
    this.#timer.unref();
  }
}
