/** Keeps this host's part of IPsec what the keyring says, as long as it has encrypted networks. */
import type { DriverHost, DriverReport, DriverWaits } from '../../../driverapi/driver.ts';
import type { Keyring, KeyringView } from '../../../driverapi/keyring.ts';
import { LibnetworkError } from '../../../errors.ts';
import { type NetworkId, shortHash } from '../../../ids.ts';
import type { XfrmState } from '../../../osl/osl.ts';
import {
  type Associations,
  associationsOf,
  canonical,
  guardsOf,
  type Mark,
  numberOf,
  remotesOf,
} from './associations.ts';
import { type Difference, differenceOf, isHidden, ownOf, stateName, type Tables } from './changes.ts';
import { checkKernel } from './kernel.ts';

export interface EncryptionOptions {
  readonly host: Pick<DriverHost, 'osl' | 'instance' | 'logger' | 'address' | 'keyring'>;
  /** Whether an encrypted network has a peer behind this address. */
  readonly isReached: (address: string) => boolean;
}

/** This host's number, and the life of its membership that it is of. */
interface Life {
  readonly number: number;
  readonly lapses: number;
}

interface Plan {
  readonly difference: Difference;
  /** Undefined as long as the keys are not known: what is there stays. */
  readonly wanted: Associations | undefined;
  readonly life: Life | undefined;
}

const RETRY_MS = 1_000;

export class Encryption {
  readonly #host: EncryptionOptions['host'];
  readonly #isReached: EncryptionOptions['isReached'];
  readonly #mark: Mark;
  /** Encrypted networks that are here, and their ports. */
  readonly #networks = new Map<NetworkId, number>();
  #life: Life | undefined;
  /**
   * The associations of this life by name, and their keys, which the kernel may hide. One of them that is missing must
   * not be made anew, as it would count anew.
   */
  #made: ReadonlyMap<string, Uint8Array> = new Map();
  #turn: Promise<unknown> = Promise.resolve();
  #awaited = false;
  #retry: NodeJS.Timeout | undefined;
  #ended = false;

  constructor({ host, isReached }: EncryptionOptions) {
    this.#host = host;
    this.#isReached = isReached;
    this.#mark = markOf(host.instance);
  }

  /** @throws NOT_IMPLEMENTED, UNAVAILABLE when this host can't encrypt, saying what to do */
  async check(): Promise<void> {
    this.#keyring();
    await checkKernel(this.#host.osl.host, this.#address(), this.#mark);
  }

  /**
   * Before the first device of a network is made: shuts its port to everything in the clear, then opens it to the
   * members. What it throws leaves nothing behind.
   * @throws as `check`; UNAVAILABLE when the keys can't be asked for; CONFLICT with other IPsec entries
   */
  async enter(id: NetworkId, port: number, waits: DriverWaits = {}): Promise<void> {
    if (this.#networks.has(id)) return;
    await this.check();
    this.#networks.set(id, port);
    try {
      await this.#inTurn(() => this.#sync());
      this.#follow();
      await this.#keyring().known(waits);
      await this.#inTurn(() => this.#sync());
    } catch (error) {
      await this.leave(id).catch((failure: unknown) => {
        this.#host.logger.warn('what encryption needs could not be removed', { error: failure });
      });
      throw error;
    }
  }

  /** The same for a network whose devices an earlier process made: nothing is done yet. */
  resume(id: NetworkId, port: number): void {
    this.#networks.set(id, port);
    if (this.#host.keyring) this.#follow();
  }

  /** After the last device of a network is gone; also for one that could not be entered, or left, completely. */
  async leave(id: NetworkId): Promise<void> {
    this.#networks.delete(id);
    await this.#inTurn(async () => {
      if (this.#networks.size > 0) return this.#trySync();
      await this.#sync();
      this.#life = undefined;
      this.#made = new Map();
      await this.#host.keyring?.leave();
    });
  }

  /** Peers have changed: hosts that are gone may be reached no more. */
  peersChanged(): void {
    if (this.#host.keyring?.view?.gone.length) this.#look();
  }

  /**
   * Shuts the ports of all networks, or throws: only then devices may be made. The rest is tried again where it
   * fails. A kernel that can't be asked has nothing, where nothing should be there.
   */
  async reconcile(dryRun: boolean): Promise<DriverReport> {
    return this.#inTurn(async () => {
      try {
        const { missing, orphaned } = (await this.#plan(this.#life)).difference;
        if (dryRun) return { missing, orphaned };
        await this.#apply((await this.#plan(undefined)).difference);
        await this.#trySync();
        return { missing, orphaned };
      } catch (error) {
        if (this.#networks.size > 0 || !LibnetworkError.is(error)) throw error;
        this.#host.logger.debug('what there is of IPsec could not be asked for', { error });
        return { missing: [], orphaned: [] };
      }
    });
  }

  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#retry);
    await this.#turn;
  }

  #follow(): void {
    this.#keyring().follow(() => this.#look());
  }

  /** In the background; what comes meanwhile is looked at once. */
  #look(): void {
    if (this.#awaited || this.#ended) return;
    this.#awaited = true;
    clearTimeout(this.#retry);
    this.#inTurn(async () => {
      this.#awaited = false;
      await this.#trySync();
    }).catch((error: unknown) => {
      this.#host.logger.error('encryption could not be brought up to date', { error });
    });
  }

