/** dnet's own API, under `/dnet/v1`: everything that the controller can do, in its own words. */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { ApiContext } from '../context.ts';
import { failureOf } from '../failure.ts';
import { endpointRoutes } from './endpoints.ts';
import { eventRoutes } from './events.ts';
import { firewallRoutes, packetRoutes } from './firewall.ts';
import { hostRoutes } from './hosts.ts';
import { networkRoutes } from './networks.ts';
import { sandboxRoutes } from './sandboxes.ts';
import { stateRoutes } from './state.ts';
import { topologyRoutes } from './topology.ts';

export function nativeRoutes(context: ApiContext): FastifyPluginAsync {
  return async (app) => {
    nativeWays(app, context);
    stateRoutes(app, context);
    pageRoutes(app, context);
    networkRoutes(app, context);
    endpointRoutes(app, context);
    sandboxRoutes(app, context);
    firewallRoutes(app, context);
    hostRoutes(app, context);
  };
}

/** What the page in a browser asks, and all that it may. */
export function pageRoutes(app: FastifyInstance, context: ApiContext): void {
  topologyRoutes(app, context);
  eventRoutes(app, context);
  packetRoutes(app, context);
}

/** The facts of an error that a client is told. */
const FACTS = [
  'field',
  'value',
  'holder',
  'errno',
  'kernelMessage',
  'operation',
  'limit',
  'notUndone',
] as const;

/** Errors say their code and facts, so that a client need not read their text. */
export function nativeWays(app: FastifyInstance, context: ApiContext): void {
  app.setErrorHandler((thrown, request, reply) => {
    const { status, code, message, error } = failureOf(context, request, thrown);
    const facts = FACTS.filter((name) => error[name] !== undefined).map((name) => [name, error[name]]);
    return reply.code(status).send({ error: { code, message, ...Object.fromEntries(facts) } });
  });
  app.setNotFoundHandler((request, reply) => {
    const message = `there is no ${request.method} ${request.url.split('?', 1)[0]}: GET /openapi.json tells what there is`;
    return reply.code(404).send({ error: { code: 'NOT_FOUND', message } });
  });
}
