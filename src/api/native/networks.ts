import type { FastifyInstance } from 'fastify';
import type { NetworkChanges, NetworkOptions } from '../../index.ts';
import { type ApiContext, networkOf, signalOf } from '../context.ts';
import { network as body, networkChanges, params } from './schemas.ts';
import { networkView } from './views.ts';

const tags = ['dnet'];

export function networkRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/networks', { schema: { tags, summary: 'All networks' } }, async () =>
    context.controller.networks().map(networkView),
  );
  app.get<{ Params: { id: string } }>(
    '/networks/:id',
    { schema: { tags, summary: 'One network, by id, name, or the start of its id', params: params('id') } },
    async (request) => networkView(networkOf(context, request.params.id)),
  );
  app.post<{ Body: NetworkOptions }>(
    '/networks',
    { schema: { tags, summary: 'Makes a network', body } },
    async (request, reply) => {
      const network = await context.controller.createNetwork(request.body, { signal: signalOf(reply) });
      return reply.code(201).send(networkView(network));
    },
  );
  app.patch<{ Params: { id: string }; Body: NetworkChanges }>(
    '/networks/:id',
    {
      schema: {
        tags,
        summary: 'Changes labels, options, policy and names',
        params: params('id'),
        body: networkChanges,
      },
    },
    async (request) => {
      const network = networkOf(context, request.params.id);
      await network.update(request.body);
      return networkView(network);
    },
  );
  app.delete<{ Params: { id: string } }>(
    '/networks/:id',
    { schema: { tags, summary: 'Deletes a network', params: params('id') } },
    async (request, reply) => {
      await networkOf(context, request.params.id).delete();
      return reply.code(204).send();
    },
  );
}
