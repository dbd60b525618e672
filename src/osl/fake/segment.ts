/** Link layer: who answers for an address on the wires, bridges, and tunnels that a link leads to. */
import type { Address } from '../../ip.ts';
import { isSameSocket } from '../checks/vxlan.ts';
import { localAddress } from './local.ts';
import { ANY_MAC } from './neighbours.ts';
import { portsOf } from './netns.ts';
import type { LinkState, NetnsState } from './state.ts';
import { linkSetting } from './sysctls.ts';
import { admit, emit, filtersVlans } from './vlans.ts';

/** Where a frame comes up to the network layer, and what it went by. */
export interface Landing {
  readonly link: LinkState;
  /** Bridges that it crossed from port to port: br_netfilter shows it to their packet filters. */
  readonly bridges: readonly LinkState[];
  readonly via: readonly LinkState[];
}

/** Asks which namespace a tunnel's outer packet comes to. */
export type Underlay = (from: NetnsState, remote: Address, port: number) => NetnsState | undefined;

interface Search {
  readonly nextHop: Address;
  /** The MAC that the sender knows already, by a permanent neighbour. */
  readonly mac: string | undefined;
  readonly underlay: Underlay;
  readonly seen: Set<LinkState>;
}

interface Frame {
  readonly bridges: readonly LinkState[];
  readonly via: readonly LinkState[];
  /** The VLAN that it is tagged with. */
  readonly vlan: number | undefined;
}

/** The first landing, among all that the link leads to, that answers for the next hop. */
export function resolve(from: LinkState, nextHop: Address, underlay: Underlay): Landing | undefined {
  const mac = macOf(from, nextHop);
  const search: Search = { nextHop, mac, underlay, seen: new Set() };
  for (const landing of leave(from, { bridges: [], via: [from], vlan: undefined }, search)) {
    if (landing.link.up && answers(landing.link, search)) return landing;
  }
  return undefined;
}

function macOf(link: LinkState, address: Address): string | undefined {
  return link.home.neighbours.find(
    (n) => n.link === link && n.family === address.family && n.address?.value === address.value,
  )?.mac;
}

/** ARP answers for every address of the namespace unless `arp_ignore` is set; NDP for the link's own only. */
function answers(link: LinkState, { nextHop, mac }: Search): boolean {
  if (mac !== undefined && link.mac !== mac) return false;
  const own = localAddress(link.home, nextHop);
  if (own === undefined) return mac !== undefined && link.kind !== 'ipvlan';
  const strict =
    nextHop.family === 'ipv6' || link.kind === 'ipvlan' || linkSetting(link, 'ipv4', 'arp_ignore') > 0;
  return own.scope !== 'host' && (!strict || ownsOn(link, nextHop));
}

function ownsOn(link: LinkState, address: Address): boolean {
  return link.home.addresses.some(
    (a) => a.link === link && a.address.family === address.family && a.address.value === address.value,
  );
}

/** A frame goes out by a link. */
function* leave(link: LinkState, frame: Frame, search: Search): Generator<Landing> {
  if (!link.up) return;
  switch (link.kind) {
    case 'veth':
      if (link.peer !== undefined) yield* arrive(link.peer, frame, search);
      return;
    case 'bridge':
      yield* cross(link, link, frame, search);
      return;
    case 'macvlan':
    case 'ipvlan':
      yield* leaveUpper(link, frame, search);
      return;
    case 'vlan':
      if (link.parent !== undefined && link.spec?.kind === 'vlan')
        yield* leave(link.parent, { ...through(frame, link.parent), vlan: link.spec.id }, search);
      return;
    case 'vxlan':
      yield* leaveTunnel(link, frame, search);
      return;
    default:
      return;
  }
}

/**
 * A frame crosses a bridge, from a port or from the bridge itself, to the other ports; where the bridge tells VLANs
 * apart, to those of its own.
 */
function* cross(bridge: LinkState, from: LinkState, frame: Frame, search: Search): Generator<Landing> {
  const filters = filtersVlans(bridge);
  const id = filters ? admit(from, frame.vlan) : undefined;
  if (filters && id === undefined) return;
  const shaped = (to: LinkState) => {
    const out = id === undefined ? { tag: frame.vlan } : emit(to, id);
    return out && { ...frame, vlan: out.tag };
  };
  if (from !== bridge) {
    const own = shaped(bridge);
    if (own) yield* ascend(bridge, through(own, bridge), search);
  }
  const bridges = from === bridge ? frame.bridges : [...frame.bridges, bridge];
  for (const port of portsOf(bridge)) {
    const out = port === from && !port.hairpin ? undefined : shaped(port);
    if (out) yield* leave(port, through({ ...out, bridges }, port), search);
  }
}

function through(frame: Frame, link: LinkState): Frame {
  return { ...frame, via: [...frame.via, link] };
}

/** Siblings on the same lower device hear each other in bridge mode; the lower device itself does not hear them. */
function* leaveUpper(link: LinkState, frame: Frame, search: Search): Generator<Landing> {
  const { parent } = link;
  if (parent === undefined) return;
  if (joinsSiblings(link)) {
    for (const sibling of parent.uppers)
      if (sibling !== link && sibling.kind === link.kind && joinsSiblings(sibling))
        yield { link: sibling, bridges: frame.bridges, via: [...frame.via, sibling] };
  }
  yield* leave(parent, through(frame, parent), search);
}

function joinsSiblings({ spec }: LinkState): boolean {
  if (spec?.kind === 'macvlan') return spec.mode === 'bridge';
  return spec?.kind === 'ipvlan' && (spec.flag ?? 'bridge') === 'bridge';
}

/** By its forwarding table: to the remote of the MAC that is asked for, or to all that get what nobody knows. */
function* leaveTunnel(link: LinkState, frame: Frame, search: Search): Generator<Landing> {
  if (link.spec?.kind !== 'vxlan') return;
  const { spec } = link;
  const mac = search.mac ?? macOf(link, search.nextHop);
  const table = link.home.neighbours.filter((n) => n.link === link && n.family === 'bridge');
  const known = table.filter((n) => n.mac === mac);
  for (const { address } of known.length > 0 ? known : table.filter((n) => n.mac === ANY_MAC)) {
    const far = address === undefined ? undefined : search.underlay(link.origin, address, spec.port);
    if (far === undefined) continue;
    const end = [...far.tunnels].find(
      (l) => l.spec?.kind === 'vxlan' && l.spec.id === spec.id && isSameSocket(l.spec, spec),
    );
    if (end !== undefined) yield* arrive(end, frame, search);
  }
}

/** A frame comes in by a link. */
function* arrive(link: LinkState, before: Frame, search: Search): Generator<Landing> {
  if (!link.up || search.seen.has(link)) return;
  search.seen.add(link);
  const frame = through(before, link);
  const bridge = link.master;
  if (bridge === undefined) {
    yield* ascend(link, frame, search);
    return;
  }
  if (bridge.up) yield* cross(bridge, link, frame, search);
}

/** A frame that no bridge took is for the link itself, or for what lies on top of it. */
function* ascend(link: LinkState, frame: Frame, search: Search): Generator<Landing> {
  if (frame.vlan === undefined) yield { link, bridges: frame.bridges, via: frame.via };
  for (const upper of link.uppers) {
    if (upper.spec?.kind === 'vlan') {
      if (upper.spec.id === frame.vlan) yield* arrive(upper, { ...frame, vlan: undefined }, search);
    } else if (frame.vlan === undefined) {
      yield { link: upper, bridges: frame.bridges, via: [...frame.via, upper] };
    }
  }
}