  /** A host that is cut off from the store goes on with what there is. */
  async #trySync(): Promise<void> {
    if (this.#ended) return;
    try {
      await this.#sync();
    } catch (error) {
      if (!LibnetworkError.is(error)) throw error;
      const isCutOff = error.code === 'UNAVAILABLE' || error.code === 'TIMEOUT';
      const say = isCutOff ? 'debug' : 'warn';
      this.#host.logger[say]('encryption could not be brought up to date; it is tried again', { error });
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#look(), RETRY_MS);
      this.#retry.unref();
    }
  }

  async #sync(): Promise<void> {
    const { wanted, difference, life } = await this.#plan(await this.#presentLife());
    // Where it ends half-way, nobody knows any more which keys these have.
    const changing = new Set(
      difference.changes.flatMap((change) => ('state' in change ? stateName(change.state) : [])),
    );
    this.#made = new Map([...this.#made].filter(([name]) => !changing.has(name)));
    await this.#apply(difference);
    if (!wanted || !life) return;
    this.#life = life;
    this.#made = new Map(wanted.states.map((state) => [stateName(state), state.key]));
    const { accepts, sends } = wanted;
    await this.#keyring().report({ address: this.#address(), number: life.number, accepts, sends });
  }

  async #apply({ changes }: Difference): Promise<void> {
    if (changes.length > 0) await this.#host.osl.host.applyXfrm(changes);
  }

  /** Without a life the ports are shut, and nothing is opened or removed. */
  async #plan(life: Life | undefined): Promise<Plan> {
    const found = await this.#tables();
    const ports = new Set(this.#networks.values());
    if (ports.size === 0) {
      const none = { states: [], policies: [] };
      return { difference: differenceOf(found, none, this.#mark), wanted: undefined, life };
    }
    const address = this.#address();
    const policies = [...ports].flatMap((port) => guardsOf(address, port, this.#mark));
    const keyring = this.#host.keyring;
    const view = keyring?.view;
    if (!keyring || !view || !life) {
      const difference = differenceOf(found, { states: [], policies }, this.#mark, true);
      return { difference, wanted: undefined, life };
    }
    const own = { address, number: life.number };
    const derive: Keyring['derive'] = (...of) => keyring.derive(...of);
    const remotes = remotesOf(view, own, this.#isReached);
    const wanted = associationsOf(view, own, remotes, { ports, mark: this.#mark, derive });
    const all = { states: wanted.states, policies: [...policies, ...wanted.policies] };
    return { difference: differenceOf(found, all, this.#mark), wanted, life };
  }

  /**
   * The number goes on as long as what it counted in the kernel is there, under keys that are known, and the others
   * have not forgotten it. With a new one every association is new.
   */
  async #presentLife(): Promise<Life | undefined> {
    const view = this.#host.keyring?.view;
    if (!view || this.#networks.size === 0) return this.#life;
    const { lapses } = view;
    const { states } = ownOf(await this.#tables(), this.#mark);
    const life = this.#life ?? this.#earlierLife(states, view);
    const there = new Set(states.map(stateName));
    const isWhole = [...this.#made.keys()].every((name) => there.has(name)) && !states.some(isHidden);
    if (life?.lapses === lapses && isWhole) return life;
    this.#made = new Map();
    return { number: await this.#keyring().newNumber(), lapses };
  }

  /** That of an earlier process, whose associations count on. */
  #earlierLife(states: readonly XfrmState[], { own, lapses }: KeyringView): Life | undefined {
    const address = this.#address();
    if (own?.address !== address) return undefined;
    const isOf = ({ source, spi }: XfrmState) =>
      source === canonical(address) && numberOf(spi) === own.number;
    return states.some(isOf) ? { number: own.number, lapses } : undefined;
  }

  async #tables(): Promise<Tables> {
    const { host } = this.#host.osl;
    const states = await host.xfrmStates();
    const known = states.map((state) =>
      isHidden(state) ? { ...state, key: this.#made.get(stateName(state)) ?? state.key } : state,
    );
    return { states: known, policies: await host.xfrmPolicies() };
  }

  #keyring(): Keyring {
    if (this.#host.keyring) return this.#host.keyring;
    throw new LibnetworkError(
      'UNAVAILABLE',
      'encrypted networks need a store that hosts share, for their keys: set globalStore (`dnet daemon`: --cluster-store)',
      { field: 'encrypted' },
    );
  }

  #address(): string {
    if (this.#host.address !== undefined) return this.#host.address;
    throw new LibnetworkError(
      'UNAVAILABLE',
      'encrypted networks need an address that other hosts reach this one by: set cluster.address',
      { field: 'cluster.address' },
    );
  }

  async #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(act);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}

/** The request id and the priority of a controller's instance. */
export function markOf(instance: string): Mark {
  const reqid = Number.parseInt(shortHash(`libnetwork overlay ${instance}`, 7), 16) + 1;
  return { reqid, priority: 1_001 + (reqid % 60_000) };
}
