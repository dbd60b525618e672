/** `libnetwork/plugin`: serve drivers and IPAMs as Docker plugins, and find and call those of others. */

export type { PluginAddress, TlsFiles } from './address.ts';
export { type FoundPlugin, findPlugin, type PluginPlaces, scanPlugins } from './discovery.ts';
export type { PluginOptions } from './options.ts';
export {
  type ServeIpamOptions,
  type ServeNetworkOptions,
  serveIpam,
  serveNetworkDriver,
  servePlugin,
} from './serve.ts';
export type { PluginServer, ServerOptions } from './server.ts';
