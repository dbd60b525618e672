/** The OpenAPI document, made of the routes' schemas when it is first asked for. */
import type { FastifyInstance } from 'fastify';
import type { Answer } from './answers.ts';
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
  const [{ default: swagger }, { shapes }] = await Promise.all([
    import('@fastify/swagger'),
    import('./shapes.ts'),
  ]);
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
  const made: { readonly paths?: object; readonly components?: object } = app.swagger();
  await app.close();
  await addAnswers({ ...made.paths });
  return { ...made, components: { ...made.components, schemas: shapes } };
}

/** What a route answers is told of it here: the framework would make a serializer of it, and holds no form of it. */
async function addAnswers(paths: Readonly<Record<string, Record<string, Operation>>>): Promise<void> {
  const { answers, refusals } = await import('./answers.ts');
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const answer = answers[`${method.toUpperCase()} ${path}`];
      const refusal = refusals[operation.tags?.[0] ?? ''];
      operation.responses = {
        ...(answer && { [answer.status]: { description: 'Done', ...contentOf(answer) } }),
        ...(refusal && { default: { description: 'Why it can’t be done', ...contentOf(refusal) } }),
      };
    }
  }
}

interface Operation {
  readonly tags?: readonly string[];
  responses: object;
}

function contentOf({ shape, type = 'application/json' }: Omit<Answer, 'status'>): object {
  return shape === undefined ? {} : { content: { [type]: { schema: shape } } };
}
