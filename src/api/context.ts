import type { FastifyReply } from 'fastify';
import type { Endpoint, Logger, Network, NetworkController, Sandbox } from '../index.ts';
import { LibnetworkError } from '../index.ts';
import type { Journal } from './journal.ts';
import type { ApiLimits } from './limits.ts';
import type { Metrics } from './metrics.ts';
import type { Streams } from './streams.ts';

/** What the routes work with. */
export interface ApiContext {
  readonly controller: NetworkController;
  readonly journal: Journal;
  readonly streams: Streams;
  readonly metrics: Metrics;
  readonly limits: ApiLimits;
  readonly logger: Logger;
  readonly about: About;
}

/** What the daemon says of itself. */
export interface About {
  /** This package's version. */
  readonly version: string;
  readonly kernel: 'linux' | 'fake';
  readonly startedAt: Date;
}

/** Fires when the client hangs up before its answer: what was begun for it is undone. */
export function signalOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(new Error('the client has hung up'));
  });
  return gone.signal;
}

/** By id or name, or by the start of its id. @throws NOT_FOUND; INVALID_ARGUMENT where several begin so */
export function networkOf({ controller }: ApiContext, idOrName: string): Network {
  return (
    controller.network(idOrName) ??
    byPrefix(controller.networks(), idOrName, 'network') ??
    absent('network', idOrName)
  );
}

/** By id or container id, or by the start of its id. @throws NOT_FOUND; INVALID_ARGUMENT where several begin so */
export function sandboxOf({ controller }: ApiContext, idOrContainer: string): Sandbox {
  return (
    controller.sandbox(idOrContainer) ??
    byPrefix(controller.sandboxes(), idOrContainer, 'sandbox') ??
    absent('sandbox', idOrContainer)
  );
}

/** By id or name, or by the start of its id. @throws NOT_FOUND; INVALID_ARGUMENT where several begin so */
export function endpointOf(network: Network, idOrName: string): Endpoint {
  return (
    network.endpoint(idOrName) ??
    byPrefix(network.endpoints(), idOrName, 'endpoint') ??
    absent(`endpoint in network ${network.name}`, idOrName)
  );
}

function byPrefix<T extends { readonly id: string }>(
  all: readonly T[],
  prefix: string,
  what: string,
): T | undefined {
  if (!/^[0-9a-f]{1,64}$/.test(prefix)) return undefined;
  const [found, ...more] = all.filter(({ id }) => id.startsWith(prefix));
  if (more.length === 0) return found;
  throw new LibnetworkError(
    'INVALID_ARGUMENT',
    `${what} ${prefix} is ambiguous (${more.length + 1} matches found based on ID prefix)`,
    { field: what, value: prefix },
  );
}

function absent(what: string, name: string): never {
  throw new LibnetworkError('NOT_FOUND', `no such ${what}: ${name}`, { field: what, value: name });
}
