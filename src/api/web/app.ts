/**
 * What a browser may ask, at an address of its own: reading alone, and the page that shows it. Who may ask, and by
 * which names, tells `guard.ts`.
 */
import type { FastifyInstance } from 'fastify';
import type { Api } from '../app.ts';
import { newApp } from '../app.ts';
import { serverFactory } from '../listen.ts';
import { nativeWays, pageRoutes } from '../native/routes.ts';
import { Streams } from '../streams.ts';
import { type Assets, packagedPage, readAssets, scriptsWithin } from './assets.ts';
import { addGuard } from './guard.ts';

export interface WebOptions {
  /** The address that it is to listen at, as `--web` names it, without the port. */
  readonly host: string;
  /** Where the page's files are. Default: those of this package, as they are built. */
  readonly page?: URL | undefined;
}

/**
 * Streams of events have a limit of their own, so that pages don't take those of other clients.
 * @param api the application whose controller and events it shows
 * @throws UNAVAILABLE where the page's files are missing
 */
export async function createWebApi({ context }: Api, options: WebOptions): Promise<FastifyInstance> {
  const { limits } = context;
  const assets = readAssets(options.page ?? packagedPage());
  const streams = new Streams({ streams: limits.webStreams, streamBytes: limits.streamBytes }, 'webStreams');
  const own = { ...context, streams };
  const app = newApp(own, serverFactory(limits));
  nativeWays(app, own);
  addGuard(app, options.host, scriptsWithin(assets.get('/')));
  app.addHook('preClose', async () => streams.close());
  assetRoutes(app, assets);
  await app.register(async (scope) => pageRoutes(scope, own), { prefix: '/dnet/v1' });
  await app.ready();
  return app;
}

/** Files are asked for anew each time, and sent only when they have changed. */
function assetRoutes(app: FastifyInstance, assets: Assets): void {
  for (const [path, { type, body, etag }] of assets) {
    app.route({
      method: ['GET', 'HEAD'],
      url: path,
      schema: { hide: true },
      handler: async (request, reply) => {
        reply.header('etag', etag).header('cache-control', 'no-cache');
        if (request.headers['if-none-match'] === etag) return reply.code(304).send();
        return reply.type(type).send(body);
      },
    });
  }
}
