import type { DriverEndpoint, DriverReport, DriverState, PortBinding } from '../../driverapi/driver.ts';
import { vethName } from '../../ids.ts';
import type { Firewall, Intent } from '../../osl/firewall/firewall.ts';
import type { Link } from '../../osl/osl.ts';
import { showBridged } from './bridged.ts';
import { type BridgeConfig, bridgeNameOf } from './config.ts';
import { type Devices, ensureBridge, isOurs } from './device.ts';
import { ensureForwarding } from './forwarding.ts';
import { endpointIntent, networkIntent } from './intents.ts';
import { ifbName, lackingLimit, setLimits } from './limits.ts';
import { linkIntents } from './links.ts';
import type { Policies } from './policies.ts';
import { type Ports, same, showBinding } from './ports.ts';

export interface Parts {
  readonly devices: Devices;
  readonly firewall: Firewall;
  readonly ports: Ports;
  readonly policies: Policies;
}

interface Work {
  readonly dryRun: boolean;
  readonly missing: string[];
  readonly orphaned: string[];
}

/** Compares bridges, veths, held ports and rules with the records; repairs what it can, unless `dryRun`. */
export async function reconcileBridges(
  parts: Parts,
  networks: readonly BridgeConfig[],
  state: DriverState,
  { dryRun = false, signal }: { readonly dryRun?: boolean; readonly signal?: AbortSignal | undefined },
): Promise<DriverReport> {
  const work: Work = { dryRun, missing: [], orphaned: [] };
  const links = new Map((await parts.devices.host.links()).map((link) => [link.name, link]));
  for (const config of networks) await repairBridge(parts.devices, config, links.get(config.bridge), work);
  const configs = new Map(networks.map((config) => [config.id, config]));
  for (const { network, endpoint, joined } of state.endpoints) {
    const config = configs.get(network.id);
    if (!joined || config === undefined) continue;
    await repairVeth(parts.devices, config, endpoint, links, work);
    await repairLimits(parts.devices, config, endpoint, links, work);
  }
  await removeOrphans(parts.devices, state, links, work);
  const intents = await expectedIntents(parts, configs, state, work);
  const { missing, orphaned } = await parts.firewall.sync(intents, { dryRun, signal });
  return { missing: [...work.missing, ...missing], orphaned: [...work.orphaned, ...orphaned] };
}

async function repairBridge(
  devices: Devices,
  config: BridgeConfig,
  link: Link | undefined,
  { dryRun, missing }: Work,
): Promise<void> {
  const lacks = await whatLacks(devices, config, link);
  if (lacks !== undefined) missing.push(`bridge ${config.bridge} of network ${config.name}: ${lacks}`);
  if (dryRun) return;
  await ensureForwarding(devices.host, devices.logger, config);
  if (lacks === undefined) {
    const shown = showBridged(devices, config);
    if (link !== undefined && isOurs(devices, config, link) && shown.length > 0)
      await devices.host.apply(shown);
    return;
  }
  // A bridge that was ours and is not any more, or one that was made by hand and is broken: somebody must look.
  if (link !== undefined && !isOurs(devices, config, link)) devices.logger.warn(missing.at(-1) ?? '');
  else await ensureBridge(devices, config);
}

async function whatLacks(
  devices: Devices,
  config: BridgeConfig,
  link: Link | undefined,
): Promise<string | undefined> {
  if (link === undefined) return 'it is gone';
  if (link.kind !== 'bridge') return `a ${link.kind} link has its name`;
  if (!link.up) return 'it is down';
  if (devices.mark.isHalfMade(link)) return 'it has no stamp';
  const has = (await devices.host.addresses(link.name)).map(({ address }) => address);
  const lost = [config.ipv4?.address, config.ipv6?.address].filter(
    (address) => address !== undefined && !has.includes(address),
  );
  return lost.length === 0 ? undefined : `it has lost ${lost.join(' and ')}`;
}

async function repairVeth(
  { host, mark, logger }: Devices,
  config: BridgeConfig,
  endpoint: { readonly id: string; readonly name: string },
  links: ReadonlyMap<string, Link>,
  { dryRun, missing }: Work,
): Promise<void> {
  const name = vethName(endpoint.id);
  const veth = links.get(name);
  const what = `veth ${name} of endpoint ${endpoint.name} in network ${config.name}`;
  if (veth === undefined) {
    // Its other end went with it: only a new join can bring back the sandbox's interface.
    missing.push(`${what}: it is gone; leave and join again`);
    return;
  }
  const right = veth.master === config.bridge && veth.up && mark.ownerOf(veth) === endpoint.id;
  if (right) return;
  missing.push(
    `${what}: it is ${veth.up ? '' : 'down, '}${veth.master === undefined ? 'in no bridge' : `in ${veth.master}`}`,
  );
  if (dryRun) return;
  logger.info(`putting ${what} back into ${config.bridge}`);
  await host.apply([
    { op: 'setLink', name, master: config.bridge, up: true, alias: mark.stamp(endpoint.id) },
  ]);
}

