import type { FastifyInstance } from 'fastify';
import type { EndpointChanges, EndpointOptions } from '../../index.ts';
import { type ApiContext, endpointOf, networkOf, sandboxOf, signalOf } from '../context.ts';
import { joinLinked, type LinkedJoin, leaveLinked } from '../links.ts';
import { endpoint as body, endpointChanges, force, join, params } from './schemas.ts';
import { endpointView, portViews } from './views.ts';

const tags = ['dnet'];

interface Ids {
  readonly id: string;
  readonly eid: string;
}

export function endpointRoutes(app: FastifyInstance, context: ApiContext): void {
  const placeOf = ({ id, eid }: Ids) => {
    const network = networkOf(context, id);
    return { network, endpoint: endpointOf(network, eid) };
  };
  const found = (ids: Ids) => placeOf(ids).endpoint;
  const ofBoth = params('id', 'eid');
  app.get('/endpoints', { schema: { tags, summary: 'The endpoints of all networks' } }, async () =>
    context.controller
      .networks()
      .flatMap((network) => network.endpoints().map((endpoint) => endpointView(context, endpoint))),
  );
  app.get('/ports', { schema: { tags, summary: 'What is published on the host' } }, async () =>
    portViews(context),
  );
  app.get<{ Params: { id: string } }>(
    '/networks/:id/endpoints',
    { schema: { tags, summary: 'The endpoints of a network', params: params('id') } },
    async (request) =>
      networkOf(context, request.params.id)
        .endpoints()
        .map((endpoint) => endpointView(context, endpoint)),
  );
  app.post<{ Params: { id: string }; Body: EndpointOptions }>(
    '/networks/:id/endpoints',
    { schema: { tags, summary: 'Adds an endpoint', params: params('id'), body } },
    async (request, reply) => {
      const network = networkOf(context, request.params.id);
      const endpoint = await network.createEndpoint(request.body, { signal: signalOf(reply) });
      return reply.code(201).send(endpointView(context, endpoint));
    },
  );
  app.get<{ Params: Ids }>(
    '/networks/:id/endpoints/:eid',
    { schema: { tags, summary: 'One endpoint', params: ofBoth } },
    async (request) => endpointView(context, found(request.params)),
  );
  app.patch<{ Params: Ids; Body: EndpointChanges }>(
    '/networks/:id/endpoints/:eid',
    {
      schema: { tags, summary: 'Changes published ports and limits', params: ofBoth, body: endpointChanges },
    },
    async (request) => {
      const endpoint = found(request.params);
      await endpoint.update(request.body);
      return endpointView(context, endpoint);
    },
  );
  app.delete<{ Params: Ids; Querystring: { force?: string } }>(
    '/networks/:id/endpoints/:eid',
    { schema: { tags, summary: 'Deletes an endpoint', params: ofBoth, querystring: force } },
    async (request, reply) => {
      await found(request.params).delete({ force: request.query.force === 'true' });
      return reply.code(204).send();
    },
  );
  app.post<{ Params: Ids; Body: { readonly sandbox: string } & Partial<LinkedJoin> }>(
    '/networks/:id/endpoints/:eid/join',
    { schema: { tags, summary: 'Puts an endpoint into a sandbox', params: ofBoth, body: join } },
    async (request, reply) => {
      const { sandbox, aliases, priority, links = [] } = request.body;
      const place = placeOf(request.params);
      const options = { aliases, priority, links, signal: signalOf(reply) };
      await joinLinked(context, place, sandboxOf(context, sandbox), options);
      return endpointView(context, place.endpoint);
    },
  );
  app.post<{ Params: Ids; Body: { readonly sandbox: string } }>(
    '/networks/:id/endpoints/:eid/leave',
    { schema: { tags, summary: 'Takes an endpoint out of its sandbox', params: ofBoth, body: join } },
    async (request) => {
      const place = placeOf(request.params);
      await leaveLinked(context, place, sandboxOf(context, request.body.sandbox));
      return endpointView(context, place.endpoint);
    },
  );
}
