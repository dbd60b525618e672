/** Services: endpoints by another name, across all networks. */
import type { FastifyInstance } from 'fastify';
import { type Endpoint, LibnetworkError, type Network } from '../../index.ts';
import { type ApiContext, signalOf } from '../context.ts';
import { attach, detach } from './attach.ts';
import { nameOf } from './endpoints.ts';
import { serviceById } from './find.ts';
import { type JoinBody, joinBody, queries, text, texts } from './schemas.ts';
import { endpointView, orNull, sandboxView, sendText } from './views.ts';

const tags = ['libnetwork'];
const publication = {
  type: ['object', 'null'],
  properties: { name: text, my_aliases: texts, network_name: text },
} as const;
const removal = {
  type: ['object', 'null'],
  properties: { name: text, force: { type: ['boolean', 'null'] } },
} as const;

interface PublishBody {
  readonly name?: string | null;
  readonly my_aliases?: readonly string[] | null;
  readonly network_name?: string | null;
}
interface Query {
  readonly network?: string;
  readonly name?: string;
  readonly 'partial-id'?: string;
}

export function serviceRoutes(app: FastifyInstance, context: ApiContext): void {
  const { controller } = context;
  app.get<{ Querystring: Query }>(
    '/services',
    {
      schema: {
        tags,
        summary: 'Services of all networks, or some',
        querystring: queries('network', 'name', 'partial-id'),
      },
    },
    async ({ query }) =>
      orNull(servicesOf(context, query).map(({ network, endpoint }) => endpointView(network, endpoint))),
  );
  app.get<{ Params: { id: string } }>(
    '/services/:id',
    { schema: { tags, summary: 'One service' } },
    async ({ params }) => {
      const { network, endpoint } = serviceById(context, params.id);
      return endpointView(network, endpoint);
    },
  );
  app.get<{ Params: { id: string } }>(
    '/services/:id/backend',
    { schema: { tags, summary: 'The sandbox behind a service' } },
    async ({ params }) => {
      const { sandboxId } = serviceById(context, params.id).endpoint;
      return sandboxView(sandboxId === undefined ? undefined : controller.sandbox(sandboxId));
    },
  );
  app.post<{ Body?: PublishBody | null }>(
    '/services',
    { schema: { tags, summary: 'Publishes a service', body: publication } },
    async ({ body }, reply) => {
      const network = networkNamed(context, body?.network_name || 'bridge');
      const options = { name: nameOf(body?.name), aliases: body?.my_aliases ?? [] };
      const { id } = await network.createEndpoint(options, { signal: signalOf(reply) });
      return sendText(reply.code(201), id);
    },
  );
  app.delete<{ Params: { id: string }; Body?: { force?: boolean | null } | null }>(
    '/services/:id',
    { schema: { tags, summary: 'Unpublishes a service; the body must be there', body: removal } },
    async ({ params, body }, reply) => {
      if (body === undefined)
        throw new LibnetworkError('INVALID_ARGUMENT', 'Invalid body: unexpected end of JSON input');
      await serviceById(context, params.id).endpoint.delete({ force: body?.force ?? false });
      return reply.send();
    },
  );
  app.post<{ Params: { id: string }; Body?: JoinBody | null }>(
    '/services/:id/backend',
    { schema: { tags, summary: 'Attaches a sandbox; answers with its key', body: joinBody } },
    async ({ params, body }, reply) =>
      sendText(reply, await attach(context, serviceById(context, params.id), body, signalOf(reply))),
  );
  app.delete<{ Params: { id: string; sid: string } }>(
    '/services/:id/backend/:sid',
    { schema: { tags, summary: 'Detaches a sandbox' } },
    async ({ params }, reply) => {
      await detach(context, serviceById(context, params.id), params.sid);
      return reply.send();
    },
  );
}

function servicesOf(
  { controller }: ApiContext,
  { network: name, name: wanted, 'partial-id': prefix }: Query,
): { network: Network; endpoint: Endpoint }[] {
  const networks = name ? [controller.network(name) ?? []].flat() : controller.networks();
  return networks
    .flatMap((network) => network.endpoints().map((endpoint) => ({ network, endpoint })))
    .filter(({ endpoint }) => wanted === undefined || endpoint.name === wanted)
    .filter(({ endpoint }) => prefix === undefined || endpoint.id.startsWith(prefix));
}

function networkNamed({ controller }: ApiContext, name: string): Network {
  const network = controller.network(name);
  if (network?.name === name) return network;
  throw new LibnetworkError('NOT_FOUND', 'Resource not found: Network', {
    field: 'network_name',
    value: name,
  });
}