async function repairLimits(
  devices: Devices,
  config: BridgeConfig,
  endpoint: DriverEndpoint,
  links: ReadonlyMap<string, Link>,
  { dryRun, missing }: Work,
): Promise<void> {
  if (!links.has(vethName(endpoint.id))) return;
  const lacks = await lackingLimit(devices, endpoint, links);
  if (lacks === undefined) return;
  missing.push(`limits of endpoint ${endpoint.name} in network ${config.name}: ${lacks}`);
  if (!dryRun) await setLimits(devices, endpoint);
}

/** What carries our mark and no record goes. Other drivers' links are of other kinds or other names. */
async function removeOrphans(
  { host, mark, logger }: Devices,
  state: DriverState,
  links: ReadonlyMap<string, Link>,
  { dryRun, orphaned }: Work,
): Promise<void> {
  const networks = new Set<string>(state.networks.map(({ id }) => id));
  const joined = state.endpoints.filter((each) => each.joined).map(({ endpoint }) => endpoint.id);
  const veths = new Set(joined.map(vethName));
  const ifbs = new Set(state.endpoints.filter(isSlowed).map(({ endpoint }) => ifbName(endpoint.id)));
  const names = new Set([...veths, ...ifbs]);
  for (const link of links.values()) {
    const owner = mark.ownerOf(link);
    if (owner === undefined && !mark.isHalfMade(link)) continue;
    const recorded =
      owner === undefined ? isRecorded(link, state, names) : networks.has(owner) || names.has(link.name);
    if (!isOfOurKind(link) || recorded) continue;
    orphaned.push(`${link.kind} ${link.name}`);
    if (dryRun) continue;
    logger.info(`removing ${link.kind} ${link.name}, which no record names`, { owner });
    await host.deleteLink(link.name);
  }
}

/** Other drivers' links have other names. */
function isOfOurKind({ kind, name }: Link): boolean {
  if (kind === 'veth') return /^v[0-9a-f]{11}$/.test(name);
  return kind === 'bridge' || (kind === 'ifb' && /^i[0-9a-f]{11}$/.test(name));
}

function isSlowed({ endpoint, joined }: DriverState['endpoints'][number]): boolean {
  return joined && endpoint.limits?.egress !== undefined;
}

/** A half-made link is known by its name alone. */
function isRecorded(link: Link, state: DriverState, names: ReadonlySet<string>): boolean {
  return names.has(link.name) || state.networks.some((network) => bridgeNameOf(network) === link.name);
}

/** The rules that should hold, once the host ports that they need are held. */
async function expectedIntents(
  { ports, policies }: Parts,
  configs: ReadonlyMap<string, BridgeConfig>,
  state: DriverState,
  work: Work,
): Promise<Intent[]> {
  const intents: Intent[] = [...configs.values()].flatMap((config) => [
    networkIntent(config),
    ...policies.intents(config),
  ]);
  for (const { network, endpoint, joined } of state.endpoints) {
    const config = configs.get(network.id);
    if (config === undefined || !joined) continue;
    comparePorts(ports.bindings(endpoint.id), endpoint, config, work);
    if (!work.dryRun) await ports.follow(config, endpoint);
    const held = ports.bindings(endpoint.id);
    const bindings = endpoint.bindings.filter((each) => includes(held, each));
    const intent = endpointIntent(config, endpoint, bindings);
    if (intent !== undefined) intents.push(intent);
  }
  return [...intents, ...expectedLinks(configs, state)];
}

function expectedLinks(configs: ReadonlyMap<string, BridgeConfig>, state: DriverState): Intent[] {
  return [...configs.values()]
    .filter(({ icc }) => !icc)
    .flatMap((config) => {
      const joined = state.endpoints.filter((each) => each.joined && each.network.id === config.id);
      return linkIntents(config, new Map(joined.map(({ endpoint }) => [endpoint.id, endpoint])));
    });
}

function comparePorts(
  held: readonly PortBinding[],
  endpoint: DriverEndpoint,
  config: BridgeConfig,
  { missing, orphaned }: Work,
): void {
  const tell = (binding: PortBinding) =>
    `host port ${showBinding(binding)} of endpoint ${endpoint.name} in network ${config.name}`;
  missing.push(...endpoint.bindings.filter((each) => !includes(held, each)).map(tell));
  orphaned.push(...held.filter((each) => !includes(endpoint.bindings, each)).map(tell));
}

function includes(bindings: readonly PortBinding[], binding: PortBinding): boolean {
  return bindings.some((each) => same(each, binding));
}
