/** The way of a packet through namespaces: routing, hooks, forwarding, links, until it is delivered or lost. */
import { type Address, formatAddress } from '../../ip.ts';
import { type FlowTables, trial } from './conntrack.ts';
import { nameOf } from './dump.ts';
import { type HookName, type Passing, passHook } from './hooks.ts';
import type { FakeKernel } from './kernel.ts';
import { isLinkLocal, isLoopback, localAddress } from './local.ts';
import { findLink } from './netns.ts';
import { type Arrival, type Interfaces, Lost, type Packet } from './packet.ts';
import { bestRoute } from './routes.ts';
import { type Landing, resolve } from './segment.ts';
import { sourceFor } from './source.ts';
import type { LinkState, NetnsState, RouteState } from './state.ts';
import { flag, linkSetting } from './sysctls.ts';
import { passesXfrm } from './xfrm.ts';

/** The hop limit that a packet starts with (ip_default_ttl). */
const HOP_LIMIT = 64;

/** A packet whose source its namespace may still choose. */
export type Outgoing = Omit<Packet, 'source'> & { readonly source: Address | undefined };

type Where =
  | { readonly kind: 'local' }
  | { readonly kind: 'by'; readonly link: LinkState; readonly nextHop: Address; readonly route: RouteState };

export class Walk {
  readonly #kernel: FakeKernel;
  readonly #tables: FlowTables;
  readonly #counting: boolean;
  readonly #via: string[] = [];
  #hops = 0;

  /** With `counting`, links count what passes them. */
  constructor(kernel: FakeKernel, tables: FlowTables, counting = false) {
    this.#kernel = kernel;
    this.#tables = tables;
    this.#counting = counting;
  }

  /** Sends a packet from a namespace, and follows it to its end. @throws Lost */
  send(netns: NetnsState, outgoing: Outgoing): Arrival {
    const where = this.#route(netns, outgoing.destination);
    const source = outgoing.source ?? this.#chooseSource(netns, outgoing.destination, where);
    const before: Packet = { ...outgoing, source };
    const out = this.#pass(
      netns,
      'output',
      { iif: undefined, oif: this.#oif(netns, where) },
      { packet: before, tracked: undefined },
    );
    // Translated destinations are routed anew, with the source that was chosen for the old one.
    const again = this.#route(netns, out.packet.destination);
    this.#checkLoopbackSource(netns, out.packet, again);
    return this.#depart(netns, again, out, undefined);
  }

