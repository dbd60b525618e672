/** What shows endpoints waits until those of other hosts are known; where they can't be asked for, it shows the rest. */
import type { FastifyInstance } from 'fastify';
import { LibnetworkError } from '../index.ts';
import type { ApiContext } from './context.ts';

const SHOWS_ENDPOINTS = /\/networks\/:id|\/endpoints|\/services|^\/dnet\/v1\/(networks|topology)/;
const OF_ONE_NETWORK = /\/networks\/:id/;

export function learnFirst(app: FastifyInstance, { controller, logger }: ApiContext): void {
  app.addHook('preHandler', async ({ method, routeOptions, params }) => {
    const { url = '' } = routeOptions;
    if (method !== 'GET' || !SHOWS_ENDPOINTS.test(url)) return;
    const { id = '' } = params as { readonly id?: string };
    // Elsewhere the id is that of a service: it may be of any network.
    const wanted = OF_ONE_NETWORK.test(url) ? id : '';
    const asked = controller.networks().filter(({ id, name }) => name === wanted || id.startsWith(wanted));
    const outcomes = await Promise.allSettled(asked.map((network) => network.allEndpoints()));
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      if (!LibnetworkError.is(outcome.reason, 'UNAVAILABLE')) throw outcome.reason;
      logger.debug('what other hosts have is not shown', { error: outcome.reason });
    }
  });
}
