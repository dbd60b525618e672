/** Networks that only hold settings (`configOnly`), and networks that take theirs from one (`configFrom`). */
import type { Core } from './core.ts';
import type { Scope } from './driverapi/driver.ts';
import { invalid, LibnetworkError } from './errors.ts';
import type { NetworkEntry } from './network.ts';
import type { Parsed } from './options.ts';
import type { NetworkRecord } from './records.ts';

type ParsedNetwork = Parsed<'network'>;

/**
 * What a network is to be made with: its own settings, or those of the network that it names.
 * @throws FORBIDDEN for settings that don't go together; NOT_FOUND when there is no such configuration
 */
export function withConfig(core: Core, parsed: ParsedNetwork): ParsedNetwork {
  if (parsed.configOnly) checkConfigOnly(parsed);
  if (parsed.configFrom === undefined || parsed.configOnly) return parsed;
  checkConfigFrom(parsed);
  const config = core.networksByName.get(parsed.configFrom)?.record;
  if (config?.configOnly !== true || config.state !== 'ready') {
    throw new LibnetworkError(
      'NOT_FOUND',
      `configuration network ${JSON.stringify(parsed.configFrom)} does not exist`,
      { field: 'configFrom', value: parsed.configFrom },
    );
  }
  const { ipv4, ipv6, labels, options, ipam } = config;
  const { driver, options: ipamOptions, requested } = ipam;
  return {
    ...parsed,
    ipv4,
    ipv6,
    labels,
    options,
    ipam: { driver, options: ipamOptions, pools: [...requested] },
  };
}

function checkConfigOnly(parsed: ParsedNetwork): void {
  if (parsed.configFrom !== undefined)
    throw refused(
      'configFrom',
      parsed.configFrom,
      'a configuration network cannot depend on another configuration network',
    );
  for (const field of ['ingress', 'internal', 'attachable', 'scope'] as const) {
    if (!parsed[field]) continue;
    throw refused(
      field,
      parsed[field],
      'configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.',
    );
  }
}

function checkConfigFrom({ ipam, ipv4, ipv6, labels, options }: ParsedNetwork): void {
  const why =
    'user-specified configurations are not supported if the network depends on a configuration network';
  if (ipam.driver !== 'default') throw refused('ipam.driver', ipam.driver, why);
  if (!ipv4) throw refused('ipv4', ipv4, why);
  if (ipv6) throw refused('ipv6', ipv6, why);
  if (Object.keys(labels).length > 0) throw refused('labels', labels, why);
  if (Object.keys(ipam.options).length > 0) throw refused('ipam.options', ipam.options, why);
  if (ipam.pools.length > 0) throw refused('ipam.pools', ipam.pools, why);
  if (Object.keys(options).length > 0)
    throw refused(
      'options',
      options,
      'network driver options are not supported if the network depends on a configuration network',
    );
}

/** @throws FORBIDDEN while another network was made from this one's settings */
export function checkUnused(core: Core, { configOnly, name }: NetworkRecord): void {
  if (!configOnly) return;
  const users = [...core.networks.values()].filter(({ record }) => record.configFrom === name).map(nameOf);
  if (users.length === 0) return;
  throw new LibnetworkError('FORBIDDEN', `configuration network ${JSON.stringify(name)} is in use`, {
    holder: users.join(', '),
  });
}

function nameOf({ record }: NetworkEntry): string {
  return `network ${record.name}`;
}

function refused(field: string, value: unknown, why: string): LibnetworkError {
  return new LibnetworkError('FORBIDDEN', `${field}: ${why}`, { field, value });
}

/** The flags must fit where the driver's networks live. @throws INVALID_ARGUMENT, FORBIDDEN */
export function checkScope({ scope, ingress, persist, driver }: ParsedNetwork, dataScope: Scope): void {
  if (persist === false && dataScope === 'global')
    throw invalid('persist', persist, 'a network of global scope is in the store that hosts share');
  if (scope !== undefined && scope !== dataScope)
    throw new LibnetworkError(
      'FORBIDDEN',
      scope === 'local'
        ? `cannot downgrade network scope for ${driver} networks`
        : `the driver ${driver} makes networks of local scope only`,
      { field: 'scope', value: scope },
    );
  if (ingress && dataScope !== 'global')
    throw new LibnetworkError('FORBIDDEN', 'an ingress network must be of global scope', {
      field: 'ingress',
      value: ingress,
    });
}
