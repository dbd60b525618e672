/** Names that one sandbox alone knows (`--link db:postgres`): of the sandbox, and bound to a network. */
import { type Endpoint, type JoinOptions, LibnetworkError, type Network, type Sandbox } from '../index.ts';
import type { ApiContext } from './context.ts';

/** What an endpoint is joined with, and the links that hold as long. */
export interface LinkedJoin extends JoinOptions {
  readonly links: readonly string[];
}

/** Joins and links, or neither. @throws as `Endpoint.join`; INVALID_ARGUMENT for a link of another form, before it joins */
export async function joinLinked(
  context: ApiContext,
  { network, endpoint }: { readonly network: Network; readonly endpoint: Endpoint },
  sandbox: Sandbox,
  { links, ...options }: LinkedJoin,
): Promise<void> {
  for (const link of links) readLink(link);
  await endpoint.join(sandbox, options);
  try {
    await addLinks(context, sandbox, network.name, links);
  } catch (error) {
    await endpoint.leave(sandbox);
    throw error;
  }
}

/** Leaves, and takes the links of the network along. @throws as `Endpoint.leave` */
export async function leaveLinked(
  context: ApiContext,
  { network, endpoint }: { readonly network: Network; readonly endpoint: Endpoint },
  sandbox: Sandbox,
): Promise<void> {
  await endpoint.leave(sandbox);
  await dropLinks(context, sandbox, network.name);
}

/**
 * Adds links to the sandbox's own names. A link is `container:alias`, or a name that stands for both.
 * @throws INVALID_ARGUMENT for another form
 */
export async function addLinks(
  context: ApiContext,
  sandbox: Sandbox,
  network: string,
  links: readonly string[],
): Promise<void> {
  if (links.length === 0) return;
  const added = links.map(readLink).map(({ target, alias }) => [alias, `${target}.${network}`] as const);
  await change(context, sandbox, (aliases) => ({ ...aliases, ...Object.fromEntries(added) }));
}

/** Takes away those that were added for a network. */
export async function dropLinks(context: ApiContext, sandbox: Sandbox, network: string): Promise<void> {
  // Names may have dots: `db.a.b` is of the network `a.b` where there is one, and not of `b`.
  const others = context.controller.networks().filter(({ name }) => name.endsWith(`.${network}`));
  const isOwn = (target: string): boolean =>
    target.endsWith(`.${network}`) && !others.some(({ name }) => target.endsWith(`.${name}`));
  const kept = (aliases: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(aliases).filter(([, target]) => !isOwn(target)));
  const { aliases = {} } = sandbox.settings.dns;
  if (Object.keys(kept(aliases)).length < Object.keys(aliases).length) await change(context, sandbox, kept);
}

/** @throws INVALID_ARGUMENT */
export function readLink(link: string): { readonly target: string; readonly alias: string } {
  const [target = '', alias = target, ...more] = link.split(':');
  if (target !== '' && alias !== '' && more.length === 0) return { target, alias };
  throw new LibnetworkError('INVALID_ARGUMENT', `bad format for links: ${link}`, {
    field: 'Links',
    value: link,
  });
}

async function change(
  { controller }: ApiContext,
  sandbox: Sandbox,
  next: (aliases: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
): Promise<void> {
  if (controller.sandbox(sandbox.id) !== sandbox) return;
  const { dns, ...settings } = sandbox.settings;
  await sandbox.refresh({ ...settings, dns: { ...dns, aliases: next(dns.aliases ?? {}) } });
}
