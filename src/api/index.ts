/** The HTTP server over one controller. */
export { type Api, type ApiOptions, createApi } from './app.ts';
export type { About } from './context.ts';
export { type ApiLimits, apiLimits, DEFAULT_LIMITS } from './limits.ts';
export { listen, listenUnix, type SocketRights, serverFactory, type TlsFiles } from './listen.ts';
export { createWebApi, type WebOptions } from './web/app.ts';
