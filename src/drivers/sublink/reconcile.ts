import type { DriverReport, DriverState, Logger } from '../../driverapi/driver.ts';
import type { Link } from '../../osl/osl.ts';
import { nameOf, type SublinkConfig } from './config.ts';
import type { SublinkKind } from './kind.ts';
import { ensureParent, isMade, type KnownParents, type Parents } from './parent.ts';

export interface ReconcileParts {
  readonly kind: SublinkKind;
  readonly parents: Parents;
  readonly logger: Logger;
  readonly known: KnownParents;
}

/** Compares parents and interfaces with the records; makes parents anew and removes those of no network, unless `dryRun`. */
export async function reconcileSublinks(
  parts: ReconcileParts,
  networks: readonly SublinkConfig[],
  state: DriverState,
  dryRun: boolean,
): Promise<DriverReport> {
  const links = new Map((await parts.parents.host.links()).map((link) => [link.name, link]));
  const missing: string[] = [];
  for (const config of networks) {
    const lacks = whatLacks(parts, config, links.get(config.parent));
    if (lacks === undefined) continue;
    missing.push(`parent ${config.parent} of network ${config.name}: ${lacks}`);
    if (dryRun) continue;
    if (config.making === undefined)
      parts.logger.warn(`${nameOf(config)} has lost its parent ${config.parent}`);
    else await ensureParent(parts.parents, config, parts.known);
  }
  for (const { network, endpoint, joined, at } of state.endpoints) {
    if (!joined || at === undefined || (await at.namespace.link(at.interfaceName)) !== undefined) continue;
    missing.push(
      `interface ${at.interfaceName} of endpoint ${endpoint.name} in network ${network.name}: it is gone; leave and join again`,
    );
  }
  const orphans = [...links.values()].filter((link) => isOrphan(parts, link));
  if (!dryRun) for (const { name } of orphans) await parts.parents.host.deleteLink(name);
  return { missing, orphaned: orphans.map(({ kind, name }) => `${kind} ${name}`) };
}

function whatLacks(
  { parents }: ReconcileParts,
  config: SublinkConfig,
  link: Link | undefined,
): string | undefined {
  if (link === undefined) return 'it is gone';
  if (!isMade(parents, link) || config.making === undefined) return undefined;
  if (parents.mark.isHalfMade(link)) return 'it has no stamp';
  return link.up ? undefined : 'it is down';
}

/** A parent that we made for a network that is not there. A VLAN may be of the other driver: the core knows its id. */
function isOrphan({ kind, parents, known }: ReconcileParts, link: Link): boolean {
  return (
    link.kind === 'dummy' &&
    link.name.startsWith(kind.dummyPrefix) &&
    isMade(parents, link) &&
    known(link.name).length === 0
  );
}
