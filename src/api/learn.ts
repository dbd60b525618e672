/** What shows endpoints waits until those of other hosts are known; where they can't be asked for, it shows the rest. */
import type { FastifyInstance } from 'fastify';
import { LibnetworkError } from '../index.ts';
import type { ApiContext } from './context.ts';

const SHOWS_ENDPOINTS = /\/networks\/:id|\/endpoints|\/services|^\/dnet\/v1\/networks/;

export function learnFirst(app: FastifyInstance, { controller, logger }: ApiContext): void {
  app.addHook('preHandler', async ({ method, routeOptions, params }) => {
    if (method !== 'GET' || !SHOWS_ENDPOINTS.test(routeOptions.url ?? '')) return;
    const { id: wanted = '' } = params as { readonly id?: string };
    const asked = controller.networks().filter(({ id, name }) => name === wanted || id.startsWith(wanted));
    const outcomes = await Promise.allSettled(asked.map((network) => network.allEndpoints()));
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      if (!LibnetworkError.is(outcome.reason, 'UNAVAILABLE')) throw outcome.reason;
      logger.debug('what other hosts have is not shown', { error: outcome.reason });
    }
  });
}
