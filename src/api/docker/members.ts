/** `/networks/{id}/connect` and `/disconnect`: containers are the controller's sandboxes. */
import type { FastifyInstance } from 'fastify';
import { type EndpointOptions, LibnetworkError, labels, type Network, type Sandbox } from '../../index.ts';
import { bodyOf } from '../body.ts';
import { type ApiContext, signalOf } from '../context.ts';
import { addLinks, dropLinks, readLink } from '../links.ts';
import { findContainer, findNetwork } from './resolve.ts';
import {
  type ConnectBody,
  connectSchema,
  type DisconnectBody,
  disconnectSchema,
  type EndpointBody,
  idParams,
} from './schemas.ts';

export function memberRoutes(app: FastifyInstance, context: ApiContext): void {
  const tags = ['docker'];
  app.post<{ Params: { id: string }; Body?: ConnectBody }>(
    '/networks/:id/connect',
    { schema: { tags, summary: 'Connects a container', params: idParams, body: connectSchema } },
    async (request, reply) => {
      const body = bodyOf(request.body);
      checkContainerName(body.Container);
      const network = findNetwork(context, request.params.id);
      await connect(context, network, body, signalOf(reply));
      return reply.code(200).send();
    },
  );
  app.post<{ Params: { id: string }; Body?: DisconnectBody }>(
    '/networks/:id/disconnect',
    { schema: { tags, summary: 'Disconnects a container', params: idParams, body: disconnectSchema } },
    async (request, reply) => {
      const body = bodyOf(request.body);
      checkContainerName(body.Container);
      await disconnect(context, findNetwork(context, request.params.id), body);
      return reply.code(200).send();
    },
  );
}

/** Docker asks for it before it looks for the network. */
function checkContainerName(name: string | null | undefined): void {
  if (!name)
    throw new LibnetworkError('INVALID_ARGUMENT', 'invalid name or ID supplied: ""', { field: 'Container' });
}

async function connect(
  context: ApiContext,
  network: Network,
  { Container, EndpointConfig }: ConnectBody,
  signal: AbortSignal,
): Promise<void> {
  const sandbox = findContainer(context, Container);
  const config = EndpointConfig ?? {};
  checkMix(context, network, sandbox);
  const options = endpointOf(sandbox, config);
  const present =
    network.endpoints().find(({ sandboxId }) => sandboxId === sandbox.id) ?? network.endpoint(options.name);
  if (present)
    throw new LibnetworkError(
      'FORBIDDEN',
      `endpoint with name ${present.name} already exists in network ${network.name}`,
      { field: 'Container', value: Container, holder: `endpoint ${present.id}` },
    );
  const endpoint = await network.createEndpoint(options, { signal });
  try {
    await endpoint.join(sandbox, { signal });
    await addLinks(context, sandbox, network.name, config.Links ?? []);
  } catch (error) {
    await endpoint.delete({ force: true });
    throw error;
  }
}

/** The host's stack is no sandbox's own to change, and `none` means alone. @throws INVALID_ARGUMENT */
function checkMix({ controller }: ApiContext, network: Network, sandbox: Sandbox): void {
  const facts = { field: 'network', value: network.name };
  const joined = sandbox.endpoints().map((endpoint) => controller.network(endpoint.networkId)?.driver);
  if (network.driver === 'host' || joined.includes('host') || sandbox.namespacePath === 'host')
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      'container cannot be disconnected from host network or connected to host network',
      facts,
    );
  if (joined.includes('null') || (network.driver === 'null' && joined.length > 0))
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      'container cannot be connected to multiple networks with one of the networks in private (none) mode',
      facts,
    );
}

function endpointOf({ containerId }: Sandbox, config: EndpointBody): EndpointOptions {
  const { IPAMConfig: ipam } = config;
  return {
    name: containerId,
    ipv4: ipam?.IPv4Address || undefined,
    ipv6: ipam?.IPv6Address || undefined,
    linkLocal: ipam?.LinkLocalIPs ?? undefined,
    macAddress: config.MacAddress || undefined,
    aliases: config.Aliases ?? [],
    options: { ...config.DriverOpts, ...linkOption(config.Links ?? []) },
    gatewayPriority: config.GwPriority ?? 0,
  };
}

/** Where containers may not talk to each other, a link lets them. */
function linkOption(links: readonly string[]): EndpointOptions['options'] {
  return links.length === 0
    ? {}
    : { [labels.endpoint.links]: links.map((link) => readLink(link).target).join(',') };
}

async function disconnect(
  context: ApiContext,
  network: Network,
  { Container, Force }: DisconnectBody,
): Promise<void> {
  const sandbox = findSandbox(context, Container, Force === true);
  if (sandbox?.namespacePath === 'host' || network.driver === 'host')
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      'container cannot be disconnected from host network or connected to host network',
      { field: 'network', value: network.name },
    );
  // A container that is gone may have left its endpoint: force takes it by its name.
  const endpoint = sandbox
    ? network.endpoints().find(({ sandboxId }) => sandboxId === sandbox.id)
    : network.endpoint(Container ?? '');
  if (!endpoint)
    throw sandbox
      ? new LibnetworkError(
          'FORBIDDEN',
          `container ${sandbox.containerId} is not connected to network ${network.name}`,
          { field: 'Container', value: Container },
        )
      : new LibnetworkError('NOT_FOUND', `No such container: ${Container}`, { field: 'Container' });
  await endpoint.delete({ force: true });
  if (sandbox) await dropLinks(context, sandbox, network.name);
}

function findSandbox(
  context: ApiContext,
  name: string | null | undefined,
  mayLack: boolean,
): Sandbox | undefined {
  try {
    return findContainer(context, name);
  } catch (error) {
    if (mayLack && LibnetworkError.is(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}
