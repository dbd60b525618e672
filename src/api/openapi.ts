/** The OpenAPI document, made of the routes' schemas when it is first asked for. */
import type { FastifyInstance } from 'fastify';
import { addRoutes, newApp } from './app.ts';
import type { ApiContext } from './context.ts';

export function openApiRoutes(app: FastifyInstance, context: ApiContext): void {
  let made: Promise<unknown> | undefined;
  app.get('/openapi.json', { schema: { tags: ['dnet'], summary: 'This document' } }, async () => {
    made ??= document(context);
    return made;
  });
}

/** A second application with the same routes, which is never asked: it costs its memory only while this lasts. */
async function document(context: ApiContext): Promise<unknown> {
  const { default: swagger } = await import('@fastify/swagger');
  const app = newApp(context);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'dnet',
        version: context.about.version,
        description:
          'Networks of containers. Docker Engine’s API lies at the root, with or without a version such as /v1.48; libnetwork’s own under /libnetwork, and at the root where Docker has nothing; dnet’s under /dnet/v1.',
      },
      tags: [
        { name: 'docker', description: 'Docker Engine’s network API' },
        { name: 'libnetwork', description: 'libnetwork’s own API' },
        { name: 'dnet', description: 'Everything, in this package’s words' },
      ],
    },
  });
  await addRoutes(app, context);
  await app.ready();
  const made = app.swagger();
  await app.close();
  return made;
}
