import { FAMILIES } from '../../ip.ts';
import type { Namespace } from '../../osl/osl.ts';
import type { BridgeConfig } from './config.ts';

/** What the kernel gives a link that nobody told another (ETH_DATA_LEN). */
const DEFAULT_MTU = 1500;

/**
 * A network's config with the MTU of its links. Where no option says it, containers have that of their bridge if it
 * is there, else that of the interface which the host's default route leaves by: a larger one would be cut to pieces
 * or lost on the way out, as on tunnels and in clouds.
 */
export async function withMtu(host: Namespace, config: BridgeConfig): Promise<BridgeConfig> {
  if (config.mtu !== undefined) return config;
  const mtu = (await host.link(config.bridge))?.mtu ?? (await uplinkMtu(host));
  if (mtu === undefined || mtu === DEFAULT_MTU || mtu < 1280) return config;
  return { ...config, mtu: Math.min(mtu, 65_535) };
}

/** The least MTU of the links that the best default routes of both families leave by. */
async function uplinkMtu(host: Namespace): Promise<number | undefined> {
  const mtus: number[] = [];
  const defaults = (await host.routes()).filter(({ destination }) => destination === 'default');
  defaults.sort((a, b) => a.metric - b.metric);
  for (const family of FAMILIES) {
    const best = defaults.find((route) => route.family === family);
    const link = best?.link === undefined ? undefined : await host.link(best.link);
    if (link !== undefined) mtus.push(link.mtu);
  }
  return mtus.length === 0 ? undefined : Math.min(...mtus);
}
