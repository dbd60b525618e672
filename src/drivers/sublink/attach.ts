import type { JoinedAt, JoinRequest } from '../../driverapi/driver.ts';
import type { Mark } from '../../driverapi/mark.ts';
import { LibnetworkError } from '../../errors.ts';
import type { Change, Link } from '../../osl/osl.ts';
import { nameOf, type SublinkConfig } from './config.ts';
import type { Parents } from './parent.ts';

/**
 * Makes an endpoint's link on the parent, born in the sandbox under its final name. What an earlier call that was cut
 * off has left is made anew.
 * @throws CONFLICT when the sandbox has an interface of that name, or the parent is taken by another kind of link;
 * NOT_FOUND when the parent is gone; NOT_IMPLEMENTED where the kernel knows no such link
 */
export async function attach(
  { host, mark }: Parents,
  config: SublinkConfig,
  request: JoinRequest,
): Promise<void> {
  const { namespace, interfaceName } = request;
  const changes = [creation(mark, config, request)];
  try {
    await host.apply(changes);
  } catch (error) {
    const found = await namespace.link(interfaceName);
    if (found === undefined) throw explain(config, error);
    if (!isFor(mark, found, request.endpoint.id)) throw nameTaken(request, error);
    await namespace.deleteLink(interfaceName);
    await host.apply(changes);
  }
}

/** Deletes an endpoint's link, if it is still there. */
export async function detach(
  { mark }: Parents,
  endpointId: string,
  { namespace, interfaceName }: JoinedAt,
): Promise<void> {
  const found = await namespace.link(interfaceName);
  if (found !== undefined && isFor(mark, found, endpointId)) await namespace.deleteLink(interfaceName);
}

function creation(mark: Mark, config: SublinkConfig, request: JoinRequest): Change {
  const { endpoint, namespace, interfaceName } = request;
  return {
    op: 'createLink',
    name: interfaceName,
    link: config.mode.link(config.parent),
    macAddress: endpoint.macAddress,
    mtu: config.mtu,
    namespace,
    group: mark.group,
    alias: mark.stamp(endpoint.id),
  };
}

function isFor(mark: Mark, link: Link, endpointId: string): boolean {
  return mark.ownerOf(link) === endpointId || mark.isHalfMade(link);
}

function nameTaken({ interfaceName, namespace }: JoinRequest, cause: unknown): LibnetworkError {
  return new LibnetworkError(
    'CONFLICT',
    `there is an interface ${interfaceName} in ${namespace.path} already; give the endpoint another interfaceName`,
    { field: 'interfaceName', value: interfaceName, operation: 'join', cause },
  );
}

/** The kernel's refusals, in words that say what to do. */
function explain(config: SublinkConfig, error: unknown): unknown {
  if (!LibnetworkError.is(error)) return error;
  const { parent, mode } = config;
  const facts = { field: 'parent', value: parent, operation: 'join', cause: error };
  const errno = error.errno === undefined ? {} : { errno: error.errno };
  switch (error.errno) {
    case 'ENODEV':
      return new LibnetworkError(
        'NOT_FOUND',
        `the parent ${parent} of ${nameOf(config)} is gone from the host`,
        {
          ...facts,
          ...errno,
        },
      );
    case 'EBUSY':
    case 'EINVAL':
      return new LibnetworkError(
        'CONFLICT',
        `the kernel takes no further link in ${mode.title} on ${parent}: another kind of link is on it, or its only place is taken`,
        { ...facts, ...errno },
      );
    default:
      return error;
  }
}
