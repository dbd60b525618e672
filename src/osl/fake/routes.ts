/** The main routing table, and the lookup that packets make (fib_semantics.c, net/ipv6/route.c). */
import { type Address, contains, type Family, type Prefix, parseAddress, parsePrefix } from '../../ip.ts';
import type { RouteSpec } from '../osl.ts';
import { takesIpv6 } from './limits.ts';
import { isLinkLocal } from './local.ts';
import { needLink } from './netns.ts';
import { Refusal } from './refusal.ts';
import type { AddressState, LinkState, NetnsState, RouteState, Scope } from './state.ts';
import { linkSetting } from './sysctls.ts';

/** IP6_RT_PRIO_USER and IP6_RT_PRIO_ADDRCONF. */
const USER_METRIC = { ipv4: 0, ipv6: 1024 } as const;
const CONNECTED_METRIC = { ipv4: 0, ipv6: 256 } as const;

/** The route of an address's own prefix, which the kernel adds while the link is up. */
export function addConnectedRoute(entry: AddressState): void {
  const { link, address, prefix } = entry;
  const { family } = address;
  // What a loopback link has by itself needs no route.
  if (link.kind === 'loopback' && entry.scope === 'host') return;
  if (family === 'ipv4' && (prefix.length === 32 || entry.secondary || prefix.value >> 24n === 0n)) return;
  const { home } = link;
  if (home.routes.some((r) => r.connected && r.link === link && same(r.prefix, prefix))) return;
  home.routes.push({
    family,
    prefix,
    gateway: undefined,
    link,
    scope: family === 'ipv4' ? 'link' : 'global',
    metric: CONNECTED_METRIC[family],
    connected: true,
  });
}

export function removeConnectedRoute(entry: AddressState): void {
  const { home } = entry.link;
  home.routes = home.routes.filter(
    (r) => !(r.connected && r.link === entry.link && same(r.prefix, entry.prefix)),
  );
}

/** Drops the routes by a link, of one family or of both. */
export function dropRoutes(link: LinkState, family?: Family): void {
  const { home } = link;
  home.routes = home.routes.filter((r) => r.link !== link || (family !== undefined && r.family !== family));
}

export function addRoute(netns: NetnsState, spec: RouteSpec): void {
  const route = readRoute(netns, spec);
  if (rivals(netns, route).length > 0) throw new Refusal('EEXIST');
  netns.routes.push(route);
}

export function replaceRoute(netns: NetnsState, spec: RouteSpec): void {
  const route = readRoute(netns, spec);
  const [first] = rivals(netns, route);
  if (first === undefined) netns.routes.push(route);
  else netns.routes = netns.routes.map((r) => (r === first ? route : r));
}

/** Deletes the first route that is as told; what is not told may be anything. @throws Refusal ESRCH */
export function deleteRoute(netns: NetnsState, spec: RouteSpec): void {
  const prefix = readDestination(spec);
  const gateway = readGateway(spec);
  const link = spec.link === undefined ? undefined : needLink(netns, spec.link);
  const found = netns.routes.find(
    (r) =>
      r.family === spec.family &&
      same(r.prefix, prefix) &&
      (!spec.metric || r.metric === spec.metric) &&
      (spec.scope === undefined || r.family === 'ipv6' || r.scope === spec.scope) &&
      (gateway === undefined || r.gateway?.value === gateway.value) &&
      (link === undefined || r.link === link),
  );
  if (found === undefined) throw new Refusal(isVoid(netns, spec) ? 'ENOENT' : 'ESRCH');
  netns.routes = netns.routes.filter((r) => r !== found);
}

/** Without any IPv6 default route the kernel finds the place where it would be, which is `lo`'s (fib6_null_entry). */
function isVoid(netns: NetnsState, spec: RouteSpec): boolean {
  if (spec.family === 'ipv4' || spec.destination !== 'default' || spec.gateway || spec.metric) return false;
  if (netns.routes.some((r) => r.family === 'ipv6' && r.prefix.length === 0)) return false;
  return spec.link === undefined || needLink(netns, spec.link).kind === 'loopback';
}

/** Routes that a new one may not stand beside: the same prefix and metric. */
function rivals(netns: NetnsState, route: RouteState): readonly RouteState[] {
  return netns.routes.filter(
    (r) => r.family === route.family && same(r.prefix, route.prefix) && r.metric === route.metric,
  );
}

function same(a: Prefix, b: Prefix): boolean {
  return a.family === b.family && a.value === b.value && a.length === b.length;
}

