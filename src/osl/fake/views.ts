/** The kernel's data as the osl contract shows it: frozen copies. */
import { formatAddress, formatPrefix } from '../../ip.ts';
import type { Link, LinkAddress, Neighbour, Route } from '../osl.ts';
import { isRunning } from './netns.ts';
import type { AddressState, LinkState, NeighbourState, RouteState } from './state.ts';

export function viewLink(link: LinkState): Link {
  return Object.freeze({
    index: link.index,
    name: link.name,
    kind: link.kind,
    up: link.up,
    running: isRunning(link),
    mtu: link.mtu,
    macAddress: link.mac,
    alias: link.alias,
    master: link.master?.name,
    peerIndex: (link.peer ?? link.parent)?.index,
    id: link.spec?.kind === 'vlan' || link.spec?.kind === 'vxlan' ? link.spec.id : undefined,
    group: link.group,
    statistics: Object.freeze({ ...link.statistics }),
  });
}

export function viewAddress(entry: AddressState): LinkAddress {
  return Object.freeze({
    link: entry.link.name,
    family: entry.address.family,
    address: `${formatAddress(entry.address)}/${entry.prefix.length}`,
    scope: entry.scope,
  });
}

/** A table of a thousand routes is read again and again, and of a route only its link's name ever changes. */
const routes = new WeakMap<RouteState, Route>();

export function viewRoute(route: RouteState): Route {
  const known = routes.get(route);
  if (known?.link === route.link.name) return known;
  const view = Object.freeze({
    family: route.family,
    destination: route.prefix.length === 0 ? 'default' : formatPrefix(route.prefix),
    gateway: route.gateway === undefined ? undefined : formatAddress(route.gateway),
    link: route.link.name,
    scope: route.scope,
    metric: route.metric,
  });
  routes.set(route, view);
  return view;
}

export function viewNeighbour(entry: NeighbourState): Neighbour {
  return Object.freeze({
    link: entry.link.name,
    family: entry.family,
    address: entry.address === undefined ? undefined : formatAddress(entry.address),
    macAddress: entry.mac,
    permanent: true,
  });
}
