import type { DriverFactory } from '../../driverapi/driver.ts';
import { invalid } from '../../errors.ts';
import { choiceOption } from '../../labels.ts';
import { SublinkDriver } from '../sublink/driver.ts';
import type { SublinkKind } from '../sublink/kind.ts';

const MODES = ['l2', 'l3', 'l3s'] as const;
const FLAGS = ['bridge', 'private', 'vepa'] as const;

/**
 * The `ipvlan` driver: each endpoint is on the parent's network under the parent's MAC address. Options, as Docker's:
 * `parent` (as with macvlan; it serves one network), `ipvlan_mode`: `l2` (default), `l3` and `l3s` (the parent routes:
 * a default route without a next hop), and `ipvlan_flag`: `bridge` (default), `private`, `vepa`.
 */
export const ipvlanDriver: DriverFactory = (host) => new SublinkDriver(ipvlan, host);

const ipvlan: SublinkKind = {
  name: 'ipvlan',
  dummyPrefix: 'di-',
  parseMode(options) {
    const mode = choiceOption(options, 'ipvlan_mode', MODES) ?? 'l2';
    const flag = choiceOption(options, 'ipvlan_flag', FLAGS) ?? 'bridge';
    return {
      title: `mode ${mode}`,
      alone: true,
      onLink: mode !== 'l2',
      link: (parent) => ({ kind: 'ipvlan', parent, mode, flag }),
    };
  },
  decideMac({ macAddress }) {
    if (macAddress !== undefined)
      throw invalid(
        'macAddress',
        macAddress,
        "an ipvlan endpoint has its parent's MAC address: leave it away",
      );
    return undefined;
  },
};
