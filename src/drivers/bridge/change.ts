/** Which options of a network can be changed while it is in use. Pure. */
import type { DriverOptions } from '../../driverapi/driver.ts';
import { invalid } from '../../errors.ts';
import { FAMILIES, type Family } from '../../ip.ts';
import { integerOption, labels } from '../../labels.ts';
import type { BridgeConfig, FamilyConfig } from './config.ts';

/**
 * Talk between containers, hiding of addresses, the choice between `nat` and `nat-unprotected`, and what is let in
 * directly or by a mark are rules and can be changed, as can the address that later ports are published on. All else is
 * in links, addresses and held ports.
 * @throws INVALID_ARGUMENT naming the option
 */
export function checkChange(before: BridgeConfig, after: BridgeConfig, options: DriverOptions): void {
  refuseUnlessSame(labels.bridge.name, before.bridge, after.bridge);
  const mtu = integerOption(options, labels.driver.mtu, { min: 0, max: 65_535 });
  if (mtu) refuseUnlessSame(labels.driver.mtu, before.mtu, mtu);
  refuseUnlessSame(labels.bridge.vlanFiltering, before.vlanFiltering, after.vlanFiltering);
  for (const family of FAMILIES) {
    const [was, is] = [before[family], after[family]];
    refuseUnlessSame(labels.bridge.inhibitIpv4, was?.address, is?.address);
    checkMode(family, was, is);
  }
}

function checkMode(family: Family, was: FamilyConfig | undefined, is: FamilyConfig | undefined): void {
  if (was?.mode.startsWith('nat') && is?.mode.startsWith('nat')) return;
  refuseUnlessSame(labels.bridge.gatewayMode[family], was?.mode, is?.mode);
}

function refuseUnlessSame(field: string, was: unknown, is: unknown): void {
  if (was === is) return;
  const from = was === undefined ? 'its default' : String(was);
  throw invalid(field, is, `can't be changed from ${from} while the network is there: make a new network`);
}
