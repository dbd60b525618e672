/** Joining and leaving, which the routes of endpoints and of services have in common. */
import { type Endpoint, LibnetworkError, type Network } from '../../index.ts';
import type { ApiContext } from '../context.ts';
import { joinLinked, leaveLinked } from '../links.ts';
import { sandboxById } from './find.ts';
import type { JoinBody } from './schemas.ts';

/** The key of the sandbox. @throws FORBIDDEN when something is attached */
export async function attach(
  context: ApiContext,
  { network, endpoint }: { readonly network: Network; readonly endpoint: Endpoint },
  body: JoinBody | null | undefined,
  signal: AbortSignal,
): Promise<string> {
  const sandbox = sandboxById(context, body?.sandbox_id ?? '');
  if (endpoint.sandboxId !== undefined)
    throw new LibnetworkError('FORBIDDEN', 'another container is attached to the same network endpoint', {
      holder: `sandbox ${endpoint.sandboxId}`,
    });
  await joinLinked(context, { network, endpoint }, sandbox, { links: body?.aliases ?? [], signal });
  return sandbox.namespacePath;
}

/** @throws FORBIDDEN when it is not attached there */
export async function detach(
  context: ApiContext,
  { network, endpoint }: { readonly network: Network; readonly endpoint: Endpoint },
  sandboxId: string,
): Promise<void> {
  const sandbox = sandboxById(context, sandboxId);
  if (endpoint.sandboxId === undefined)
    throw new LibnetworkError('FORBIDDEN', 'cannot leave endpoint with no attached sandbox');
  await leaveLinked(context, { network, endpoint }, sandbox);
}