function readRoute(netns: NetnsState, spec: RouteSpec): RouteState {
  const { family } = spec;
  const prefix = readDestination(spec);
  const gateway = readGateway(spec);
  const asked = spec.link === undefined ? undefined : needLink(netns, spec.link);
  const scope: Scope =
    family === 'ipv6' ? 'global' : (spec.scope ?? (gateway === undefined ? 'link' : 'global'));
  const check = family === 'ipv4' ? checkIpv4 : checkIpv6;
  const link = check(netns, gateway, asked, scope);
  return {
    family,
    prefix,
    gateway,
    link,
    scope,
    // IPv6 takes 0 for the usual metric too.
    metric: spec.metric || USER_METRIC[family],
    connected: false,
  };
}

function readDestination(spec: RouteSpec): Prefix {
  if (spec.destination === 'default') return { family: spec.family, value: 0n, length: 0 };
  const prefix = parsePrefix(spec.destination);
  if (prefix?.family !== spec.family)
    throw new Refusal('EINVAL', `not an ${spec.family} prefix: ${spec.destination}`);
  return prefix;
}

function readGateway(spec: RouteSpec): Address | undefined {
  if (spec.gateway === undefined) return undefined;
  const gateway = parseAddress(spec.gateway);
  if (gateway?.family !== spec.family)
    throw new Refusal('EINVAL', `not an ${spec.family} address: ${spec.gateway}`);
  return gateway;
}

/** The link of an IPv4 next hop (fib_check_nh): the gateway must be on a link, or an address of our own. */
function checkIpv4(
  netns: NetnsState,
  gateway: Address | undefined,
  asked: LinkState | undefined,
  scope: Scope,
): LinkState {
  if (gateway === undefined) {
    if (asked === undefined) throw new Refusal('ENODEV');
    if (!asked.up) throw new Refusal('ENETDOWN', 'Device for nexthop is not up');
    return asked;
  }
  const link =
    localLinks(netns, gateway).find((local) => asked === undefined || local === asked) ??
    bestRoute(
      netns,
      gateway,
      (r) => r.scope === 'link' && scope === 'global' && (asked === undefined || r.link === asked),
    )?.link;
  if (link === undefined) throw new Refusal('ENETUNREACH', 'Nexthop has invalid gateway');
  if (!link.up) throw new Refusal('ENETDOWN', 'Nexthop device is not up');
  return link;
}

/** The links that an IPv4 address is local on; on loopback a whole prefix is. */
function localLinks(netns: NetnsState, address: Address): readonly LinkState[] {
  return netns.addresses
    .filter(
      (a) =>
        (a.address.family === 'ipv4' && a.address.value === address.value) ||
        (a.wholePrefix && contains(a.prefix, address)),
    )
    .map((a) => a.link);
}

/** The link of an IPv6 next hop (fib6_nh_init): its gateway must be on a link, and not an address of our own. */
function checkIpv6(netns: NetnsState, gateway: Address | undefined, asked: LinkState | undefined): LinkState {
  if (asked !== undefined && !takesIpv6(asked)) throw new Refusal('ENODEV');
  const link = gateway === undefined ? asked : checkGateway(netns, gateway, asked);
  if (link === undefined) throw new Refusal('ENODEV');
  checkIpv6Link(link);
  return link;
}

function checkGateway(netns: NetnsState, gateway: Address, asked: LinkState | undefined): LinkState {
  if (netns.addresses.some((a) => a.address.family === 'ipv6' && a.address.value === gateway.value))
    throw new Refusal('EINVAL', 'Gateway can not be a local address');
  const link = isLinkLocal(gateway) ? asked : onLink(netns, gateway, asked);
  if (link === undefined) throw new Refusal('EINVAL', 'Egress device not specified');
  if (link.kind === 'loopback')
    throw new Refusal('EINVAL', 'Egress device can not be loopback device for this route');
  return link;
}

/** The link that an IPv6 address is reached by without a gateway. A route by loopback is one to nowhere. */
function onLink(netns: NetnsState, address: Address, asked: LinkState | undefined): LinkState {
  const route = bestRoute(netns, address, (r) => asked === undefined || r.link === asked);
  if (route === undefined || route.gateway !== undefined || route.link.kind === 'loopback')
    throw new Refusal('EHOSTUNREACH');
  return route.link;
}

function checkIpv6Link(link: LinkState): void {
  if (linkSetting(link, 'ipv6', 'disable_ipv6') !== 0)
    throw new Refusal('EACCES', 'IPv6 is disabled on nexthop device');
  if (!link.up) throw new Refusal('ENETDOWN', 'Nexthop device is not up');
}

/** The route of the longest prefix that holds the address; of equal ones the least metric, then the oldest. */
export function bestRoute(
  netns: NetnsState,
  address: Address,
  allowed: (route: RouteState) => boolean = () => true,
): RouteState | undefined {
  let best: RouteState | undefined;
  for (const route of netns.routes) {
    if (!contains(route.prefix, address) || !allowed(route)) continue;
    const better =
      best === undefined ||
      route.prefix.length > best.prefix.length ||
      (route.prefix.length === best.prefix.length && route.metric < best.metric);
    if (better) best = route;
  }
  return best;
}
