import type { DriverEndpoint, DriverNetwork, DriverPool } from '../../driverapi/driver.ts';
import { invalid } from '../../errors.ts';
import type { NetworkId } from '../../ids.ts';
import { FAMILIES, type Family, formatPrefix, parseCidr, parsePrefix } from '../../ip.ts';
import { integerOption, labels, textOption } from '../../labels.ts';
import type { SublinkKind, SublinkMode } from './kind.ts';

/** A network on a parent interface, parsed once from what the core and the user gave. */
export interface SublinkConfig {
  readonly id: NetworkId;
  readonly name: string;
  readonly parent: string;
  /** How the parent is made where the host has none of that name; `undefined`: it can't be. */
  readonly making: Making | undefined;
  /** Its containers have no way out by it. */
  readonly internal: boolean;
  /** Default: the parent's. */
  readonly mtu: number | undefined;
  readonly mode: SublinkMode;
  readonly ipv4: readonly DriverPool[];
  readonly ipv6: readonly DriverPool[];
}

/** `dummy`: nothing is behind it; `vlan`: the frames of `base` with the tag `id` (IEEE 802.1Q). */
export type Making =
  | { readonly kind: 'dummy' }
  | { readonly kind: 'vlan'; readonly base: string; readonly id: number };

const PARENT = 'parent';
const MAX_VLAN = 4094;

/**
 * Parses a network's options. Its parent may not exist.
 * @throws INVALID_ARGUMENT naming the option
 */
export function parseConfig(kind: SublinkKind, network: DriverNetwork): SublinkConfig {
  const { id, name, options } = network;
  const given = textOption(options, PARENT);
  const parent = given ?? `${kind.dummyPrefix}${id.slice(0, 12)}`;
  checkParentName(kind, parent);
  return {
    id,
    name,
    parent,
    making: given === undefined ? { kind: 'dummy' } : parseVlanName(parent),
    internal: network.internal || given === undefined,
    mtu: integerOption(options, labels.driver.mtu, { min: 0, max: 65_535 }) || undefined,
    mode: kind.parseMode(options),
    ipv4: network.ipv4,
    ipv6: network.ipv6,
  };
}

/** An IPAM that gives no addresses has one pool that holds everything. @throws INVALID_ARGUMENT */
export function checkPools(network: DriverNetwork): void {
  for (const family of FAMILIES) {
    const empty = network[family].find(({ subnet }) => parsePrefix(subnet)?.length === 0);
    if (empty === undefined) continue;
    throw invalid(
      'ipam.pools.subnet',
      empty.subnet,
      `the ${family} pool is empty: switch ${family} off, or give a subnet`,
    );
  }
}

/** The parent's name as the options give it; not checked. */
export function parentNameOf(kind: SublinkKind, { id, options }: DriverNetwork): string {
  const given = options[PARENT];
  return given === undefined || given === '' ? `${kind.dummyPrefix}${id.slice(0, 12)}` : String(given);
}

function checkParentName(kind: SublinkKind, parent: string): void {
  if (!/^[A-Za-z0-9_.@+:-]{1,15}$/.test(parent) || /^[-.]/.test(parent))
    throw invalid(PARENT, parent, 'must be the name of an interface: 1 to 15 letters, digits and _.@+:-');
  if (parent === 'lo') throw invalid(PARENT, parent, `the loopback interface can't be a ${kind.name} parent`);
}

/** `eth0.10` is VLAN 10 of `eth0`; `undefined` for a name of another form. @throws INVALID_ARGUMENT for a bad number */
function parseVlanName(parent: string): Making | undefined {
  const match = /^([^.]+)\.(\d+)$/.exec(parent);
  if (match === null) return undefined;
  const [, base = '', digits] = match;
  const id = Number(digits);
  if (id < 1 || id > MAX_VLAN) throw invalid(PARENT, parent, `the VLAN id must be 1 to ${MAX_VLAN}`);
  return { kind: 'vlan', base, id };
}

/** The next hop of an endpoint's default route; none where its network has none, or is internal. */
export function gatewayFor(
  config: SublinkConfig,
  endpoint: DriverEndpoint,
  family: Family,
): string | undefined {
  const own = endpoint[family];
  if (own === undefined || config.internal) return undefined;
  if (config.mode.onLink) return family === 'ipv4' ? '0.0.0.0' : '::';
  const subnet = subnetOf(own);
  const pool = config[family].find((each) => canonical(each.subnet) === subnet);
  if (pool === undefined)
    throw invalid(`endpoint.${family}`, own, `is in no ${family} subnet of network ${config.name}`);
  return pool.gateway?.split('/')[0];
}

function subnetOf(cidr: string): string | undefined {
  const parsed = parseCidr(cidr);
  return parsed && formatPrefix(parsed.prefix);
}

function canonical(subnet: string): string | undefined {
  const parsed = parsePrefix(subnet);
  return parsed && formatPrefix(parsed);
}

/** A network for people. */
export function nameOf({ name, id }: SublinkConfig): string {
  return `network ${name} (${id.slice(0, 12)})`;
}
