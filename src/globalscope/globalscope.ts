/**
 * What several hosts share through one store: networks, endpoints, and who is there. This host writes its own
 * endpoints and reads the others' of the networks that it follows: those it takes part in, and those it is asked for.
 */
import type { Datastore } from '../datastore/datastore.ts';
import { Announcement } from '../discovery/announcement.ts';
import type { Host } from '../discovery/discovery.ts';
import { storeDiscovery } from '../discovery/store.ts';
import type { Logger } from '../driverapi/driver.ts';
import type { EndpointId, NetworkId } from '../ids.ts';
import type { NetworkRecord } from '../records.ts';
import { pause } from '../sleep.ts';
import { Debts } from './debts.ts';
import { isCutOff } from './follow.ts';
import type { SharedKeyring } from './keyring.ts';
import { SharedNetworks } from './networks.ts';
import { Part, type RemoteChange, type RemoteEndpoint } from './part.ts';
import { Published } from './published.ts';
import { Reclaimer } from './reclaim.ts';
import { KeyRotator } from './rotator.ts';
import { endpointsOf, hostKey, memberKey, readEndpoint, type SharedEndpoint } from './shapes.ts';

export interface GlobalScopeOptions {
  readonly store: Datastore;
  /** This host's id. */
  readonly host: string;
  /** Where other hosts reach this one. */
  readonly address: string | undefined;
  /** After how long a silent host counts as gone, in milliseconds. */
  readonly leaseMs: number;
  readonly logger: Logger;
  readonly events: GlobalEvents;
  /** What drivers encrypt with. */
  readonly keyring: SharedKeyring;
}

/** What the core is told. Nothing is awaited: it does its part in its own time. */
export interface GlobalEvents {
  readonly network: (record: NetworkRecord) => void;
  readonly networkGone: (id: NetworkId) => void;
  readonly remote: (networkId: NetworkId, change: RemoteChange) => void;
  /** Another host took the endpoint, since this one counted as gone. */
  readonly lost: (networkId: NetworkId, id: EndpointId) => void;
  /** A host that is gone held this; its record is gone, too. */
  readonly reclaimed: (endpoint: SharedEndpoint) => Promise<void>;
  /** This host is there again. */
  readonly returned: () => void;
}

export class GlobalScope {
  readonly host: string;
  readonly address: string | undefined;
  readonly networks: SharedNetworks;
  readonly published: Published;
  readonly debts: Debts;
  readonly keyring: SharedKeyring;
  readonly rotator: KeyRotator;
  /** After how long a silent host counts as gone, in milliseconds. */
  readonly leaseMs: number;
  readonly #store: Datastore;
  readonly #logger: Logger;
  readonly #events: GlobalEvents;
  readonly #presence: Announcement<Pick<Host, 'id'> & Partial<Host>>;
  readonly #reclaimer: Reclaimer;
  readonly #parts = new Map<NetworkId, Part>();
  readonly #memberOf = new Set<NetworkId>();

