/** The controller as a whole: health, state, statistics, what is odd on this host, and repairs. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.ts';
import { examine } from '../doctor.ts';
import { statisticsOf } from '../statistics.ts';
import type { HealthView } from './views.ts';

const tags = ['dnet'];

export function stateRoutes(app: FastifyInstance, context: ApiContext): void {
  const { controller } = context;
  app.get('/health', { schema: { tags, summary: 'Whether the daemon works' } }, async () => health(context));
  app.get('/inspect', { schema: { tags, summary: 'The whole state, as it is recorded' } }, async () =>
    controller.inspect(),
  );
  app.get(
    '/stats',
    { schema: { tags, summary: 'Counters of interfaces, name servers and operations' } },
    async () => statisticsOf(context),
  );
  app.get(
    '/doctor',
    { schema: { tags, summary: 'What is missing or odd on this host, and what to do' } },
    async () => examine(context),
  );
}

export function health({ controller, about }: ApiContext): HealthView {
  return {
    status: 'ok',
    version: about.version,
    kernel: about.kernel,
    instance: controller.instance,
    startedAt: about.startedAt.toISOString(),
    uptimeSeconds: Math.round((Date.now() - about.startedAt.getTime()) / 1000),
  };
}
