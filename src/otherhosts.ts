/** What other hosts do to what is shared, shown here. */
import type { Background } from './background.ts';
import type { Core } from './core.ts';
import { leaveAndDelete } from './endpointdeletion.ts';
import type { Globals } from './globals.ts';
import type { GlobalEvents } from './globalscope/globalscope.ts';
import type { RemoteChange, RemoteEndpoint } from './globalscope/part.ts';
import type { SharedEndpoint } from './globalscope/shapes.ts';
import type { EndpointId, NetworkId } from './ids.ts';
import { FAMILIES } from './ip.ts';
import { addNetwork, type NetworkEntry, removeNetwork } from './network.ts';
import { showNetworkNames } from './networknames.ts';
import type { PeerCalls } from './peercalls.ts';
import { plain } from './pools.ts';
import type { NetworkRecord } from './records.ts';

interface OtherHostsParts {
  readonly core: Core;
  readonly globals: Globals;
  readonly background: Background;
  readonly peerCalls: PeerCalls;
}

export class OtherHosts implements Omit<GlobalEvents, 'returned'> {
  /** What they had begun with networks, and may not end. */
  readonly unfinished = new Map<NetworkId, NetworkRecord>();
  /** This host has learnt what there was when it came. */
  started = false;
  readonly #core: Core;
  readonly #globals: Globals;
  readonly #background: Background;
  readonly #peerCalls: PeerCalls;

  constructor({ core, globals, background, peerCalls }: OtherHostsParts) {
    this.#core = core;
    this.#globals = globals;
    this.#background = background;
    this.#peerCalls = peerCalls;
  }

  network(record: NetworkRecord): void {
    const { networks, events } = this.#core;
    const entry = networks.get(record.id);
    if (record.state !== 'ready') {
      if (record.host !== this.#globals.host) this.unfinished.set(record.id, record);
      else if (!entry && !this.started) addNetwork(this.#core, record);
      return;
    }
    this.unfinished.delete(record.id);
    // What this host itself is changing it knows better.
    if (entry && entry.record.state !== 'ready') return;
    if (entry && JSON.stringify(entry.record) === JSON.stringify(record)) return;
    if (entry) entry.record = record;
    else addNetwork(this.#core, record);
    showNetworkNames(this.#core, record);
    const facts = { networkId: record.id, name: record.name };
    if (entry) events.emit('network:update', facts);
    else events.emit('network:create', facts);
  }

  networkGone(id: NetworkId): void {
    this.unfinished.delete(id);
    const entry = this.#core.networks.get(id);
    // A deletion by this host ends where it began; one that began while a record is written does so, too.
    if (entry?.record.state !== 'ready') return;
    this.#background.later(`forget network ${entry.record.name}`, async () => {
      if (this.#core.networks.get(id) !== entry || entry.record.state !== 'ready') return;
      if (await this.#globals.scope.networks.now(id)) return;
      for (const { record } of [...entry.endpoints.values()]) await this.#lose(id, record.id);
      await this.#core.locks.with('network', id, undefined, async () => {
        await this.#globals.leave(entry);
        removeNetwork(this.#core, entry);
      });
      this.#core.events.emit('network:delete', { networkId: id, name: entry.record.name });
    });
  }

  lost(networkId: NetworkId, id: EndpointId): void {
    this.#background.later('give up an endpoint that was lost', () => this.#lose(networkId, id));
  }

  remote(id: NetworkId, change: RemoteChange): void {
    const entry = this.#core.networks.get(id);
    if (!entry) return;
    for (const remote of change.set) this.showName(entry, remote);
    for (const endpoint of change.removed) this.hideName(endpoint);
    // Before that, the driver does not know the network; then it is told all.
    if (!this.#globals.takesPart(id) || !this.started) return;
    void this.#peerCalls.tell(entry, change);
  }

  /** Gives back the addresses of an endpoint whose host is gone. */
  async reclaimed(endpoint: SharedEndpoint): Promise<void> {
    const network = this.#core.networks.get(endpoint.networkId);
    if (!network) return;
    const ipam = this.#core.ipam(network.record.ipam.driver);
    for (const family of FAMILIES) {
      const held = endpoint[family];
      if (held) await ipam.releaseAddress(held.poolId, plain(held.address), { ofHost: endpoint.host });
    }
    await this.#core.services.release({ record: endpoint, network });
  }

  showName({ record }: NetworkEntry, { endpoint }: RemoteEndpoint): void {
    const { id, names, ipv4, ipv6 } = endpoint;
    const networkName = record.name;
    const shown = { id, networkId: record.id, networkName, names, ipv4: ipv4?.address, ipv6: ipv6?.address };
    if (endpoint.joined) {
      this.#core.names.setEndpoint(shown);
      this.#core.services.show(endpoint, record);
    } else this.hideName(id);
  }

  hideName(id: EndpointId): void {
    this.#core.names.removeEndpoint(id);
    this.#core.services.hide(id);
  }

  async #lose(networkId: NetworkId, id: EndpointId): Promise<void> {
    const core = this.#core;
    const entry = core.endpoints.get(id);
    if (!entry) return;
    const { name } = entry.record;
    core.logger.warn(`endpoint ${name} was taken from this host, which counted as gone; it is deleted here`);
    await leaveAndDelete(core, entry, true, undefined);
    core.events.emit('endpoint:lost', { networkId, endpointId: id, name });
  }
}
