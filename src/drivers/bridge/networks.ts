import type { DriverEndpoint } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import type { EndpointId, NetworkId } from '../../ids.ts';
import { FAMILIES, type Family, formatPrefix, type Prefix } from '../../ip.ts';
import { PrefixTree } from '../../ipam/prefixtree.ts';
import { type BridgeConfig, nameOf } from './config.ts';

/** A network as the driver knows it, and which of its endpoints are joined. */
export interface BridgeNetwork {
  readonly config: BridgeConfig;
  readonly joined: Map<EndpointId, DriverEndpoint>;
}

/** The networks that the driver knows, and which of them has a bridge or a subnet, however many there are. */
export class Networks {
  readonly #byId = new Map<NetworkId, BridgeNetwork>();
  readonly #byBridge = new Map<string, BridgeConfig>();
  readonly #bySubnet: Readonly<Record<Family, PrefixTree<BridgeConfig>>> = {
    ipv4: new PrefixTree('ipv4'),
    ipv6: new PrefixTree('ipv6'),
  };

  get(id: NetworkId): BridgeNetwork | undefined {
    return this.#byId.get(id);
  }

  /** In place of what is known by that id. Of networks in conflict the first has what both want. */
  set({ config, joined }: BridgeNetwork): void {
    this.delete(config.id);
    this.#byId.set(config.id, { config, joined });
    if (!this.#byBridge.has(config.bridge)) this.#byBridge.set(config.bridge, config);
    for (const [family, subnet] of subnetsOf(config))
      if (this.#bySubnet[family].overlapping(subnet) === undefined)
        this.#bySubnet[family].insert(subnet, config);
  }

  delete(id: NetworkId): void {
    const config = this.#byId.get(id)?.config;
    if (config === undefined) return;
    this.#byId.delete(id);
    if (this.#byBridge.get(config.bridge) === config) this.#byBridge.delete(config.bridge);
    for (const [family, subnet] of subnetsOf(config))
      if (this.#bySubnet[family].get(subnet) === config) this.#bySubnet[family].delete(subnet);
  }

  /** @throws CONFLICT naming both networks, when another one has the same bridge or an overlapping subnet */
  checkConflicts(config: BridgeConfig): void {
    const holder = this.#byBridge.get(config.bridge);
    if (holder !== undefined && holder.id !== config.id)
      throw conflict(config, holder, `both have the bridge ${config.bridge}`, config.bridge);
    for (const [family, subnet] of subnetsOf(config)) {
      const other = this.#bySubnet[family].overlapping(subnet);
      if (other === undefined || other.id === config.id) continue;
      const [mine, theirs] = [subnet, other[family]?.subnet ?? subnet].map(formatPrefix);
      throw conflict(config, other, `the ${family} subnets ${mine} and ${theirs} overlap`, `${mine}`);
    }
  }
}

function subnetsOf(config: BridgeConfig): (readonly [Family, Prefix])[] {
  return FAMILIES.flatMap((family) => {
    const subnet = config[family]?.subnet;
    return subnet === undefined ? [] : [[family, subnet] as const];
  });
}

function conflict(config: BridgeConfig, other: BridgeConfig, why: string, value: string): LibnetworkError {
  const holder = nameOf(other);
  return new LibnetworkError('CONFLICT', `network ${config.name} conflicts with ${holder}: ${why}`, {
    holder,
    value,
  });
}
