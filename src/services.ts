/** The core's side of services: their virtual addresses, and how the sandboxes of this host reach them. */
import type { Core } from './core.ts';
import type { EndpointEntry } from './endpoint.ts';
import { requestAddresses } from './endpointaddresses.ts';
import { invalid } from './errors.ts';
import type { EndpointId, NetworkId, SandboxId } from './ids.ts';
import { FAMILIES } from './ip.ts';
import type { NetworkEntry } from './network.ts';
import type { FirewallChange, FirewallReport } from './osl/firewall/firewall.ts';
import { plain } from './pools.ts';
import type { EndpointRecord, NetworkRecord, ServiceMembership, ServiceRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { claimService, listServices, releaseService, type VirtualAddresses } from './services/addresses.ts';
import { type RuleChange, SandboxRules } from './services/sandboxrules.ts';
import { type ServiceChange, ServiceTable } from './services/table.ts';
import { Undo } from './undo.ts';

/** What a sandbox sees: the services of its networks. */
interface Sight {
  readonly sandbox: SandboxEntry;
  networks: ReadonlySet<NetworkId>;
  rules: SandboxRules | undefined;
}

export class Services {
  readonly #core: Core;
  readonly #table = new ServiceTable();
  readonly #sights = new Map<SandboxId, Sight>();
  /** Sandboxes whose namespace an earlier controller may have left rules in. */
  readonly #inherited = new WeakSet<SandboxEntry>();
  /** Rules that are being changed. */
  readonly #busy = new Set<Promise<void>>();
  #started = false;

  constructor(core: Core) {
    this.#core = core;
  }

  /** From here on the sandboxes that were taken up get their rules: before, not all endpoints are known. */
  start(): void {
    this.#started = true;
  }

  /** Takes up a sandbox that was there before this controller. */
  inherit(sandbox: SandboxEntry): void {
    this.#inherited.add(sandbox);
  }

  /** An endpoint is in a sandbox, on whichever host, or something of it has changed. */
  show(record: Pick<EndpointRecord, 'id' | 'service' | 'ipv4' | 'ipv6'>, { id, name }: NetworkRecord): void {
    const { service, ipv4, ipv6 } = record;
    if (!service) return;
    const addresses = { ipv4: ipv4?.address, ipv6: ipv6?.address };
    this.#tell(this.#table.set({ id: record.id, network: { id, name }, service, ...addresses }));
  }

  /** It is in none any more. */
  hide(id: EndpointId): void {
    this.#tell(this.#table.remove(id));
  }

  /** Which networks a sandbox is on. */
  see(sandbox: SandboxEntry, networkIds: readonly NetworkId[]): void {
    const known = this.#sights.get(sandbox.record.id);
    const networks = new Set(networkIds);
    const sight = known ?? { sandbox, networks: new Set(), rules: undefined };
    const before = sight.networks;
    sight.networks = networks;
    this.#sights.set(sandbox.record.id, sight);
    // The rules go with its namespace, or at its end; new ones begin with all that is in sight.
    if (sandbox.record.state === 'deleting') return;
    if (!sight.rules) {
      this.#rulesOf(sight);
      return;
    }
    const come = networkIds.filter((id) => !before.has(id)).flatMap((id) => this.#table.intents(id));
    const left = [...before].filter((id) => !networks.has(id)).flatMap((id) => this.#table.intents(id));
    if (come.length + left.length === 0) return;
    const rules: FirewallChange[] = [
      ...left.map(({ kind, id }) => ({ remove: { kind, id } })),
      ...come.map((set) => ({ set })),
    ];
    this.#change(sight.rules, { rules, gone: [] });
  }

  /** When every sandbox of this host has the rules that follow from what was shown and hidden so far. */
  async settled(): Promise<void> {
    await Promise.all(this.#busy);
  }

  /** Ends what is open for a sandbox's namespace; with `remove`, its rules too. */
  async close(sandbox: SandboxEntry, remove: boolean): Promise<void> {
    const sight = this.#sights.get(sandbox.record.id);
    this.#sights.delete(sandbox.record.id);
    await sight?.rules?.close(remove);
  }

  /** Compares the rules of every sandbox with what the records say. */
  async reconcileRules(dryRun: boolean): Promise<FirewallReport> {
    const missing: string[] = [];
    const orphaned: string[] = [];
    for (const sight of [...this.#sights.values()]) {
      const report = await this.#reconcileIn(sight, dryRun);
      const where = `of the services in container ${sight.sandbox.record.containerId}`;
      for (const line of report.missing) missing.push(`${line} ${where}`);
      for (const line of report.orphaned) orphaned.push(`${line} ${where}`);
    }
    return { missing, orphaned };
  }

  /** One that fails does not keep the others from being compared. */
  async #reconcileIn(sight: Sight, dryRun: boolean): Promise<FirewallReport> {
    try {
      return (await this.#rulesOf(sight)?.reconcile(dryRun)) ?? { missing: [], orphaned: [] };
    } catch (error) {
      const { containerId } = sight.sandbox.record;
      this.#core.logger.error(`the rules of services in container ${containerId} could not be compared`, {
        error,
      });
      return { missing: [], orphaned: [] };
    }
  }

  /** Gives back the addresses of services that no endpoint belongs to. @throws UNAVAILABLE */
  async reconcileAddresses(dryRun: boolean): Promise<FirewallReport> {
    const { networks, globals } = this.#core;
    const orphaned: string[] = [];
    for (const record of await this.records()) {
      const network = networks.get(record.networkId);
      // What hosts share may not be known here yet.
      if (!network && record.host !== undefined && (await globals?.scope.networks.now(record.networkId)))
        continue;
      if (network && (await this.#isUsed(network, record.name, undefined))) continue;
      orphaned.push(`service ${record.name} of network ${network?.record.name ?? record.networkId}`);
      if (!dryRun) await this.#release(record, network, undefined);
    }
    return { missing: [], orphaned };
  }

  /** All services that are recorded. @throws UNAVAILABLE */
  async records(): Promise<ServiceRecord[]> {
    const { store, globals } = this.#core;
    const shared = globals ? await listServices(globals.store) : [];
    return [...(await listServices(store)), ...shared];
  }

  /**
   * Finds or takes the virtual addresses of an endpoint's service. Of a network that hosts share, `keep` must follow.
   * @throws INVALID_ARGUMENT on a network without addresses; CONFLICT for another mode; UNAVAILABLE
   */
  async claim(entry: EndpointEntry, service: ServiceMembership): Promise<ServiceMembership> {
    const { network } = entry;
    const { id: networkId, name: networkName, pools } = network.record;
    const { name, mode, aliases, enabled } = service;
    if (mode === 'vip' && pools.length === 0)
      throw invalid(
        'service.mode',
        mode,
        `network ${networkName} has no pools to take an address of: use dnsrr`,
      );
    const { record, made } = await claimService(
      this.#storeOf(network.record),
      { networkId, networkName, name, mode, host: this.#hostOf(network.record) },
      { take: () => this.#take(network, service), free: (...of) => this.#free(network, ...of) },
    );
    if (made) this.#core.events.emit('service:create', { networkId, name, mode });
    const { ipv4, ipv6 } = record;
    return { name, aliases, mode, enabled, ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
  }

  /**
   * After an endpoint was shown to other hosts: makes sure that what it was told of its service holds, and tells it
   * what does where another host had freed the addresses, not seeing it yet.
   */
  async keep(entry: EndpointEntry): Promise<void> {
    const { service } = entry.record;
    if (!service || !this.#core.globals?.shares(entry.network.record)) return;
    const now = await this.claim(entry, service);
    if (JSON.stringify(now) === JSON.stringify(service)) return;
    await this.#core.save(entry, { ...entry.record, service: now });
    await this.keep(entry);
  }

  /** After an endpoint has gone, or while it goes: gives the addresses back if it was the last. */
  async release({
    record: { id, service },
    network,
  }: Pick<EndpointEntry, 'network'> & { record: Pick<EndpointRecord, 'id' | 'service'> }): Promise<void> {
    if (!service) return;
    await this.#release({ networkId: network.record.id, name: service.name }, network, id);
  }

  async #release(
    service: Pick<ServiceRecord, 'networkId' | 'name'>,
    network: NetworkEntry | undefined,
    except: EndpointId | undefined,
  ): Promise<void> {
    const { networkId, name } = service;
    const free = async (...of: [VirtualAddresses, string | undefined]): Promise<void> =>
      network && this.#free(network, ...of);
    const isUsed = async (): Promise<boolean> =>
      network !== undefined && (await this.#isUsed(network, name, except));
    const stores = network ? [this.#storeOf(network.record)] : this.#stores();
    for (const store of stores)
      if (await releaseService(store, service, isUsed, free))
        this.#core.events.emit('service:delete', { networkId, name });
  }

  /** Endpoints of other hosts count as long as their records are there. */
  async #isUsed(network: NetworkEntry, name: string, except: EndpointId | undefined): Promise<boolean> {
    const { globals } = this.#core;
    const here = [...network.endpoints.values()].map(({ record }) => record);
    const shared = globals?.shares(network.record) ? await globals.scope.stored(network.record.id) : [];
    return [...here, ...shared].some(({ id, service }) => id !== except && service?.name === name);
  }

  async #take(network: NetworkEntry, { name, mode }: ServiceMembership): Promise<VirtualAddresses> {
    if (mode === 'dnsrr') return {};
    const undo = new Undo();
    try {
      const any = { ipv4: undefined, ipv6: undefined };
      return await requestAddresses(this.#core, network, { kind: 'service', name }, any, undo, undefined);
    } catch (error) {
      await undo.run();
      throw error;
    }
  }

  async #free({ record }: NetworkEntry, taken: VirtualAddresses, host: string | undefined): Promise<void> {
    const ipam = this.#core.ipam(record.ipam.driver);
    for (const family of FAMILIES) {
      const held = taken[family];
      if (held) await ipam.releaseAddress(held.poolId, plain(held.address), { ofHost: host });
    }
  }

  #storeOf(record: NetworkRecord) {
    const { globals, store } = this.#core;
    return globals?.shares(record) ? globals.store : store;
  }

  #stores() {
    const { globals, store } = this.#core;
    return globals ? [store, globals.store] : [store];
  }

  #hostOf(record: NetworkRecord): string | undefined {
    const { globals } = this.#core;
    return globals?.shares(record) ? globals.host : undefined;
  }

  #tell(changes: readonly ServiceChange[]): void {
    const { names, events } = this.#core;
    for (const { networkId: id, name, live, rules, gone, names: virtual } of changes) {
      const networkId = id as NetworkId;
      if (virtual?.value) names.setEndpoint(virtual.value);
      else if (virtual) names.removeEndpoint(virtual.id);
      for (const sight of this.#sights.values())
        if (sight.networks.has(networkId)) this.#change(this.#rulesOf(sight), { rules, gone });
      if (this.#started && live !== undefined) events.emit('service:update', { networkId, name, live });
    }
  }

  #change(rules: SandboxRules | undefined, change: RuleChange): void {
    const done = rules?.change(change);
    if (done) this.#busy.add(done);
    void done?.then(() => this.#busy.delete(done));
  }

  /** None in the host's own namespace, nor before there is a namespace. */
  #rulesOf(sight: Sight): SandboxRules | undefined {
    const { namespace, record } = sight.sandbox;
    if (sight.rules || !namespace || record.namespace.kind === 'host') return sight.rules;
    sight.rules = new SandboxRules({
      namespace,
      table: `libnetwork-services-${this.#core.instance}`,
      inherited: this.#inherited.has(sight.sandbox),
      wanted: () => this.#wanted(sight),
      logger: this.#core.logger,
    });
    const all = [...sight.networks].flatMap((id) => this.#table.intents(id));
    this.#change(sight.rules, { rules: all.map((set) => ({ set })), gone: [] });
    return sight.rules;
  }

  /** Unknown as long as the endpoints of other hosts are: rules that are there go on leading to them. */
  #wanted({ networks }: Sight) {
    const { globals } = this.#core;
    const known = [...networks].every((id) => globals?.knows(id) ?? true);
    if (!this.#started || !known) return undefined;
    return [...networks].flatMap((id) => this.#table.intents(id));
  }
}
