/** One network as a host that takes part in it, or looks at it, sees it: its hosts, and their endpoints. */
import type { Datastore, Entry } from '../datastore/datastore.ts';
import type { Logger } from '../driverapi/driver.ts';
import type { EndpointId, NetworkId } from '../ids.ts';
import { Follower } from './follow.ts';
import {
  endpointsOf,
  lastPart,
  type Membership,
  membersOf,
  readEndpoint,
  readMembership,
  type SharedEndpoint,
} from './shapes.ts';

/** An endpoint of another host, and where that is. */
export interface RemoteEndpoint {
  readonly endpoint: SharedEndpoint;
  /** Undefined as long as its host is not known to be there. */
  readonly via: string | undefined;
}

export interface RemoteChange {
  readonly set: readonly RemoteEndpoint[];
  readonly removed: readonly EndpointId[];
}

export interface PartOptions {
  readonly store: Datastore;
  readonly networkId: NetworkId;
  readonly host: string;
  readonly logger: Logger;
  /** Endpoints of other hosts that are new, changed or gone; what comes together is told together. */
  readonly onRemote: (networkId: NetworkId, change: RemoteChange) => void;
  /** A record of this host's own. */
  readonly onOwn: (entry: Entry) => void;
  readonly onOwnGone: (networkId: NetworkId, id: EndpointId) => void;
  /** After every listing: which of this host's endpoints are stored. */
  readonly onListed: (networkId: NetworkId, own: ReadonlySet<EndpointId>) => void;
  /** Endpoints whose host does not say that it is there. `rank`: how many others notice that before this host. */
  readonly onDeserted: (networkId: NetworkId, host: string, rank: number) => void;
}

export class Part {
  readonly #options: PartOptions;
  readonly #endpoints = new Map<EndpointId, { readonly entry: Entry; readonly endpoint: SharedEndpoint }>();
  readonly #members = new Map<string, Membership>();
  readonly #followers: readonly Follower[];
  readonly #changed = new Set<EndpointId>();
  readonly #gone = new Set<EndpointId>();
  #telling = false;

  constructor(options: PartOptions) {
    this.#options = options;
    const { store, networkId, logger } = options;
    const onFailure = (error: unknown): void =>
      logger.debug(`network ${networkId.slice(0, 12)} can not be followed at present`, { error });
    this.#followers = [
      new Follower({
        store,
        prefix: membersOf(networkId),
        onPut: (entry) => this.#setMember(readMembership(entry)),
        onDelete: (key) => this.#removeMember(lastPart(key)),
        onListed: () => this.#findDeserted(),
        onFailure,
      }),
      new Follower({
        store,
        prefix: endpointsOf(networkId),
        onPut: (entry) => this.#setEndpoint(entry),
        onDelete: (key) => this.#removeEndpoint(lastPart(key) as EndpointId),
        onListed: () => {
          this.#findDeserted();
          options.onListed(networkId, this.#own());
        },
        onFailure,
      }),
    ];
  }

  /** When all that was there is known and told. */
  async listed(): Promise<void> {
    await Promise.all(this.#followers.map((each) => each.listed()));
  }

  async resync(): Promise<void> {
    await Promise.all(this.#followers.map((each) => each.resync()));
  }

  /** Whether all of it was listed at least once. */
  get known(): boolean {
    return this.#followers.every((each) => each.known);
  }

  /** The endpoints of other hosts. */
  remote(): RemoteEndpoint[] {
    return [...this.#endpoints.values()]
      .filter(({ endpoint }) => endpoint.host !== this.#options.host)
      .map(({ endpoint }) => this.#shown(endpoint));
  }

  /** The records of a host's endpoints, as they are stored. */
  recordsOf(host: string): { readonly entry: Entry; readonly endpoint: SharedEndpoint }[] {
    return [...this.#endpoints.values()].filter(({ endpoint }) => endpoint.host === host);
  }

  async end(): Promise<void> {
    await Promise.all(this.#followers.map((each) => each.end()));
  }

  #own(): Set<EndpointId> {
    return new Set(this.recordsOf(this.#options.host).map(({ endpoint }) => endpoint.id));
  }

  #shown(endpoint: SharedEndpoint): RemoteEndpoint {
    return { endpoint, via: this.#members.get(endpoint.host)?.address };
  }

  #setEndpoint(entry: Entry): void {
    const endpoint = readEndpoint(entry);
    this.#endpoints.set(endpoint.id, { entry, endpoint });
    if (endpoint.host === this.#options.host) this.#options.onOwn(entry);
    else this.#note(endpoint.id, this.#changed, this.#gone);
  }

  #removeEndpoint(id: EndpointId): void {
    const { host, networkId, onOwnGone } = this.#options;
    const was = this.#endpoints.get(id)?.endpoint;
    this.#endpoints.delete(id);
    if (was?.host === host) onOwnGone(networkId, id);
    else this.#note(id, this.#gone, this.#changed);
  }

  #note(id: EndpointId, as: Set<EndpointId>, instead: Set<EndpointId>): void {
    instead.delete(id);
    as.add(id);
    this.#tell();
  }

  #setMember(member: Membership): void {
    const before = this.#members.get(member.host);
    this.#members.set(member.host, member);
    if (before?.address !== member.address) this.#touch(member.host);
  }

  /** Its endpoints stay reachable by where it was until they are gone: it may be cut off from the store alone. */
  #removeMember(host: string): void {
    this.#members.delete(host);
    this.#desert(host);
  }

  #touch(host: string): void {
    if (host === this.#options.host) return;
    for (const { endpoint } of this.recordsOf(host)) this.#changed.add(endpoint.id);
    this.#tell();
  }

  #findDeserted(): void {
    const hosts = new Set([...this.#endpoints.values()].map(({ endpoint }) => endpoint.host));
    for (const host of hosts) if (!this.#members.has(host)) this.#desert(host);
  }

  #desert(host: string): void {
    const { host: own, networkId, onDeserted } = this.#options;
    if (host === own || this.recordsOf(host).length === 0) return;
    const before = [...this.#members.keys()].filter((member) => member < own);
    onDeserted(networkId, host, before.length);
  }

  /** At the next turn, so that a listing or a burst of events is told at once. */
  #tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => {
      this.#telling = false;
      const set = [...this.#changed].flatMap((id) => {
        const known = this.#endpoints.get(id);
        return known ? [this.#shown(known.endpoint)] : [];
      });
      const removed = [...this.#gone];
      this.#changed.clear();
      this.#gone.clear();
      this.#options.onRemote(this.#options.networkId, { set, removed });
    });
  }
}
