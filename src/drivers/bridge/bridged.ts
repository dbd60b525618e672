/** Where rules are about what passes between the ports of one bridge, the kernel must show them that. */
import { LibnetworkError } from '../../errors.ts';
import { FAMILIES } from '../../ip.ts';
import { labels } from '../../labels.ts';
import type { Change } from '../../osl/osl.ts';
import { type BridgeConfig, nameOf } from './config.ts';
import type { Devices } from './device.ts';
import { judgesInside } from './rules.ts';

const KEYS = {
  ipv4: 'net/bridge/bridge-nf-call-iptables',
  ipv6: 'net/bridge/bridge-nf-call-ip6tables',
} as const;

/** True when what passes between the network's own containers is judged. */
function mustBeShown(devices: Devices, config: BridgeConfig): boolean {
  return devices.engine !== 'none' && (!config.icc || judgesInside(config));
}

/**
 * br_netfilter shows bridged packets to the packet filter. Loading it would have it do so for everybody's bridges,
 * so that is left to the user; where it is, our bridges ask for it themselves.
 * @throws NOT_IMPLEMENTED where the kernel has it not
 */
export async function checkBridged(devices: Devices, config: BridgeConfig): Promise<void> {
  if (!mustBeShown(devices, config) || (await devices.host.sysctl(KEYS.ipv4)) !== undefined) return;
  const [field, what] = config.icc
    ? ['policy', 'hold its containers to rules about each other']
    : [labels.bridge.enableIcc, 'keep its containers apart'];
  throw new LibnetworkError(
    'NOT_IMPLEMENTED',
    `${nameOf(config)} can't ${what}: the kernel does not show bridged packets to the packet filter. ` +
      `Load br_netfilter (modprobe br_netfilter), knowing that other bridges' packets are filtered then too, ` +
      `unless net.bridge.bridge-nf-call-iptables and -ip6tables are 0`,
    { field, operation: 'checkBridged' },
  );
}

/** What makes a bridge of ours show its packets. */
export function showBridged(devices: Devices, config: BridgeConfig): Change[] {
  return mustBeShown(devices, config) ? [{ op: 'setLink', name: config.bridge, filterBridged: true }] : [];
}

/** A bridge that the user made is not changed: there it must be so for all bridges. @throws CONFLICT */
export async function checkForeignBridged(devices: Devices, config: BridgeConfig): Promise<void> {
  if (!mustBeShown(devices, config)) return;
  for (const family of FAMILIES) {
    if ((await devices.host.sysctl(KEYS[family])) === '1') continue;
    const key = KEYS[family].replaceAll('/', '.');
    throw new LibnetworkError(
      'CONFLICT',
      `${nameOf(config)} has rules about what its containers send each other, and ${config.bridge}, which is not ours to change, does not show it to them: set ${key} = 1`,
      { field: key, value: config.bridge },
    );
  }
}
