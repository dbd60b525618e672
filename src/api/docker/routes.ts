/** The part of Docker Engine's API that its clients need for networks. */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import type { ApiContext } from '../context.ts';
import { failureOf } from '../failure.ts';
import { API_VERSION, checkVersion } from '../versioning.ts';
import { containerRoutes } from './containers.ts';
import { eventRoutes } from './events.ts';
import { memberRoutes } from './members.ts';
import { networkRoutes } from './networks.ts';
import { systemRoutes } from './system.ts';

export function dockerRoutes(context: ApiContext): FastifyPluginAsync {
  return async (app) => {
    dockerWays(app, context);
    systemRoutes(app, context);
    networkRoutes(app, context);
    memberRoutes(app, context);
    containerRoutes(app, context);
    eventRoutes(app, context);
  };
}

/** Headers, versions and errors as Docker's. */
function dockerWays(app: FastifyInstance, context: ApiContext): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('api-version', API_VERSION);
    reply.header('docker-experimental', 'false');
    reply.header('ostype', 'linux');
    checkVersion(request.raw);
  });
  app.setErrorHandler((thrown, request, reply) => {
    const { status, message } = failureOf(context, request, thrown);
    return reply.code(status).send({ message });
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ message: 'page not found' }));
}
