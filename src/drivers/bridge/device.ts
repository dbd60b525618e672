import type { Logger } from '../../driverapi/driver.ts';
import type { Mark } from '../../driverapi/mark.ts';
import { LibnetworkError } from '../../errors.ts';
import { newMacAddress } from '../../ids.ts';
import { FAMILIES } from '../../ip.ts';
import { labels } from '../../labels.ts';
import type { FirewallEngine } from '../../osl/firewall/firewall.ts';
import type { Change, Link, Namespace } from '../../osl/osl.ts';
import { checkForeignBridged, showBridged } from './bridged.ts';
import { type BridgeConfig, nameOf } from './config.ts';

/** The host's side of bridges: made, checked, repaired, deleted. */
export interface Devices {
  readonly host: Namespace;
  readonly mark: Mark;
  readonly logger: Logger;
  /** Without an engine nothing is published, and nothing keeps containers from the host's loopback addresses. */
  readonly engine: FirewallEngine;
}

/**
 * Makes the bridge of a network, or finishes one that an earlier call left half made. A bridge that somebody else
 * made is taken as it is: nothing of it is changed.
 * @throws CONFLICT when there is a link of that name that can't be used, saying why and what to do
 */
export async function ensureBridge(devices: Devices, config: BridgeConfig): Promise<void> {
  const { host } = devices;
  const found = await host.link(config.bridge);
  if (found !== undefined && !isOurs(devices, config, found)) return checkAdoptable(devices, config, found);
  if (found === undefined) await create(devices, config);
  await setSysctls(devices, config);
  const changes = [...(await remaining(devices, config, found)), ...showBridged(devices, config)];
  if (changes.length > 0) await host.apply(changes);
}

async function create({ host, mark }: Devices, config: BridgeConfig): Promise<void> {
  if (config.byHand)
    throw new LibnetworkError(
      'FORBIDDEN',
      `the default bridge ${config.bridge} must be made by hand, as it has not the default's name: ip link add ${config.bridge} type bridge`,
      { field: labels.bridge.name, value: config.bridge },
    );
  try {
    await host.apply([creation(config, mark)]);
  } catch (cause) {
    if (!config.vlanFiltering || !LibnetworkError.is(cause, 'NOT_IMPLEMENTED')) throw cause;
    throw new LibnetworkError(
      'NOT_IMPLEMENTED',
      `this kernel's bridges can't tell VLANs apart (${cause.message}): it needs CONFIG_BRIDGE_VLAN_FILTERING; leave ${labels.bridge.vlanFiltering} away`,
      {
        field: labels.bridge.vlanFiltering,
        value: true,
        ...(cause.errno ? { errno: cause.errno } : {}),
        cause,
      },
    );
  }
}

/** Deletes the bridge of a network, if it is one that we made. */
export async function deleteBridge(
  devices: Devices,
  network: { readonly id: string; readonly bridge: string },
): Promise<void> {
  const found = await devices.host.link(network.bridge);
  if (found !== undefined && isOurs(devices, network, found)) await devices.host.deleteLink(network.bridge);
}

/** True for the bridge that was made for this network, finished or not. */
export function isOurs({ mark }: Devices, network: { readonly id: string }, link: Link): boolean {
  return link.kind === 'bridge' && (mark.ownerOf(link) === network.id || mark.isHalfMade(link));
}

/** What a link of the wanted name must be so that the network can have it. @throws CONFLICT */
export async function checkAdoptable(devices: Devices, config: BridgeConfig, link: Link): Promise<void> {
  const { host } = devices;
  const refuse = (why: string, advice: string) =>
    new LibnetworkError('CONFLICT', `${nameOf(config)} can't use ${link.name}: ${why}; ${advice}`, {
      field: labels.bridge.name,
      value: link.name,
      holder: link.alias ?? `link ${link.name}`,
    });
  const otherName = `choose another name by ${labels.bridge.name}`;
  if (link.kind !== 'bridge') throw refuse(`it is no bridge but a ${link.kind} link`, otherName);
  if (link.alias?.startsWith('libnetwork:')) throw refuse(`it belongs to ${link.alias}`, otherName);
  if (!link.up) throw refuse('it is down', `bring it up: ip link set ${link.name} up`);
  await checkForeignBridged(devices, config);
  const has = (await host.addresses(link.name)).map(({ address }) => address);
  for (const family of FAMILIES) {
    const wanted = config[family]?.address;
    if (wanted !== undefined && !has.includes(wanted))
      throw refuse(
        `it has not the gateway's address ${wanted}, but ${has.join(', ') || 'none'}`,
        `give it the address (ip address add ${wanted} dev ${link.name}), or the network a gateway that it has`,
      );
  }
}

function creation(config: BridgeConfig, mark: Mark): Change {
  return {
    op: 'createLink',
    name: config.bridge,
    link: config.vlanFiltering ? { kind: 'bridge', vlanFiltering: true } : { kind: 'bridge' },
    // A MAC of its own: else the bridge takes its lowest port's, and changes it as ports come and go.
    macAddress: newMacAddress(),
    group: mark.group,
    alias: mark.stamp(config.id),
  };
}

/** What a bridge still lacks: for a new one everything, for one that was found what it has not. */
async function remaining(
  { host, mark }: Devices,
  config: BridgeConfig,
  found: Link | undefined,
): Promise<Change[]> {
  const { bridge: name, mtu } = config;
  const has = found === undefined ? [] : (await host.addresses(name)).map(({ address }) => address);
  const changes: Change[] = [];
  if (found !== undefined && mark.isHalfMade(found))
    changes.push({ op: 'setLink', name, alias: mark.stamp(config.id) });
  for (const family of FAMILIES) {
    const address = config[family]?.address;
    if (address !== undefined && !has.includes(address))
      changes.push({ op: 'addAddress', link: name, address, noDad: true });
  }
  const wrongMtu = mtu !== undefined && mtu !== found?.mtu;
  if (!found?.up || wrongMtu) changes.push({ op: 'setLink', name, up: true, ...(wrongMtu ? { mtu } : {}) });
  return changes;
}

/**
 * The bridge is no host's interface in a foreign network: it takes no router advertisements. Without an IPv6
 * subnet it has no IPv6 at all, not even a link-local address. With one, it does not look for duplicates of its
 * link-local address: it could forward nothing to its containers until that was over, one to two seconds after the
 * first of them came. Packets to published 127.0.0.1 leave by it.
 */
async function setSysctls({ host, engine }: Devices, config: BridgeConfig): Promise<void> {
  const { bridge, ipv4, ipv6, internal } = config;
  const ipv6Key = (name: string) => `net/ipv6/conf/${bridge}/${name}`;
  const published = ipv4 !== undefined && !internal && engine !== 'none' && ipv4.mode.startsWith('nat');
  if (published) await host.setSysctl(`net/ipv4/conf/${bridge}/route_localnet`, '1');
  await setIfThere(host, ipv6Key('accept_ra'), '0');
  if (ipv6?.address === undefined) return setIfThere(host, ipv6Key('disable_ipv6'), '1');
  await host.setSysctl(ipv6Key('accept_dad'), '0');
  await host.setSysctl(ipv6Key('disable_ipv6'), '0');
}

/** A kernel without IPv6 has no such keys: then there is nothing to turn off. */
async function setIfThere(host: Namespace, key: string, value: string): Promise<void> {
  try {
    await host.setSysctl(key, value);
  } catch (error) {
    if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
  }
}
