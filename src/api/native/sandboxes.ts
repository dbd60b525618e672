import type { FastifyInstance } from 'fastify';
import type { SandboxOptions } from '../../index.ts';
import { type ApiContext, sandboxOf, signalOf } from '../context.ts';
import { sandbox as body, key, params } from './schemas.ts';
import { sandboxView } from './views.ts';

const tags = ['dnet'];

export function sandboxRoutes(app: FastifyInstance, context: ApiContext): void {
  const { controller } = context;
  app.get('/sandboxes', { schema: { tags, summary: 'All sandboxes' } }, async () =>
    controller.sandboxes().map((sandbox) => sandboxView(context, sandbox)),
  );
  app.get<{ Params: { id: string } }>(
    '/sandboxes/:id',
    { schema: { tags, summary: 'One sandbox, by id or container id', params: params('id') } },
    async (request) => sandboxView(context, sandboxOf(context, request.params.id)),
  );
  app.post<{ Body: SandboxOptions }>(
    '/sandboxes',
    { schema: { tags, summary: 'Makes a sandbox', body } },
    async (request, reply) => {
      const sandbox = await controller.createSandbox(request.body, { signal: signalOf(reply) });
      return reply.code(201).send(sandboxView(context, sandbox));
    },
  );
  app.post<{ Params: { id: string }; Body: { readonly path: string } }>(
    '/sandboxes/:id/key',
    { schema: { tags, summary: 'Tells where a late-bound namespace is', params: params('id'), body: key } },
    async (request, reply) => {
      const sandbox = sandboxOf(context, request.params.id);
      await sandbox.setKey(request.body.path, { signal: signalOf(reply) });
      return sandboxView(context, sandbox);
    },
  );
  app.delete<{ Params: { id: string } }>(
    '/sandboxes/:id',
    { schema: { tags, summary: 'Deletes a sandbox and the endpoints in it', params: params('id') } },
    async (request, reply) => {
      await sandboxOf(context, request.params.id).delete();
      return reply.code(204).send();
    },
  );
}
