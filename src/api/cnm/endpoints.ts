import type { FastifyInstance } from 'fastify';
import { LibnetworkError } from '../../index.ts';
import { type ApiContext, signalOf } from '../context.ts';
import { attach, detach } from './attach.ts';
import { endpointById, networkById } from './find.ts';
import { type JoinBody, joinBody, queries, text, texts } from './schemas.ts';
import { endpointView, orNull, sendText } from './views.ts';

const tags = ['libnetwork'];
const creation = { type: ['object', 'null'], properties: { name: text, my_aliases: texts } } as const;

interface CreateBody {
  readonly name?: string | null;
  readonly my_aliases?: readonly string[] | null;
}
interface Ids {
  readonly id: string;
  readonly eid: string;
}

export function endpointRoutes(app: FastifyInstance, context: ApiContext): void {
  const found = ({ id, eid }: Ids) => ({
    network: networkById(context, id),
    endpoint: endpointById(context, id, eid),
  });
  app.get<{ Params: { id: string }; Querystring: { name?: string; 'partial-id'?: string } }>(
    '/networks/:id/endpoints',
    { schema: { tags, summary: 'The endpoints of a network', querystring: queries('name', 'partial-id') } },
    async ({ params, query: { name, 'partial-id': prefix } }) => {
      const network = networkById(context, params.id);
      const all = network.endpoints().map((endpoint) => endpointView(network, endpoint));
      if (name !== undefined) return orNull(all.filter((it) => it.name === name));
      if (prefix !== undefined) return orNull(all.filter((it) => it.id.startsWith(prefix)));
      return orNull(all);
    },
  );
  app.get<{ Params: Ids }>(
    '/networks/:id/endpoints/:eid',
    { schema: { tags, summary: 'One endpoint' } },
    async ({ params }) => {
      const { network, endpoint } = found(params);
      return endpointView(network, endpoint);
    },
  );
  app.post<{ Params: { id: string }; Body?: CreateBody | null }>(
    '/networks/:id/endpoints',
    { schema: { tags, summary: 'Adds an endpoint', body: creation } },
    async ({ params, body }, reply) => {
      const network = networkById(context, params.id);
      const name = nameOf(body?.name);
      const options = { name, aliases: body?.my_aliases ?? [] };
      const { id } = await network.createEndpoint(options, { signal: signalOf(reply) });
      return sendText(reply.code(201), id);
    },
  );
  app.delete<{ Params: Ids }>(
    '/networks/:id/endpoints/:eid',
    { schema: { tags, summary: 'Deletes an endpoint that is in no sandbox' } },
    async ({ params }, reply) => {
      await endpointById(context, params.id, params.eid).delete();
      return reply.send();
    },
  );
  app.post<{ Params: Ids; Body?: JoinBody | null }>(
    '/networks/:id/endpoints/:eid/sandboxes',
    { schema: { tags, summary: 'Joins a sandbox; answers with its key', body: joinBody } },
    async ({ params, body }, reply) =>
      sendText(reply, await attach(context, found(params), body, signalOf(reply))),
  );
  app.delete<{ Params: Ids & { sid: string } }>(
    '/networks/:id/endpoints/:eid/sandboxes/:sid',
    { schema: { tags, summary: 'Leaves a sandbox' } },
    async ({ params }, reply) => {
      await detach(context, found(params), params.sid);
      return reply.send();
    },
  );
}

/** @throws INVALID_ARGUMENT for none */
export function nameOf(name: string | null | undefined): string {
  if (name) return name;
  throw new LibnetworkError('INVALID_ARGUMENT', 'invalid name: ', { field: 'name', value: name });
}
