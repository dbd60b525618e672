/** Bridges and their ports: joining, leaving, and what a bridge takes from its ports. */
import { takeFromPorts } from './inherit.ts';
import { hasCarrier, portsOf } from './netns.ts';
import { Refusal } from './refusal.ts';
import type { LinkState } from './state.ts';

/** Port numbers 1 to 1023: number 0 is reserved (br_private.h, BR_MAX_PORTS 1024). */
export const MAX_BRIDGE_PORTS = 1023;

/** Makes `link` a port of `bridge`, leaving the one it was in. @throws Refusal EOPNOTSUPP, ELOOP, EINVAL, EXFULL */
export function joinBridge(link: LinkState, bridge: LinkState): void {
  if (link.master === bridge) return;
  if (link.master !== undefined) leaveBridge(link);
  if (bridge.kind !== 'bridge') throw new Refusal('EOPNOTSUPP');
  if (link === bridge || link.kind === 'bridge')
    throw new Refusal('ELOOP', 'Can not enslave a bridge to a bridge');
  if (link.kind === 'loopback') throw new Refusal('EINVAL');
  if (isAbove(link, bridge)) throw new Refusal('EBUSY', 'the bridge is below this link');
  if (hasUppers(link)) throw new Refusal('EBUSY', 'Device has an upper device of another kind');
  if (portsOf(bridge).length >= MAX_BRIDGE_PORTS)
    throw new Refusal('EXFULL', 'Bridge has no free port number');
  link.master = bridge;
  takeFromPorts(bridge);
  refreshBridge(bridge);
}

/** True when a link lies on another, by whatever is between. */
function isAbove(link: LinkState, other: LinkState): boolean {
  const tunnels = [...other.home.tunnels].filter((tunnel) => tunnel.lower === other);
  const above = [...other.uppers, ...tunnels, ...(other.master === undefined ? [] : [other.master])];
  return above.some((upper) => upper === link || isAbove(link, upper));
}

/** A bridge has a carrier while one of its ports has. */
export function refreshBridge(bridge: LinkState): void {
  bridge.carrier = portsOf(bridge).some((port) => port.up && hasCarrier(port));
}

/** A macvlan or ipvlan on top has taken the one receive handler that a port needs too. */
function hasUppers(link: LinkState): boolean {
  return [...link.uppers].some((upper) => upper.kind === 'macvlan' || upper.kind === 'ipvlan');
}

export function leaveBridge(link: LinkState): void {
  const bridge = link.master;
  if (bridge === undefined) return;
  link.master = undefined;
  link.hairpin = false;
  link.vlans = undefined;
  bridge.home.neighbours = bridge.home.neighbours.filter(
    (n) => !(n.family === 'bridge' && n.link === link && !n.own),
  );
  takeFromPorts(bridge);
  refreshBridge(bridge);
}
