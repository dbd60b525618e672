/** MTUs and MACs that links have from each other, and what follows when they change. */
import type { LinkSpec } from '../osl.ts';
import { carrierChanged, loseIpv4, loseIpv6 } from './addresses.ts';
import { DEFAULT_MTU, MIN_IPV4_MTU, MIN_IPV6_MTU } from './limits.ts';
import { forgetNeighbours } from './neighbours.ts';
import { portsOf } from './netns.ts';
import type { LinkState } from './state.ts';
import { fitSysctls } from './sysctls.ts';

/** What a bridge without ports has. */
const NO_MAC = '00:00:00:00:00:00';

/** A link's new MTU: no link on top keeps a larger one, and no family one that is too small for it. */
export function takeMtu(link: LinkState, mtu: number): void {
  if (link.mtu === mtu) return;
  link.mtu = mtu;
  for (const upper of link.uppers) if (upper.mtu > mtu) takeMtu(upper, mtu);
  if (link.master !== undefined) takeFromPorts(link.master);
  if (mtu < MIN_IPV4_MTU) loseIpv4(link);
  fitSysctls(link);
  if (mtu < MIN_IPV6_MTU) loseIpv6(link);
  else carrierChanged(link);
}

/** A link's new MAC: its neighbours are forgotten, and links that share it have it too. */
export function takeMac(link: LinkState, mac: string): void {
  if (link.mac === mac) return;
  link.mac = mac;
  forgetNeighbours(link);
  for (const upper of link.uppers) if (takesMac(upper.spec)) takeMac(upper, mac);
  if (link.master !== undefined) takeFromPorts(link.master);
}

/** Some kinds have the MAC of the link below. */
export function takesMac(spec: LinkSpec | undefined): boolean {
  return spec?.kind === 'ipvlan' || (spec?.kind === 'macvlan' && spec.mode === 'passthru');
}

/** A bridge takes its ports' least MTU and lowest MAC, unless the user chose them. */
export function takeFromPorts(bridge: LinkState): void {
  const ports = portsOf(bridge);
  const mtus = ports.length === 0 ? [DEFAULT_MTU] : ports.map((port) => port.mtu);
  const mac = ports.map((port) => port.mac ?? NO_MAC).sort()[0] ?? NO_MAC;
  if (!bridge.mtuChosen) takeMtu(bridge, Math.min(...mtus));
  if (!bridge.macChosen) takeMac(bridge, mac);
}
