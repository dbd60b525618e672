/**
 * What a browser may ask, at an address of its own: reading alone, for who is on this host. It answers only to its
 * own names, so that no page of another site reaches it by a name that leads here (DNS rebinding), and to no other
 * origin.
 */
import type { FastifyInstance } from 'fastify';
import { LibnetworkError } from '../index.ts';
import type { Api } from './app.ts';
import { newApp } from './app.ts';
import { serverFactory } from './listen.ts';
import { nativeWays, readOnlyRoutes } from './native/routes.ts';

const NAMES = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/;

/** @param api the application whose controller and events it shows; `host` the address it is to listen at */
export async function createWebApi({ context }: Api, host: string): Promise<FastifyInstance> {
  const app = newApp(context, serverFactory(context.limits));
  app.addHook('onRequest', async (request, reply) => {
    const name = request.headers.host ?? '';
    if (!NAMES.test(name) && name.replace(/:\d+$/, '') !== host)
      throw new LibnetworkError('FORBIDDEN', `this is not ${name}: ask by the address that --web names`);
    reply.header('content-security-policy', "default-src 'self'; frame-ancestors 'none'");
    reply.header('x-content-type-options', 'nosniff');
    reply.header('referrer-policy', 'no-referrer');
  });
  await app.register(
    async (scope) => {
      nativeWays(scope, context);
      readOnlyRoutes(scope, context);
    },
    { prefix: '/dnet/v1' },
  );
  await app.ready();
  return app;
}
