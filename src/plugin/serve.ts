/** Drivers and IPAMs of this package's contracts, served as Docker plugins. */
import type { Datastore } from '../datastore/datastore.ts';
import type { Driver } from '../driverapi/driver.ts';
import { invalid } from '../errors.ts';
import type { Ipam } from '../ipam/ipam.ts';
import type { Osl } from '../osl/osl.ts';
import { type ServedIpamOptions, servedIpam } from './servedipam.ts';
import { servedNetworkDriver } from './servednetwork.ts';
import { PluginServer, type Served, type ServerOptions } from './server.ts';
import { silent } from './silent.ts';

export interface ServeNetworkOptions extends ServerOptions {
  /** The kernel that the driver works on: its host is the namespace that Docker runs in. */
  readonly osl: Osl;
  /** Where the networks and endpoints that Docker told of are kept, for the next process. @default in memory */
  readonly store?: Datastore | undefined;
}

export interface ServeIpamOptions extends ServerOptions, ServedIpamOptions {}

/**
 * Serves a network driver at a socket: under `/run/docker/plugins`, `docker network create -d NAME` uses it. What an
 * earlier process kept in `store` is taken up first. Closing the server closes the driver.
 * @throws CONFLICT when somebody listens there; INVALID_ARGUMENT for a path that is no socket's
 */
export async function serveNetworkDriver(
  driver: Driver,
  options: ServeNetworkOptions,
): Promise<PluginServer> {
  return servePlugin({ driver }, options);
}

/** Serves an IPAM at a socket: `docker network create --ipam-driver NAME` uses it. @throws as `serveNetworkDriver` */
export async function serveIpam(ipam: Ipam, options: ServeIpamOptions): Promise<PluginServer> {
  return PluginServer.listen([servedIpam(ipam, options)], options);
}

/** Serves both at one socket, under one name. @throws as `serveNetworkDriver` */
export async function servePlugin(
  parts: { readonly driver?: Driver | undefined; readonly ipam?: Ipam | undefined },
  options: ServeNetworkOptions & ServeIpamOptions,
): Promise<PluginServer> {
  const { osl, store, logger = silent } = options;
  const served: Served[] = [];
  if (parts.driver) served.push(await servedNetworkDriver(parts.driver, { osl, store, logger }));
  if (parts.ipam) served.push(servedIpam(parts.ipam, options));
  if (served.length === 0) throw invalid('parts', parts, 'must name a driver, an IPAM, or both');
  try {
    return await PluginServer.listen(served, options);
  } catch (error) {
    for (const each of served) await each.close();
    throw error;
  }
}
