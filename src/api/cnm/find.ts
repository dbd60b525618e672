/** What the paths of libnetwork's own API name: full ids alone. */
import { type Endpoint, LibnetworkError, type Network, type Sandbox } from '../../index.ts';
import type { ApiContext } from '../context.ts';

function absent(kind: 'Network' | 'Endpoint' | 'Sandbox' | 'Service', value: string): LibnetworkError {
  const message = kind === 'Service' ? 'Service not found' : `Resource not found: ${kind}`;
  return new LibnetworkError('NOT_FOUND', message, { field: kind.toLowerCase(), value });
}

/** @throws NOT_FOUND */
export function networkById({ controller }: ApiContext, id: string): Network {
  const network = controller.network(id);
  if (network?.id === id) return network;
  throw absent('Network', id);
}

/** @throws NOT_FOUND */
export function endpointById(context: ApiContext, networkId: string, id: string): Endpoint {
  const endpoint = networkById(context, networkId).endpoint(id);
  if (endpoint?.id === id) return endpoint;
  throw absent('Endpoint', id);
}

/** An endpoint of whatever network. @throws NOT_FOUND */
export function serviceById(
  { controller }: ApiContext,
  id: string,
): { network: Network; endpoint: Endpoint } {
  for (const network of controller.networks()) {
    const endpoint = network.endpoint(id);
    if (endpoint?.id === id) return { network, endpoint };
  }
  throw absent('Service', id);
}

/** @throws NOT_FOUND; INVALID_ARGUMENT for no id */
export function sandboxById({ controller }: ApiContext, id: string): Sandbox {
  if (id === '')
    throw new LibnetworkError('INVALID_ARGUMENT', 'invalid id: ', { field: 'sandbox_id', value: id });
  const sandbox = controller.sandbox(id);
  if (sandbox?.id === id) return sandbox;
  throw absent('Sandbox', id);
}
