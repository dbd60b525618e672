import type { DriverFactory } from '../../driverapi/driver.ts';
import { newMacAddress } from '../../ids.ts';
import { choiceOption } from '../../labels.ts';
import { SublinkDriver } from '../sublink/driver.ts';
import type { SublinkKind } from '../sublink/kind.ts';

const MODES = ['bridge', 'private', 'vepa', 'passthru'] as const;

/**
 * The `macvlan` driver: each endpoint is on the parent's network with a MAC address of its own. Options, as Docker's:
 * `parent` (default: a dummy link, with nothing behind it; `eth0.10` makes VLAN 10 of `eth0` where it is not there) and
 * `macvlan_mode`: `bridge` (default), `private`, `vepa`, `passthru` (one endpoint alone on the parent).
 */
export const macvlanDriver: DriverFactory = (host) => new SublinkDriver(macvlan, host);

const macvlan: SublinkKind = {
  name: 'macvlan',
  dummyPrefix: 'dm-',
  parseMode(options) {
    const mode = choiceOption(options, 'macvlan_mode', MODES) ?? 'bridge';
    return {
      title: `mode ${mode}`,
      alone: mode === 'passthru',
      onLink: false,
      link: (parent) => ({ kind: 'macvlan', parent, mode }),
    };
  },
  decideMac: ({ macAddress }) => (macAddress === undefined ? newMacAddress() : undefined),
};
