/**
 * libnetwork's own API, for its `dnet` client. All of it lies under `/libnetwork`; what Docker's API does not have
 * lies at the root as well, where that client asks for it.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply } from 'fastify';
import { readClassicBodies } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { failureOf } from '../failure.ts';
import { endpointRoutes } from './endpoints.ts';
import { creationRoute, networkRoutes } from './networks.ts';
import { sandboxRoutes } from './sandboxes.ts';
import { serviceRoutes } from './services.ts';

export function cnmRoutes(context: ApiContext): FastifyPluginAsync {
  return async (app) => {
    classicWays(app, context);
    app.setNotFoundHandler((_request, reply) => plain(reply.code(404)).send('404 page not found\n'));
    networkRoutes(app, context);
    own(app, context);
  };
}

export function cnmRootRoutes(context: ApiContext): FastifyPluginAsync {
  return async (app) => {
    classicWays(app, context);
    own(app, context);
  };
}

function own(app: FastifyInstance, context: ApiContext): void {
  creationRoute(app, context);
  endpointRoutes(app, context);
  serviceRoutes(app, context);
  sandboxRoutes(app, context);
}

/** Statuses that differ from those of the other interfaces. */
const STATUS: Readonly<Record<number, number>> = { 409: 403, 504: 408 };

/** Errors are plain text, and what exists already is forbidden. */
function classicWays(app: FastifyInstance, context: ApiContext): void {
  readClassicBodies(app);
  app.setErrorHandler((thrown, request, reply) => {
    const { status, code, message } = failureOf(context, request, thrown);
    const known = code === 'ALREADY_EXISTS' || code === 'TIMEOUT' ? STATUS[status] : undefined;
    return plain(reply.code(known ?? status)).send(`${message}\n`);
  });
}

function plain(reply: FastifyReply): FastifyReply {
  return reply
    .type('text/plain; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .serializer(String);
}
