/** The hosts of the cluster, and the keys that they share. */
import type { FastifyInstance } from 'fastify';
import { type ApiContext, signalOf } from '../context.ts';

const tags = ['dnet'];

export function hostRoutes(app: FastifyInstance, { controller }: ApiContext): void {
  app.get(
    '/hosts',
    { schema: { tags, summary: 'The hosts of the cluster: their addresses, and whether they live' } },
    async (_request, reply) => controller.hosts({ signal: signalOf(reply) }),
  );
  app.post(
    '/keys/rotate',
    {
      schema: { tags, summary: 'Has the hosts agree on a new key for encrypted networks, and waits for it' },
    },
    async (_request, reply) => {
      await controller.rotateKeys({ signal: signalOf(reply) });
      return reply.code(204).send();
    },
  );
}
