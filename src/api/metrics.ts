/** Metrics for Prometheus, at `/metrics`. What grows with the objects is read when it is asked for. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from './context.ts';
import { health } from './native/state.ts';
import { makeRegistry } from './registry.ts';

export function metricsRoutes(app: FastifyInstance, context: ApiContext): void {
  const { registry } = context.metrics;
  const tags = ['dnet'];
  app.get(
    '/metrics',
    { schema: { tags, summary: 'Metrics as text for Prometheus' } },
    async (_request, reply) =>
      reply
        .type(registry.contentType)
        .serializer(String)
        .send(await registry.metrics()),
  );
  app.get('/health', { schema: { tags, summary: 'Whether the daemon works' } }, async () => health(context));
}

export { makeRegistry };
