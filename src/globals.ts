/** The core's side of what hosts share: records go where they belong, and this host takes part in what it uses. */
import { Background } from './background.ts';
import type { KnownHosts } from './clusterhosts.ts';
import type { Core } from './core.ts';
import type { Datastore } from './datastore/datastore.ts';
import type { Peer } from './driverapi/driver.ts';
import { driverNetwork } from './driverviews.ts';
import { EndpointEntry } from './endpoint.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import { GlobalScope, type GlobalScopeOptions, within } from './globalscope/globalscope.ts';
import type { SharedEndpoint } from './globalscope/shapes.ts';
import type { NetworkId } from './ids.ts';
import { addNetwork, type NetworkEntry } from './network.ts';
import { finishNetworkDeletion } from './networkdeletion.ts';
import type { RotateOptions } from './options.ts';
import { OtherHosts } from './otherhosts.ts';
import { PeerCalls } from './peercalls.ts';
import { reconcile } from './reconcile.ts';
import { type EndpointRecord, keyOf, type NetworkRecord } from './records.ts';
import { asRecord, asShared, peerOf } from './sharednetwork.ts';
import { allOrNothing } from './undo.ts';

/** How long a start, or a question, waits for a store that does not answer. */
const START_MS = 5_000;
/** How long a rotation of keys may take beside waiting for hosts that are gone. */
const ROTATION_MS = 30_000;

export type GlobalsOptions = Omit<GlobalScopeOptions, 'events' | 'logger'>;

/** Made where there is a global store. Networks of local scope pass it by. */
export class Globals {
  readonly #core: Core;
  readonly #store: Datastore;
  readonly #scope: GlobalScope;
  readonly #peerCalls: PeerCalls;
  readonly #background: Background;
  readonly #others: OtherHosts;
  /** False for the rest of a start in which the store did not answer. */
  #isReached = true;

