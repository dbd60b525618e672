/** The networks that every Docker host has: `bridge`, `host` and `none`. */
import type { Core } from './core.ts';
import { labels } from './labels.ts';
import { createNetwork } from './networkcreation.ts';
import type { NetworkOptions } from './networkoptions.ts';

const PREDEFINED: readonly NetworkOptions[] = [
  {
    name: 'bridge',
    driver: 'bridge',
    options: {
      [labels.bridge.defaultBridge]: 'true',
      [labels.bridge.enableIcc]: 'true',
      [labels.bridge.enableIpMasquerade]: 'true',
      [labels.bridge.hostBinding.ipv4]: '0.0.0.0',
      [labels.bridge.name]: 'docker0',
      [labels.driver.mtu]: '1500',
    },
  },
  { name: 'host', driver: 'host' },
  { name: 'none', driver: 'null' },
];

/** Makes those that are not there; from then on none of them can be deleted. */
export async function ensurePredefined(core: Core): Promise<void> {
  for (const options of PREDEFINED) {
    if (!core.networksByName.has(options.name)) await createNetwork(core, options, undefined);
    core.predefined.add(options.name);
  }
}
