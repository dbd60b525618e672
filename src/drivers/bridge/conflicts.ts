import { LibnetworkError } from '../../errors.ts';
import { FAMILIES, formatPrefix, overlaps } from '../../ip.ts';
import { type BridgeConfig, nameOf } from './config.ts';

/** @throws CONFLICT naming both networks, when one has the same bridge or an overlapping subnet */
export function checkConflicts(config: BridgeConfig, others: Iterable<BridgeConfig>): void {
  for (const other of others) {
    if (other.id === config.id) continue;
    if (other.bridge === config.bridge)
      throw conflict(config, other, `both have the bridge ${config.bridge}`, config.bridge);
    for (const family of FAMILIES) {
      const [mine, theirs] = [config[family]?.subnet, other[family]?.subnet];
      if (mine === undefined || theirs === undefined || !overlaps(mine, theirs)) continue;
      const [a, b] = [formatPrefix(mine), formatPrefix(theirs)];
      throw conflict(config, other, `the ${family} subnets ${a} and ${b} overlap`, a);
    }
  }
}

function conflict(config: BridgeConfig, other: BridgeConfig, why: string, value: string): LibnetworkError {
  const holder = nameOf(other);
  return new LibnetworkError('CONFLICT', `network ${config.name} conflicts with ${holder}: ${why}`, {
    holder,
    value,
  });
}
