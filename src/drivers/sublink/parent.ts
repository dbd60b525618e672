import type { Mark } from '../../driverapi/mark.ts';
import { LibnetworkError } from '../../errors.ts';
import type { Link, LinkSpec, Namespace } from '../../osl/osl.ts';
import { nameOf, type SublinkConfig } from './config.ts';

/** Where parents are, and how those that we made are known. */
export interface Parents {
  readonly host: Namespace;
  readonly mark: Mark;
}

/**
 * Makes a network's parent interface where the host has none, or finishes one that was left half made. One that
 * somebody else made is taken as it is, up or down.
 * @throws INVALID_ARGUMENT when there is none and its name does not say how to make it; CONFLICT when it belongs to
 * something else of ours; NOT_IMPLEMENTED where the kernel knows no such link
 */
export async function ensureParent(
  parents: Parents,
  config: SublinkConfig,
  known: KnownParents,
): Promise<void> {
  const found = await checkParent(parents, config, known);
  const { host, mark } = parents;
  const { parent: name, making } = config;
  if (found !== undefined) {
    if (making === undefined || !isMade(parents, found)) return;
    if (found.up && !mark.isHalfMade(found)) return;
    return host.apply([
      { op: 'setLink', name, up: true, ...(mark.isHalfMade(found) ? { alias: mark.stamp(config.id) } : {}) },
    ]);
  }
  const link: LinkSpec =
    making?.kind === 'vlan' ? { kind: 'vlan', parent: making.base, id: making.id } : { kind: 'dummy' };
  try {
    await host.apply([
      { op: 'createLink', name, link, up: true, group: mark.group, alias: mark.stamp(config.id) },
    ]);
  } catch (error) {
    throw explain(config, error);
  }
}

/** The ids of this driver's networks on a parent. */
export type KnownParents = (parent: string) => readonly string[];

/** The parent, as it is. @throws as `ensureParent`, before anything is made */
export async function checkParent(
  { host, mark }: Parents,
  config: SublinkConfig,
  known: KnownParents,
): Promise<Link | undefined> {
  const { parent, making } = config;
  const found = await host.link(parent);
  if (found?.kind === 'loopback') throw refuse(config, 'the loopback interface can be no parent');
  const owner = found && mark.ownerOf(found);
  if (owner !== undefined && owner !== config.id && !known(parent).includes(owner))
    throw new LibnetworkError(
      'CONFLICT',
      `${nameOf(config)} can't use ${parent}: it belongs to ${found?.alias}`,
      {
        field: 'parent',
        value: parent,
        holder: found?.alias ?? parent,
      },
    );
  if (found !== undefined) return found;
  if (making === undefined)
    throw refuse(
      config,
      'there is no such interface on the host, and its name is not of the form eth0.10, from which a VLAN could be made',
    );
  if (making.kind === 'vlan' && (await host.link(making.base)) === undefined)
    throw refuse(config, `there is no interface ${making.base} on the host to make VLAN ${making.id} of`);
  return undefined;
}

/**
 * Lets go of a network's parent: one that we made goes with its last network, or is handed to another of them.
 * `others`: the networks that stay on it.
 */
export async function releaseParent(
  { host, mark }: Parents,
  network: { readonly id: string; readonly parent: string },
  others: readonly string[],
): Promise<void> {
  const found = await host.link(network.parent);
  if (found === undefined || !isMade({ host, mark }, found)) return;
  const owner = mark.ownerOf(found);
  if (owner !== undefined && owner !== network.id) return;
  const [heir] = others;
  if (heir === undefined) await host.deleteLink(network.parent);
  else await host.apply([{ op: 'setLink', name: network.parent, alias: mark.stamp(heir) }]);
}

/** True for a parent that we made, finished or not. */
export function isMade({ mark }: Parents, link: Link): boolean {
  if (link.kind !== 'dummy' && link.kind !== 'vlan') return false;
  return mark.ownerOf(link) !== undefined || mark.isHalfMade(link);
}

function refuse(config: SublinkConfig, why: string): LibnetworkError {
  return new LibnetworkError(
    'INVALID_ARGUMENT',
    `parent: ${nameOf(config)} can't be on ${config.parent}: ${why}`,
    {
      field: 'parent',
      value: config.parent,
    },
  );
}

/** What a kernel that lacks a kind of link says is hard to read. */
function explain(config: SublinkConfig, error: unknown): unknown {
  if (!LibnetworkError.is(error) || (error.code !== 'NOT_IMPLEMENTED' && error.errno !== 'EOPNOTSUPP'))
    return error;
  const { making, parent } = config;
  const module = making?.kind === 'vlan' ? '8021q' : 'dummy';
  return new LibnetworkError(
    'NOT_IMPLEMENTED',
    `this kernel can't make ${parent}: it needs the module ${module}; name an interface of the host as parent instead`,
    { field: 'parent', value: parent, ...(error.errno ? { errno: error.errno } : {}), cause: error },
  );
}
