import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import type { LibnetworkError } from '../../errors.ts';
import type { Family } from '../../ip.ts';
import { kernelError } from '../errno.ts';
import type { Firewall, FirewallOptions } from '../firewall/firewall.ts';
import type { GuardedFirewall } from '../firewall/guarded.ts';
import { createLayeredFirewall } from '../firewall/layered.ts';
import type {
  Bandwidth,
  Change,
  ConnectionFilter,
  FoundXfrmState,
  HeldPort,
  Link,
  LinkAddress,
  Namespace,
  NamespaceEvent,
  Neighbour,
  PortSpec,
  ProxyTarget,
  Route,
  SocketAddress,
  TcpListener,
  UdpSocket,
  Waits,
  XfrmChange,
  XfrmPolicy,
} from '../osl.ts';
import { announce } from './announce.ts';
import { applyChanges, type HandleOf } from './apply.ts';
import { readBandwidth, setBandwidth } from './bandwidth.ts';
import { type CarriedVlan, readBridge, readBridgeVlans } from './bridges.ts';
import { explainRefusal } from './capabilities.ts';
import { type Connection, flushConnections, forgetConnections, readConnections } from './conntrack.ts';
import { DeleteQueue, type Warner } from './deletes.ts';
import { keepDescriptors } from './descriptors.ts';
import { findFirewalld, ZonedFirewall } from './firewalld/index.ts';
import type { Handle } from './handle.ts';
import { openIptables } from './iptables/index.ts';
import { watchNamespace } from './monitor.ts';
import type { BridgeOptions } from './netlink/bridge.ts';
import { openNftables } from './nftables/index.ts';
import { ping } from './ping.ts';
import type { Relay } from './relay/index.ts';
import { RouteView } from './routeview.ts';
import { addRule, deleteRule, type Rule, readRules } from './rules.ts';
import { bindUdp, connectTcp, holdPort, listenTcp } from './sockets.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';
import { dumpLinks, readAddresses, readLink, readLinks, readNeighbours, readRoutes } from './tables.ts';
import { inNamespace } from './window.ts';
import { applyXfrm, readXfrmPolicies, readXfrmStates } from './xfrm.ts';

/** A network namespace of the real kernel. Each method says in the contract what it does. */
export class LinuxNamespace implements Namespace {
  readonly #handle: Handle;
  readonly #handleOf: HandleOf;
  readonly #deletes: DeleteQueue;
  readonly #isHost: boolean;
  /** The host's routes are read for every network that is made, and grow with the networks. */
  readonly #routes: RouteView | undefined;
  readonly #relay: Relay;
  readonly #logger: Warner | undefined;

  constructor(handle: Handle, handleOf: HandleOf, isHost: boolean, relay: Relay, logger?: Warner) {
    this.#handle = handle;
    this.#relay = relay;
    this.#handleOf = handleOf;
    this.#deletes = new DeleteQueue(handle, logger);
    this.#isHost = isHost;
    this.#routes = isHost ? new RouteView(handle) : undefined;
    this.#logger = logger;
  }

  get path(): string {
    return this.#handle.path;
  }

