import type { FastifyInstance } from 'fastify';
import { type ApiContext, sandboxOf } from '../context.ts';
import { stackOf, topologyOf } from '../topology.ts';
import { params } from './schemas.ts';

const tags = ['dnet'];

export function topologyRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get(
    '/topology',
    { schema: { tags, summary: 'What there is and how it is connected, in one answer' } },
    async () => topologyOf(context),
  );
  app.get<{ Params: { id: string } }>(
    '/sandboxes/:id/stack',
    {
      schema: {
        tags,
        summary: 'Counters and routes of a sandbox, as the kernel has them',
        params: params('id'),
      },
    },
    async ({ params: { id } }) => stackOf(sandboxOf(context, id)),
  );
}
