/**
 * Docker's links: in a network whose containers may not talk to each other, one may reach the exposed ports of those
 * that it names. Everywhere else there is nothing to allow. Pure.
 */
import type { DriverEndpoint } from '../../driverapi/driver.ts';
import { invalid } from '../../errors.ts';
import type { EndpointId } from '../../ids.ts';
import { FAMILIES } from '../../ip.ts';
import { labels, textOption } from '../../labels.ts';
import type { FirewallChange, LinkedPort, LinkIntent } from '../../osl/firewall/firewall.ts';
import type { BridgeConfig } from './config.ts';
import { addressOf } from './intents.ts';

/** What an endpoint can be called. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/** The endpoints of a network that are joined. */
export type Joined = ReadonlyMap<EndpointId, DriverEndpoint>;

/** The names that an endpoint is linked to. @throws INVALID_ARGUMENT */
export function linksOf({ options }: DriverEndpoint): readonly string[] {
  const key = labels.endpoint.links;
  const text = textOption(options, key) ?? '';
  const names = text === '' ? [] : text.split(',');
  if (names.some((name) => !NAME.test(name)))
    throw invalid(key, text, 'must be names of endpoints with commas between them');
  return [...new Set(names)];
}

/** What may pass for the links of a network's endpoints. */
export function linkIntents(config: BridgeConfig, joined: Joined): LinkIntent[] {
  if (config.icc) return [];
  return [...joined.values()].flatMap((each) => linkIntent(config, each, joined) ?? []);
}

/** What the coming or going of an endpoint changes: its own links, and those of others to it. */
export function linkChanges(
  config: BridgeConfig,
  endpoint: DriverEndpoint,
  joined: Joined,
): FirewallChange[] {
  if (config.icc) return [];
  const others = [...joined.values()].filter(
    (each) => each.id !== endpoint.id && linksOf(each).includes(endpoint.name),
  );
  const concerned = linksOf(endpoint).length > 0 ? [endpoint, ...others] : others;
  return concerned.map((each): FirewallChange => {
    const intent = joined.has(each.id) ? linkIntent(config, each, joined) : undefined;
    return intent === undefined ? { remove: { kind: 'link', id: each.id } } : { set: intent };
  });
}

/** What turns the links of one configuration into those of another. */
export function relinked(before: BridgeConfig, after: BridgeConfig, joined: Joined): FirewallChange[] {
  const wanted = linkIntents(after, joined);
  const stays = new Set(wanted.map(({ id }) => id));
  return [
    ...linkIntents(before, joined).flatMap(({ kind, id }) =>
      stays.has(id) ? [] : [{ remove: { kind, id } }],
    ),
    ...wanted.map((set) => ({ set })),
  ];
}

function linkIntent(config: BridgeConfig, endpoint: DriverEndpoint, joined: Joined): LinkIntent | undefined {
  const names = linksOf(endpoint);
  if (names.length === 0) return undefined;
  const targets = [...joined.values()].filter(({ id, name }) => id !== endpoint.id && names.includes(name));
  const ports = targets.flatMap((target) => linkedPorts(endpoint, target));
  if (ports.length === 0) return undefined;
  return { kind: 'link', id: endpoint.id, network: config.id, bridge: config.bridge, ports };
}

function linkedPorts(from: DriverEndpoint, to: DriverEndpoint): LinkedPort[] {
  const published = to.ports.map(({ protocol, container }) => ({ protocol, port: container }));
  return FAMILIES.flatMap((family) => {
    const [source, address] = [addressOf(from, family), addressOf(to, family)];
    if (source === undefined || address === undefined) return [];
    return [...(to.exposedPorts ?? []), ...published].map(({ protocol, port }) => ({
      source,
      address,
      protocol,
      port,
    }));
  });
}