  /** What its deletions cost so far: requests that deleted a group of links, and a single one. */
  get deletions(): { readonly groups: number; readonly singles: number } {
    return { ...this.#deletes.sent };
  }

  watch(options?: Waits): AsyncIterableIterator<NamespaceEvent> {
    const { fd, socket } = this.#handle;
    return watchNamespace(fd, () => dumpLinks(socket, false), options);
  }

  /** The connections of a family that it tracks. Beyond the contract. */
  async connections(family: Family): Promise<readonly Connection[]> {
    return readConnections(this.#handle.fd, family);
  }

  /** Forgets tracked connections: how many. Beyond the contract; see `forgetConnections`. */
  async forgetConnections(family: Family, matches: (connection: Connection) => boolean): Promise<number> {
    return forgetConnections(this.#handle.fd, family, matches);
  }

  /** A bridge's settings; `undefined` for what is no bridge. Beyond the contract. */
  async bridge(name: string): Promise<BridgeOptions | undefined> {
    return readBridge(this.#handle.socket, name);
  }

  /** The VLANs of bridges and their ports, by name. Beyond the contract. */
  async bridgeVlans(): Promise<ReadonlyMap<string, readonly CarriedVlan[]>> {
    return readBridgeVlans(this.#handle.socket);
  }

  /** Policy routing rules of a family. Beyond the contract, as are `addRule` and `deleteRule`. */
  async rules(family: Family): Promise<readonly Rule[]> {
    return readRules(this.#handle.socket, family);
  }

  async addRule(rule: Rule): Promise<void> {
    return addRule(this.#handle.socket, rule);
  }

  async deleteRule(rule: Rule): Promise<void> {
    return deleteRule(this.#handle.socket, rule);
  }

  async applyXfrm(changes: readonly XfrmChange[]): Promise<void> {
    return applyXfrm(this.#handle.fd, changes);
  }

  async xfrmStates(): Promise<readonly FoundXfrmState[]> {
    return readXfrmStates(this.#handle.fd);
  }

  async xfrmPolicies(): Promise<readonly XfrmPolicy[]> {
    return readXfrmPolicies(this.#handle.fd);
  }

  async links(): Promise<readonly Link[]> {
    return readLinks(this.#handle.socket);
  }

  async link(name: string): Promise<Link | undefined> {
    return readLink(this.#handle.socket, name);
  }

  async addresses(link?: string): Promise<readonly LinkAddress[]> {
    return readAddresses(this.#handle.socket, link);
  }

  async routes(family?: Family): Promise<readonly Route[]> {
    if (this.#routes === undefined) return readRoutes(this.#handle.socket, family);
    const routes = await this.#routes.read();
    return family === undefined ? routes : routes.filter((route) => route.family === family);
  }

  async neighbours(link?: string): Promise<readonly Neighbour[]> {
    return readNeighbours(this.#handle.socket, link);
  }

  apply(changes: readonly Change[], options?: Waits): Promise<void> {
    return applyChanges(this.#handle, changes, this.#handleOf, options);
  }

  deleteLink(name: string, options?: Waits): Promise<boolean> {
    this.#handle.forgetExpected();
    return this.#deletes.delete(name, options);
  }

  async setBandwidth(link: string, limits: Bandwidth): Promise<void> {
    return setBandwidth(this.#handle.socket, link, limits);
  }

  async bandwidth(link: string): Promise<Bandwidth> {
    return readBandwidth(this.#handle.socket, link);
  }

  async sysctl(key: string): Promise<string | undefined> {
    return readSysctl(this.#handle.fd, key);
  }

  setSysctl(key: string, value: string): Promise<void> {
    return writeSysctl(this.#handle.fd, key, value);
  }

  async bindUdp(address: string, port: number): Promise<UdpSocket> {
    await this.#relay.settled();
    return bindUdp(this.#handle.fd, address, port);
  }

  async listenTcp(
    address: string,
    port: number,
    onConnection: (stream: Duplex, from?: SocketAddress) => void,
  ): Promise<TcpListener> {
    await this.#relay.settled();
    return listenTcp(this.#handle.fd, address, port, onConnection);
  }

  async connectTcp(
    address: string,
    port: number,
    options?: Waits & { readonly timeoutMs?: number },
  ): Promise<Duplex> {
    return connectTcp(this.#handle.fd, address, port, options);
  }

  async holdPort(port: PortSpec): Promise<HeldPort> {
    await this.#relay.settled();
    return holdPort(this.#handle.fd, port);
  }

  async servePort(port: PortSpec, target: ProxyTarget): Promise<HeldPort> {
    await this.#relay.settled();
    return this.#relay.serve(this.#handle.fd, port, target);
  }

  async ping(
    address: string,
    options?: Waits & { readonly timeoutMs?: number },
  ): Promise<number | undefined> {
    try {
      return await ping(this.#handle.fd, address, options);
    } catch (error) {
      throw explainRefusal(error);
    }
  }

  async flushConntrack(filters: readonly ConnectionFilter[]): Promise<number> {
    return flushConnections(this.#handle.fd, filters);
  }

  async announce(link: string, address: string): Promise<void> {
    const found = await readLink(this.#handle.socket, link);
    if (found) return announce(this.#handle, found, address);
    throw kernelError(`announce ${address} on ${link}`, 'ENODEV');
  }

  spawn(file: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    keepDescriptors();
    return inNamespace(this.#handle.fd, () => spawn(file, [...args], options));
  }

  async firewall(options: FirewallOptions): Promise<Firewall> {
    const rules = await this.#rules(options).catch((error: unknown) => {
      throw explainRefusal(error);
    });
    if (options.engine === 'none') return rules;
    try {
      const wanted = options.firewalld ?? (this.#isHost ? 'auto' : 'off');
      const firewalld = await findFirewalld(wanted, this.#logger);
      return firewalld ? new ZonedFirewall(rules, firewalld) : rules;
    } catch (error) {
      await rules.close();
      throw error;
    }
  }

  async #rules(given: FirewallOptions): Promise<GuardedFirewall> {
    const { fd } = this.#handle;
    const onUnlatched = (reason: LibnetworkError) => {
      this.#logger?.warn(`networks are open for a moment when somebody flushes rules: ${reason.message}`);
      given.onUnlatched?.(reason);
    };
    const options = { ...given, onUnlatched };
    if (options.engine !== 'iptables') return openNftables(fd, options);
    // Both are begun at once: the descriptor may be closed meanwhile.
    const policies = openNftables(fd, { ...options, engine: 'nftables', table: `${options.table}-policy` });
    try {
      return createLayeredFirewall(await openIptables(fd, options), await policies);
    } catch (error) {
      await (await policies).close();
      throw error;
    }
  }

  async close(): Promise<void> {
    // The host's handle belongs to the osl, and ends with it.
    if (!this.#isHost) this.#handle.close();
  }
}