  constructor(core: Core, options: GlobalsOptions) {
    this.#core = core;
    this.#store = options.store;
    this.#background = new Background(core);
    this.#peerCalls = new PeerCalls(core, (id) => this.takesPart(id));
    this.#others = new OtherHosts({
      core,
      globals: this,
      background: this.#background,
      peerCalls: this.#peerCalls,
    });
    this.#scope = new GlobalScope({
      ...options,
      logger: core.logger,
      events: {
        network: (record) => this.#others.network(record),
        networkGone: (id) => this.#others.networkGone(id),
        remote: (id, change) => this.#others.remote(id, change),
        lost: (networkId, id) => this.#others.lost(networkId, id),
        reclaimed: (endpoint) => this.#others.reclaimed(endpoint),
        returned: () => {
          const pass = (act: () => Promise<unknown>) => act();
          this.#background.later('reconcile', () => reconcile(core, {}), pass);
        },
      },
    });
  }

  get store(): Datastore {
    return this.#store;
  }

  /** Whether the endpoints of other hosts on a network are known; those of a network of this host alone are. */
  knows(id: NetworkId): boolean {
    const network = this.#core.networks.get(id);
    return !network || !this.shares(network.record) || this.#scope.knownRemote(id) !== undefined;
  }

  /** What is stored, past what is known here. */
  get scope(): KnownHosts & Pick<GlobalScope, 'stored' | 'networks'> {
    return this.#scope;
  }

  get host(): string {
    return this.#scope.host;
  }

  /** Takes the lease, and learns what the others have. What the local records name is taken up again. @throws ABORTED */
  async start(signal: AbortSignal | undefined): Promise<void> {
    this.#isReached = await this.#scope.begin();
    throwIfAborted(signal);
    for (const entry of this.#core.networks.values()) {
      if (!this.shares(entry.record)) continue;
      for (const { record } of entry.endpoints.values())
        if (record.state !== 'creating') this.#scope.published.assume(this.#shared(record));
      this.#scope.resumePart(entry.record.id);
    }
    if (this.#isReached) await this.#scope.listed(START_MS, signal);
    throwIfAborted(signal);
    this.#others.started = true;
  }

  /** After the start, when operations are possible. */
  run(): void {
    this.#isReached = true;
    this.#background.begin();
    for (const entry of this.#core.networks.values()) this.endpointGone(entry);
  }

  /** Whether a network is one that hosts share. */
  shares({ scope }: Pick<NetworkRecord, 'scope'>): boolean {
    return scope === 'global';
  }

  /** Whether this host has made a network in its driver: it has endpoints on it. */
  takesPart(id: NetworkId): boolean {
    return this.#scope.takesPart(id);
  }

  /** The endpoints of other hosts on a network, as far as they are known. */
  remote(network: NetworkEntry): readonly EndpointEntry[] {
    if (!this.shares(network.record) || network.record.state !== 'ready') return [];
    return this.#scope
      .remote(network.record.id)
      .map(({ endpoint }) => new EndpointEntry(this.#core, network, asRecord(endpoint), endpoint.host));
  }

  /** Waits until the endpoints of other hosts on a network are known. @throws UNAVAILABLE, ABORTED */
  async learn({ record }: NetworkEntry, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (!this.shares(record) || (await this.#scope.learn(record.id, START_MS, signal))) return;
    throwIfAborted(signal);
    throw new LibnetworkError(
      'UNAVAILABLE',
      `the endpoints that other hosts have on network ${record.name} are not known: the global store does not answer`,
      { operation: 'list endpoints' },
    );
  }

  /** All peers of the networks whose peers are known. */
  peers(): ReadonlyMap<NetworkId, readonly Peer[]> {
    const all = new Map<NetworkId, readonly Peer[]>();
    for (const id of this.#core.networks.keys()) {
      const known = this.takesPart(id) ? this.#scope.knownRemote(id) : undefined;
      if (known) all.set(id, known.flatMap(peerOf));
    }
    return all;
  }

  /** Writes a record where it belongs. The record of a shared network's endpoint is this host's, and shown to others. */
  async save(record: NetworkRecord | EndpointRecord): Promise<void> {
    const { store } = this.#core;
    if (record.kind === 'network') {
      if (this.shares(record)) return this.#saveNetwork(record);
    } else if (this.#isShared(record) && record.state !== 'creating') await this.#show(record);
    if (this.#core.isKept(record)) await store.put(keyOf(record), record);
  }

  /** Tells other hosts of an endpoint as it is now, where they share its network. @throws CONFLICT for a name of theirs */
  async show(record: EndpointRecord): Promise<void> {
    if (this.#isShared(record)) await this.#show(record);
  }

  /** What a creation that failed may have written goes as soon as it can; everything else goes now, or not at all. */
  erase(record: NetworkRecord | EndpointRecord): Promise<void> {
    const act = () => this.#eraseNow(record);
    const isOwed = this.#isShared(record) && record.state === 'creating';
    return isOwed ? this.#scope.debts.settle(record.id, act) : act();
  }

  /** Makes a shared network on this host, if it is not there yet, and follows it. */
  async takePart(entry: NetworkEntry): Promise<void> {
    const { record } = entry;
    if (!this.shares(record) || this.takesPart(record.id)) return;
    const { locks, store } = this.#core;
    const driver = this.#core.driver(record.driver);
    await locks.with('network', record.id, undefined, () =>
      allOrNothing(async (undo) => {
        if (this.takesPart(record.id)) return;
        undo.push('forget that it is here', () => store.delete(keyOf(record)));
        // Here, too: a start that can't ask the global store has it.
        await store.put(keyOf(record), record);
        undo.push('delete the network in its driver', () => driver.deleteNetwork(driverNetwork(record)));
        await driver.createNetwork(driverNetwork(record));
        await this.#scope.takePart(record.id);
        for (const remote of this.#scope.knownRemote(record.id) ?? []) this.#others.showName(entry, remote);
        await this.#peerCalls.tell(entry, { set: this.#scope.remote(record.id), removed: [] });
      }),
    );
  }

  /** Leaves a shared network that this host has no endpoints on any more, in its own time. */
  endpointGone(entry: NetworkEntry): void {
    const { id } = entry.record;
    if (!this.shares(entry.record) || entry.endpoints.size > 0) return;
    this.#background.later('leave a network', () =>
      this.#core.locks.with('network', id, undefined, async () => {
        if (entry.endpoints.size === 0 && this.#core.networks.get(id) === entry) await this.#leavePart(entry);
      }),
    );
  }

  /** @throws FORBIDDEN naming the endpoints that other hosts have; those of hosts that are gone are taken back */
  async checkUnused({ id, name }: NetworkRecord): Promise<void> {
    const living = await this.#scope.livingEndpoints(id);
    if (living.length === 0) return;
    const names = living.map((each) => `${each.name} (on host ${each.host})`);
    throw new LibnetworkError(
      'FORBIDDEN',
      `network ${name} has active endpoints: ${names.join(', ')}; delete them first`,
      { holder: names.join(', ') },
    );
  }

  /** Takes a shared network away from this host, as far as it is here; what hosts share of it stays. */
  async leave(entry: NetworkEntry): Promise<void> {
    if (this.takesPart(entry.record.id)) await this.#leavePart(entry);
    await this.#scope.forget(entry.record.id);
  }

  /** Brings to an end what hosts had begun that are gone now. @throws UNAVAILABLE */
  async finishUnfinished(): Promise<void> {
    for (const [id, { host }] of [...this.#others.unfinished]) {
      const record = await this.#scope.networks.now(id);
      if (record === undefined || record.state === 'ready') this.#others.unfinished.delete(id);
      if (record?.host === undefined || record.host !== host || (await this.#scope.isThere(host))) continue;
      await this.#saveNetwork({ ...record, state: 'deleting' });
      this.#others.unfinished.delete(id);
      await finishNetworkDeletion(this.#core, this.#core.networks.get(id) ?? addNetwork(this.#core, record));
    }
  }

  /** Reads anew which networks there are, before anything is judged by it; whether the store answered. */
  async refresh(): Promise<boolean> {
    if (!this.#isReached) return false;
    const listed = this.#scope.networks.resync().then(() => true);
    return (await within(START_MS, listed)) ?? false;
  }

  /** See `NetworkController.rotateKeys`. */
  rotateKeys({ timeoutMs, signal }: RotateOptions): Promise<void> {
    // A host that dies meanwhile is waited for until its lease is over.
    return this.#scope.rotator.rotate({ timeoutMs: timeoutMs ?? this.#scope.leaseMs + ROTATION_MS, signal });
  }

  /** Ends what runs; the lease is left to run out. */
  async end(): Promise<void> {
    this.#background.begin();
    await this.#scope.end();
    await this.#background.settled();
    await this.#peerCalls.settled();
  }

  async #eraseNow(record: NetworkRecord | EndpointRecord): Promise<void> {
    const { networks, published } = this.#scope;
    if (this.#isShared(record))
      await (record.kind === 'network' ? networks.erase(record) : published.erase(record));
    await this.#core.store.delete(keyOf(record));
  }

  async #saveNetwork(record: NetworkRecord): Promise<void> {
    const { host: _, ...rest } = record;
    await this.#scope.networks.save(record.state === 'ready' ? rest : { ...rest, host: this.host });
    if (this.takesPart(record.id)) await this.#core.store.put(keyOf(record), rest);
  }

  async #show(record: EndpointRecord): Promise<void> {
    const { published, networks } = this.#scope;
    const isNew = !published.has(record.id);
    // What was never shown, or was taken from this host, is not shown as it goes.
    if (isNew && record.state !== 'ready' && record.state !== 'joined') return;
    const shared = this.#shared(record);
    if (!isNew && !shared.joined) return published.withdraw(shared);
    await published.show(shared);
    if (!isNew) return;
    // Both wrote before they look: one of a deletion of the network and this sees the other.
    const network = await networks.now(record.networkId);
    if (network?.state === 'ready') return;
    await published.erase(shared);
    throw new LibnetworkError('NOT_FOUND', `network ${record.networkId.slice(0, 12)} is being deleted`);
  }

  #isShared(record: NetworkRecord | EndpointRecord): boolean {
    const network = record.kind === 'network' ? record : this.#core.networks.get(record.networkId)?.record;
    return network !== undefined && this.shares(network);
  }

  #shared(record: EndpointRecord): SharedEndpoint {
    const sandbox = record.join && this.#core.sandboxes.get(record.join.sandboxId);
    return asShared(record, this.host, sandbox);
  }

  async #leavePart(entry: NetworkEntry): Promise<void> {
    const { record } = entry;
    if (!this.takesPart(record.id)) return;
    for (const { endpoint } of this.#scope.knownRemote(record.id) ?? []) this.#others.hideName(endpoint.id);
    await this.#core.driver(record.driver).deleteNetwork(driverNetwork(record));
    await this.#scope.leavePart(record.id);
    await this.#core.store.delete(keyOf(record));
  }
}
