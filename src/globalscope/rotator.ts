/** A new key by request: announces it, and waits until all hosts send with it. */
import type { Datastore } from '../datastore/datastore.ts';
import type { Member } from '../driverapi/keyring.ts';
import { LibnetworkError, throwIfAborted } from '../errors.ts';
import { pause } from '../sleep.ts';
import { isWritten } from '../written.ts';
import { announce, canAnnounce, isSettled, type Keys, laggardsOf, nextStep } from './rotation.ts';
import { encryption, keysKey, newSecret, readKeys, readMember } from './shapes.ts';

export interface RotateWaits {
  /** How long all hosts together may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface State {
  readonly keys: Keys;
  readonly version: number;
  readonly members: readonly Member[];
}

const POLL_MS = 100;
/** Where nobody encrypts, nothing is on its way, and no key has an age. */
const nobody = { settledAt: 0, rotateMs: Number.POSITIVE_INFINITY };

/** Works from any host, also one that encrypts nothing: the members themselves take the steps. */
export class KeyRotator {
  readonly #store: Datastore;
  /** The generation that an earlier call announced and could not wait for. */
  #left: number | undefined;

  constructor(store: Datastore) {
    this.#store = store;
  }

  /**
   * What a call that failed had begun, and is still under way, is waited for instead of beginning anew.
   * @throws NOT_FOUND where the cluster has no key; TIMEOUT naming the hosts; UNAVAILABLE; ABORTED
   */
  async rotate({ timeoutMs, signal }: RotateWaits): Promise<void> {
    const until = Date.now() + timeoutMs;
    let state = await this.#read(signal);
    let own = this.#left !== undefined && isUnderWay(this.#left, state) ? this.#left : undefined;
    this.#left = undefined;
    try {
      while (own === undefined || isUnderWay(own, state)) {
        if (own === undefined && canAnnounce(state.keys)) own = await this.#announce(state);
        else if (Date.now() >= until) throw tooSlow(state, timeoutMs);
        // Where nobody encrypts, nobody takes the steps either.
        else if (state.members.length === 0) await this.#takeStep(state);
        else await pause(POLL_MS, signal);
        throwIfAborted(signal);
        state = await this.#read(signal);
      }
    } catch (error) {
      this.#left = own;
      throw error;
    }
  }

  async #read(signal: AbortSignal | undefined): Promise<State> {
    const entries = await this.#store.list(encryption, { signal });
    const entry = entries.find(({ key }) => key === keysKey);
    if (!entry)
      throw new LibnetworkError('NOT_FOUND', 'no network of this cluster is encrypted: there is no key');
    const members = entries.flatMap((each) => (each === entry ? [] : (readMember(each) ?? [])));
    return { keys: readKeys(entry), version: entry.version, members };
  }

  /** The generation; undefined where somebody else was first. */
  async #announce({ keys, version }: State): Promise<number | undefined> {
    const next = announce(keys, newSecret(), Date.now());
    return (await this.#write(next, version)) ? next.generations.at(-1)?.id : undefined;
  }

  async #takeStep({ keys, version, members }: State): Promise<void> {
    const step = nextStep(keys, members, { now: Date.now(), ...nobody }, newSecret);
    if (step.do === 'write') await this.#write(step.keys, version);
  }

  #write(keys: Keys, version: number): Promise<boolean> {
    return isWritten(this.#store.put(keysKey, keys, { ifVersion: version }));
  }
}

/** Whether a generation is there, and not all send with it or a newer one. */
function isUnderWay(generation: number, { keys, members }: State): boolean {
  if (keys.sending < generation) return keys.generations.some(({ id }) => id === generation);
  return !isSettled(keys, members);
}

function tooSlow({ keys, members }: State, timeoutMs: number): LibnetworkError {
  const { hosts, lack } = laggardsOf(keys, members);
  const names = hosts.map(({ host, address }) => `${host} (${address})`).join(', ');
  const who = hosts.length > 1 ? 'hosts' : 'host';
  return new LibnetworkError(
    'TIMEOUT',
    `not all hosts use the new key after ${timeoutMs} ms: ${who} ${names} ${lack}. Traffic goes on, and so does the rotation. Next: see what the log says there, or stop the controller there until its lease is over; then call again, which goes on with this key`,
    { operation: 'rotate keys', limit: 'timeoutMs', value: timeoutMs, holder: `${who} ${names}` },
  );
}