  #chooseSource(netns: NetnsState, destination: Address, where: Where): Address {
    if (where.kind === 'local') return destination;
    const source = sourceFor(where.link, where.nextHop);
    if (source !== undefined) return source;
    throw new Lost('no route', `${this.#name(netns)} has no ${destination.family} address to send from`);
  }

  #route(netns: NetnsState, destination: Address): Where {
    if (localAddress(netns, destination) !== undefined) return { kind: 'local' };
    const route = bestRoute(netns, destination, (r) => r.link.up);
    if (route === undefined)
      throw new Lost('no route', `no route to ${formatAddress(destination)} in ${this.#name(netns)}`);
    return { kind: 'by', link: route.link, nextHop: route.gateway ?? destination, route };
  }

  #oif(netns: NetnsState, where: Where): LinkState | undefined {
    return where.kind === 'by' ? where.link : findLink(netns, 'lo');
  }

  /** The rest of a packet's way out of a namespace, from the routing decision on. */
  #depart(
    netns: NetnsState,
    where: Where,
    passing: Passing,
    iif: LinkState | undefined,
    bridgedBy?: LinkState,
  ): Arrival {
    const oif = this.#oif(netns, where);
    const post = this.#pass(netns, 'postrouting', { iif, oif }, passing);
    if (where.kind === 'by') return this.#transmit(where.link, where.nextHop, post.packet, bridgedBy);
    if (oif === undefined || !oif.up) throw new Lost('no route', `lo is down in ${this.#name(netns)}`);
    this.#count(oif, post.packet, 'tx');
    this.#via.push(`${this.#name(netns)} lo`);
    return this.#receive(oif, post);
  }

  #transmit(link: LinkState, nextHop: Address, packet: Packet, bridgedBy?: LinkState): Arrival {
    if (++this.#hops > HOP_LIMIT) throw new Lost('silence', 'the packet goes round in a circle');
    const landing = resolve(link, nextHop, (from, remote, port) => this.#underlay(from, remote, port));
    if (landing === undefined)
      throw new Lost(
        'no neighbour',
        `nobody answers for ${formatAddress(nextHop)} on ${link.name} of ${this.#name(link.home)}`,
      );
    if (bridgedBy !== undefined && landing.via.includes(bridgedBy) && !bridgedBy.hairpin)
      throw new Lost('silence', `port ${bridgedBy.name} of ${link.name} sends nothing back without hairpin`);
    let current: Packet = packet;
    for (const bridge of landing.bridges) {
      const crossed = this.#crossBridge(bridge, current);
      // A packet whose destination was translated on the bridge is routed by the bridge's namespace.
      if (crossed.packet.destination.value !== current.destination.value)
        return this.#accepted(bridge, crossed, portInto(bridge, landing));
      current = crossed.packet;
    }
    for (const passed of landing.via) this.#via.push(`${this.#name(passed.home)} ${passed.name}`);
    this.#count(link, current, 'tx');
    return this.#receive(
      landing.link,
      { packet: current, tracked: undefined },
      portInto(landing.link, landing),
    );
  }

  /** br_netfilter shows bridged packets to the packet filter, with the bridge as both interfaces. */
  #crossBridge(bridge: LinkState, packet: Packet): Passing {
    if (!showsBridged(bridge, packet)) return { packet, tracked: undefined };
    const inside = { iif: bridge, oif: undefined };
    const first = this.#pass(bridge.home, 'prerouting', inside, { packet, tracked: undefined });
    if (first.packet.destination.value !== packet.destination.value) return first;
    const across = this.#pass(bridge.home, 'forward', { iif: bridge, oif: bridge }, first);
    return this.#pass(bridge.home, 'postrouting', { iif: undefined, oif: bridge }, across);
  }

  /** A packet comes up to the network layer; to a bridge by one of its ports. */
  #receive(link: LinkState, passing: Passing, port?: LinkState): Arrival {
    const { packet } = passing;
    this.#count(link, packet, 'rx');
    // IPv6 refuses what is a martian before its rules are asked, IPv4 after.
    if (packet.source.family === 'ipv6') this.#checkMartian(link, packet);
    const pre = this.#pass(link.home, 'prerouting', { iif: link, oif: undefined }, passing);
    const moved = pre.packet.destination.value !== packet.destination.value;
    return this.#accepted(link, pre, moved && showsBridged(link, packet) ? port : undefined);
  }

  /**
   * After prerouting: for this namespace, or to be forwarded. With `bridgedBy`, br_netfilter had a bridge translate
   * what came in by that port: where it leads back into the bridge, the bridge and not the router forwards it.
   */
  #accepted(link: LinkState, passing: Passing, bridgedBy?: LinkState): Arrival {
    const netns = link.home;
    const { packet } = passing;
    const { family } = packet.destination;
    if (family === 'ipv4') this.#checkMartian(link, packet);
    this.#checkSource(link, packet);
    if (localAddress(netns, packet.destination) !== undefined) {
      const end = this.#pass(netns, 'input', { iif: link, oif: undefined }, passing);
      return { netns, packet: end.packet, via: this.#via };
    }
    const where = this.#route(netns, packet.destination);
    const bridged = bridgedBy !== undefined && where.kind === 'by' && where.link === link;
    // IPv4's routing decision asks for forwarding; IPv6's does not, and a bridge has no other place to ask.
    if (!bridged || family === 'ipv4') this.#checkForwarding(link, packet);
    const forwarded = this.#pass(netns, 'forward', { iif: link, oif: this.#oif(netns, where) }, passing);
    return this.#depart(netns, where, forwarded, link, bridged ? bridgedBy : undefined);
  }

  #checkForwarding(link: LinkState, packet: Packet): void {
    const { family } = packet.destination;
    const forwards =
      family === 'ipv4'
        ? linkSetting(link, 'ipv4', 'forwarding') !== 0
        : flag(link.home, 'net/ipv6/conf/all/forwarding');
    if (!forwards)
      throw new Lost('silence', `${this.#name(link.home)} does not forward ${family} from ${link.name}`);
    if (isLinkLocal(packet.source))
      throw new Lost('silence', `a link-local source is not forwarded by ${this.#name(link.home)}`);
  }

  /** Loopback addresses come by loopback only, unless `route_localnet` says otherwise (ip_route_input_slow). */
  #checkMartian(link: LinkState, packet: Packet): void {
    if (link.kind === 'loopback') return;
    const loopback = [packet.source, packet.destination].find(isLoopback);
    if (loopback === undefined) return;
    if (loopback.family === 'ipv4' && linkSetting(link, 'ipv4', 'route_localnet') !== 0) return;
    throw new Lost(
      'silence',
      `${formatAddress(loopback)} is a martian on ${link.name} of ${this.#name(link.home)}`,
    );
  }

  /** Our own address from outside is a martian; with `rp_filter` the way back must exist, in strict mode by this link. */
  #checkSource(link: LinkState, packet: Packet): void {
    if (link.kind === 'loopback' || packet.source.family !== 'ipv4') return;
    const ours = localAddress(link.home, packet.source) !== undefined && !isLoopback(packet.source);
    if (ours && linkSetting(link, 'ipv4', 'accept_local') === 0)
      throw new Lost(
        'silence',
        `${this.#name(link.home)} gets its own address ${formatAddress(packet.source)} from outside`,
      );
    const mode = linkSetting(link, 'ipv4', 'rp_filter');
    if (mode === 0 || isLoopback(packet.source)) return;
    const back = bestRoute(link.home, packet.source, (r) => r.link.up);
    if (back === undefined || (mode === 1 && back.link !== link))
      throw new Lost(
        'silence',
        `rp_filter of ${link.name} in ${this.#name(link.home)} refuses ${formatAddress(packet.source)}`,
      );
  }

  /** A loopback source leaves by another link only where `route_localnet` is set there (__mkroute_output). */
  #checkLoopbackSource(netns: NetnsState, packet: Packet, where: Where): void {
    if (where.kind === 'local' || !isLoopback(packet.source)) return;
    const allowed =
      packet.source.family === 'ipv4' && linkSetting(where.link, 'ipv4', 'route_localnet') !== 0;
    if (!allowed)
      throw new Lost(
        'no route',
        `${formatAddress(packet.source)} cannot leave ${this.#name(netns)} by ${where.link.name}`,
      );
  }

  /** A tunnel's outer packet goes its own way, and leaves no trace of itself. */
  #underlay(from: NetnsState, remote: Address, port: number): NetnsState | undefined {
    const walk = new Walk(this.#kernel, trial());
    walk.#hops = this.#hops + 1;
    if (walk.#hops > HOP_LIMIT) return undefined;
    try {
      const outgoing = { protocol: 'udp', sourcePort: port, destinationPort: port, bytes: 0 } as const;
      const { netns, packet } = walk.send(from, { ...outgoing, source: undefined, destination: remote });
      return passesXfrm(from, netns, packet) ? netns : undefined;
    } catch (error) {
      if (error instanceof Lost) return undefined;
      throw error;
    }
  }

  #pass(netns: NetnsState, hook: HookName, interfaces: Interfaces, passing: Passing): Required<Passing> {
    return passHook(this.#tables, netns, hook, interfaces, passing, `${hook} of ${this.#name(netns)}`);
  }

  #count(link: LinkState, packet: Packet, direction: 'rx' | 'tx'): void {
    if (!this.#counting) return;
    link.statistics[`${direction}Packets`]++;
    link.statistics[`${direction}Bytes`] += packet.bytes;
  }

  #name(netns: NetnsState): string {
    return nameOf(this.#kernel, netns);
  }
}

/** The port that a packet came into a bridge by, on its way to a landing. */
function portInto(bridge: LinkState, { via }: Landing): LinkState | undefined {
  return via.find((link) => link.master === bridge);
}

/** br_netfilter has the packet filter see what passes the ports of a bridge. */
function showsBridged(bridge: LinkState, packet: Packet): boolean {
  const tables = packet.destination.family === 'ipv4' ? 'iptables' : 'ip6tables';
  if (bridge.kind !== 'bridge') return false;
  return bridge.filterBridged === true || flag(bridge.home, `net/bridge/bridge-nf-call-${tables}`);
}