  constructor({ store, host, address, leaseMs, logger, events, keyring }: GlobalScopeOptions) {
    this.host = host;
    this.address = address;
    this.leaseMs = leaseMs;
    this.#store = store;
    this.#logger = logger;
    this.#events = events;
    const { network: onNetwork, networkGone: onGone, lost: onLost, reclaimed: onReclaimed } = events;
    this.#presence = new Announcement({
      store,
      key: hostKey(host),
      host: { id: host, ...(address === undefined ? {} : { address }) },
      ttlMs: leaseMs,
      report: (error) => logger.debug('this host is cut off from the global store', { error }),
      onReturn: () => this.#return(),
    });
    const debts = new Debts(logger);
    this.debts = debts;
    this.networks = new SharedNetworks({ store, logger, debts, onNetwork, onGone });
    this.published = new Published({ store, host, debts, onLost });
    this.keyring = keyring;
    keyring.connect(this.#presence);
    this.rotator = new KeyRotator(store);
    this.#reclaimer = new Reclaimer({ store, logger, onReclaimed });
  }

  /** Takes the lease. Where that fails, it goes on in the background. Whether the store was there to be asked. */
  async begin(): Promise<boolean> {
    try {
      await this.#presence.begin();
      return true;
    } catch (error) {
      this.#logger.warn('this host can not say in the global store that it is there; it goes on trying', {
        error,
      });
      this.#presence.keepTrying();
      return !isCutOff(error);
    }
  }

  /** The hosts that say that they are there. @throws UNAVAILABLE */
  hosts(signal: AbortSignal | undefined): Promise<readonly Host[]> {
    return storeDiscovery({ store: this.#store }).hosts({ signal });
  }

  /** Tells the others that this host takes part in a network, and follows it. @throws UNAVAILABLE */
  async takePart(id: NetworkId): Promise<void> {
    if (this.#memberOf.has(id)) return;
    const { listed } = this.#part(id);
    const key = memberKey(id, this.host);
    this.debts.forgive(key);
    try {
      await this.#presence.put(key, this.#membership());
    } catch (error) {
      // It may be written, and would be with the next lease.
      await this.debts.settle(key, () => this.#presence.remove(key));
      throw error;
    }
    this.#memberOf.add(id);
    await listed;
  }

  /** The same for a network that it takes part in by its own records; where it is cut off, that waits. */
  resumePart(id: NetworkId): void {
    if (this.#memberOf.has(id)) return;
    this.#memberOf.add(id);
    this.#part(id);
    this.#presence.put(memberKey(id, this.host), this.#membership()).catch((error: unknown) => {
      this.#logger.debug(`network ${id.slice(0, 12)} can not be told yet that this host is there`, { error });
    });
  }

  takesPart(id: NetworkId): boolean {
    return this.#memberOf.has(id);
  }

  async leavePart(id: NetworkId): Promise<void> {
    if (!this.#memberOf.delete(id)) return;
    const part = this.#parts.get(id);
    this.#parts.delete(id);
    await part?.end();
    await this.#presence.remove(memberKey(id, this.host));
  }

  /** The endpoints of other hosts, as far as they are known; asking makes this host follow the network. */
  remote(id: NetworkId): readonly RemoteEndpoint[] {
    return this.#part(id).part.remote();
  }

  /** The same, of a network that is followed already; undefined where that could not be asked yet. */
  knownRemote(id: NetworkId): readonly RemoteEndpoint[] | undefined {
    const part = this.#parts.get(id);
    return part?.known ? part.remote() : undefined;
  }

  /** Waits until the endpoints of other hosts are known, but no longer than this; whether they are. */
  async learn(id: NetworkId, withinMs: number, signal?: AbortSignal): Promise<boolean> {
    const { part } = this.#part(id);
    await within(withinMs, part.listed(), signal);
    return part.known;
  }

  /** When all that is followed has been listed, or the time is over. */
  async listed(withinMs: number, signal?: AbortSignal): Promise<void> {
    const parts = [...this.#parts.values()].map((part) => part.listed());
    await within(withinMs, Promise.all([this.networks.listed(), ...parts]), signal);
  }

  /** The endpoints that a network has on hosts that are there; those of hosts that are gone are taken back. */
  async livingEndpoints(id: NetworkId): Promise<SharedEndpoint[]> {
    const living: SharedEndpoint[] = [];
    for (const entry of await this.#store.list(endpointsOf(id))) {
      const endpoint = readEndpoint(entry);
      if ((await this.#reclaimer.isThere(endpoint.host)) || !(await this.#reclaimer.reclaim(entry)))
        living.push(endpoint);
    }
    return living;
  }

  /** The endpoints that are stored, also those of hosts that are gone. @throws UNAVAILABLE */
  async stored(id: NetworkId): Promise<SharedEndpoint[]> {
    return (await this.#store.list(endpointsOf(id))).map(readEndpoint);
  }

  isThere(host: string): Promise<boolean> {
    return this.#reclaimer.isThere(host);
  }

  /** Forgets a network that is gone. */
  async forget(id: NetworkId): Promise<void> {
    await this.leavePart(id);
    const part = this.#parts.get(id);
    this.#parts.delete(id);
    await part?.end();
  }

  async end(): Promise<void> {
    await Promise.all([
      this.#presence.end(),
      this.networks.end(),
      this.debts.end(),
      this.keyring.end(),
      this.#reclaimer.end(),
      ...[...this.#parts.values()].map((part) => part.end()),
    ]);
  }

  #membership(): object {
    return this.address === undefined ? {} : { address: this.address };
  }

  #part(networkId: NetworkId): { part: Part; listed: Promise<void> } {
    const there = this.#parts.get(networkId);
    if (there) return { part: there, listed: Promise.resolve() };
    const part = new Part({
      store: this.#store,
      networkId,
      host: this.host,
      logger: this.#logger,
      onRemote: this.#events.remote,
      onOwn: (entry) => this.published.seen(entry),
      onOwnGone: (id, endpoint) => this.#missed(id, endpoint),
      onListed: (id, own) => this.#compareOwn(id, own),
      onDeserted: (id, host, rank) =>
        this.#reclaimer.begin(id, host, rank, () => part.recordsOf(host).map(({ entry }) => entry)),
    });
    this.#parts.set(networkId, part);
    return { part, listed: part.listed() };
  }

  #compareOwn(networkId: NetworkId, stored: ReadonlySet<EndpointId>): void {
    for (const id of this.published.idsOf(networkId)) if (!stored.has(id)) this.#missed(networkId, id);
  }

  #missed(networkId: NetworkId, id: EndpointId): void {
    this.published.missed(networkId, id).catch((error: unknown) => {
      this.#logger.debug(`endpoint ${id.slice(0, 12)} could not be looked for`, { error });
    });
  }

  /** After a time in which this host counted as gone: everything is looked at anew. */
  async #return(): Promise<void> {
    this.#logger.info('this host is there again in the global store');
    const parts = [...this.#parts.values()].map((part) => part.resync());
    await Promise.all([this.networks.resync(), this.keyring.returned(), ...parts]);
    await this.debts.payOff();
    this.#events.returned();
  }
}

/** Waits for work, but no longer than this, and not beyond the signal: then it answers with nothing. */
export async function within<T>(ms: number, work: Promise<T>, signal?: AbortSignal): Promise<T | undefined> {
  const over = new AbortController();
  const end = signal ? AbortSignal.any([over.signal, signal]) : over.signal;
  try {
    // A start waits here: a process that has nothing else to do yet must not end.
    return await Promise.race([work, pause(ms, end).then(() => undefined)]);
  } finally {
    over.abort();
  }
}
