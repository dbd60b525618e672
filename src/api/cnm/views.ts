/** Objects as libnetwork's own API shows them. */
import type { FastifyReply } from 'fastify';
import type { Endpoint, Network, Sandbox } from '../../index.ts';

export interface NetworkView {
  readonly name: string;
  readonly id: string;
  readonly type: string;
  readonly endpoints: readonly EndpointView[];
}

export interface EndpointView {
  readonly name: string;
  readonly id: string;
  /** The network's name. */
  readonly network: string;
}

export interface SandboxView {
  readonly id: string;
  readonly key: string;
  readonly container_id: string;
}

export function classicFields(network: Network): NetworkView {
  return {
    name: network.name,
    id: network.id,
    type: network.driver,
    endpoints: network.endpoints().map((endpoint) => endpointView(network, endpoint)),
  };
}

/** Networks of a name, or of the start of an id. Without a name, as its client leaves it, the default one is meant. */
export function classicLookup(
  networks: readonly Network[],
  name: string | undefined,
  prefix: string,
): readonly NetworkView[] | null {
  const isWanted = (each: Network): boolean =>
    name === undefined ? each.id.startsWith(prefix) : each.name === (name || 'bridge');
  return orNull(networks.filter(isWanted).map(classicFields));
}

export function endpointView(network: Network, { name, id }: Endpoint): EndpointView {
  return { name, id, network: network.name };
}

/** All empty for a service that nobody backs. */
export function sandboxView(sandbox: Sandbox | undefined): SandboxView {
  return {
    id: sandbox?.id ?? '',
    key: sandbox?.namespacePath ?? '',
    container_id: sandbox?.containerId ?? '',
  };
}

/** An empty list is `null`, as Go's encoder writes it. */
export function orNull<T>(list: readonly T[]): readonly T[] | null {
  return list.length === 0 ? null : list;
}

/** A bare text as JSON, which the framework would send as it is. */
export function sendText(reply: FastifyReply, value: string): FastifyReply {
  return reply
    .type('application/json')
    .serializer(String)
    .send(`${JSON.stringify(value)}\n`);
}
