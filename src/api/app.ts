/** All routes over one controller, as an application that listens nowhere yet. */
// For the types of what the schemas tell of the routes.
import type {} from '@fastify/swagger';
import Fastify, { type FastifyInstance, type FastifyServerFactory } from 'fastify';
import type { Logger, NetworkController } from '../index.ts';
import { readBodies } from './body.ts';
import { cnmRootRoutes, cnmRoutes } from './cnm/routes.ts';
import type { About, ApiContext } from './context.ts';
import { dockerRoutes } from './docker/routes.ts';
import { lazyForms } from './forms.ts';
import { Journal } from './journal.ts';
import { learnFirst } from './learn.ts';
import { type ApiLimits, apiLimits } from './limits.ts';
import { Metrics, metricsRoutes } from './metrics.ts';
import { nativeRoutes } from './native/routes.ts';
import { openApiRoutes } from './openapi.ts';
import { Streams } from './streams.ts';
import { withoutVersion } from './versioning.ts';

export interface ApiOptions {
  readonly controller: NetworkController;
  readonly about: About;
  readonly logger: Logger;
  readonly limits?: Partial<ApiLimits> | undefined;
  /** Makes the server that the application answers for. Default: one that is never listened at. */
  readonly serverFactory?: FastifyServerFactory | undefined;
}

export interface Api {
  readonly app: FastifyInstance;
  readonly context: ApiContext;
  /** Ends streams, lets requests under way end, and stops following the controller, which stays open. */
  close(): Promise<void>;
}

/** @throws INVALID_ARGUMENT for limits that can't be */
export async function createApi(options: ApiOptions): Promise<Api> {
  const limits = apiLimits(options.limits);
  const { controller, about, logger } = options;
  const streams = new Streams(limits);
  const parts = {
    controller,
    about,
    logger,
    limits,
    streams,
    journal: new Journal(controller, limits.events),
  };
  const context: ApiContext = { ...parts, metrics: new Metrics(parts) };
  const app = newApp(context, options.serverFactory);
  measure(app, context);
  learnFirst(app, context);
  await addRoutes(app, context);
  openApiRoutes(app, context);
  await app.ready();
  return {
    app,
    context,
    close: async () => {
      streams.close();
      context.journal.close();
      context.metrics.close();
      await app.close();
    },
  };
}

/** An application with our rules for bodies, limits and answers, without routes. */
export function newApp(
  { limits, about }: Pick<ApiContext, 'limits' | 'about'>,
  serverFactory?: FastifyServerFactory,
): FastifyInstance {
  const server = `libnetwork/${about.version} (linux)`;
  const app: FastifyInstance = Fastify({
    logger: false,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 512, ignoreTrailingSlash: true },
    rewriteUrl: withoutVersion,
    schemaController: lazyForms,
    // A path that can't be decoded belongs to none of the interfaces yet.
    frameworkErrors: ({ statusCode = 400, message }, _request, { raw }) => {
      raw.writeHead(statusCode, { 'content-type': 'application/json', server });
      raw.end(`${JSON.stringify({ message })}\n`);
    },
    ...(serverFactory ? { serverFactory } : {}),
  });
  readBodies(app);
  app.setReplySerializer((payload) => `${JSON.stringify(payload)}\n`);
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('server', server);
  });
  // Docker's client reads JSON only where the type is exactly this.
  app.addHook('onSend', async (_request, reply, payload) => {
    const type = reply.getHeader('content-type');
    if (type === 'application/json; charset=utf-8') reply.header('content-type', 'application/json');
    return payload;
  });
  return app;
}

/** By the first part of the path; streams, which last as long as their reader likes, are left out. */
function measure(app: FastifyInstance, { metrics }: ApiContext): void {
  app.addHook('onResponse', async (request, reply) => {
    const [, first = ''] = request.url.split(/[/?]/, 2);
    metrics.request(APIS[first] ?? 'docker', reply.statusCode, reply.elapsedTime / 1000);
  });
}

const APIS: Readonly<Record<string, string>> = {
  dnet: 'dnet',
  metrics: 'dnet',
  health: 'dnet',
  'openapi.json': 'dnet',
  libnetwork: 'libnetwork',
  services: 'libnetwork',
  sandboxes: 'libnetwork',
};

/** Every route; each of the three interfaces has its own words for errors. */
export async function addRoutes(app: FastifyInstance, context: ApiContext): Promise<void> {
  await app.register(dockerRoutes(context));
  await app.register(cnmRootRoutes(context));
  await app.register(cnmRoutes(context), { prefix: '/libnetwork' });
  await app.register(nativeRoutes(context), { prefix: '/dnet/v1' });
  await app.register(async (scope) => metricsRoutes(scope, context));
}
