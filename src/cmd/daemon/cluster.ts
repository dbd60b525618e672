/** The store that the hosts of a cluster share, by one URL, and what this host is among them. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Datastore } from '../../datastore/datastore.ts';
import { invalid, LibnetworkError } from '../../errors.ts';
import type { ControllerOptions, Logger } from '../../index.ts';
import { formatAddress, parseAddress } from '../../ip.ts';
import type { DaemonConfig } from './config.ts';

/** A secret: of the environment or a file, never of the command line or the settings, which others may read. */
const PASSWORD = 'DNET_CLUSTER_STORE_PASSWORD';

interface StoreUrl {
  readonly kind: 'etcd' | 'consul' | 'zk';
  readonly isTls: boolean;
  /** `10.0.0.1:2379`, one or several. */
  readonly members: readonly string[];
  /** Under which the keys are: `/team`, or nothing. */
  readonly path: string;
}

/** How long the start waits for the store to say whether it takes this host in. */
const ASK_MS = 3_000;

export type ClusterPart = Required<Pick<ControllerOptions, 'cluster'>> & { readonly globalStore: Datastore };

/**
 * Where there is a cluster, its store: open, and asked once. One that does not answer is logged, and no obstacle: what
 * is known of the cluster goes on.
 * @throws INVALID_ARGUMENT naming the setting; NOT_FOUND for a file; FORBIDDEN by the store; UNAVAILABLE for a package
 * that is missing
 */
export async function openCluster(
  config: DaemonConfig,
  environment: NodeJS.ProcessEnv,
  logger: Pick<Logger, 'error'>,
): Promise<ClusterPart | undefined> {
  const { clusterStore, clusterAdvertise, clusterHost: hostId, clusterLeaseMs: leaseMs } = config;
  if (clusterStore === undefined) {
    const orphan = Object.entries(config).find(([key, value]) => /^cluster/.test(key) && value !== undefined);
    if (orphan) throw invalid(orphan[0], orphan[1], 'needs clusterStore (--cluster-store), too');
    return undefined;
  }
  const url = parseStore(clusterStore);
  const address = clusterAdvertise === undefined ? undefined : ownAddress(clusterAdvertise, config.fake);
  const globalStore = await openStore(url, config, environment);
  try {
    await ask(globalStore, clusterStore, logger);
  } catch (error) {
    await globalStore.close();
    throw error;
  }
  return { globalStore, cluster: { hostId, address, leaseMs } };
}

/** @throws INVALID_ARGUMENT, without the text where a password may be in it */
export function parseStore(text: string): StoreUrl {
  const forms = 'etcd://10.0.0.1:2379,10.0.0.2:2379 (or etcds, consul, consuls, zk), with a /path or without';
  if (text.includes('@')) {
    const advice = `users and passwords do not belong into it: set clusterStoreUser and ${PASSWORD}, or clusterStorePasswordFile`;
    throw new LibnetworkError('INVALID_ARGUMENT', `clusterStore: ${advice}`, { field: 'clusterStore' });
  }
  const [, scheme = '', members = '', path = ''] =
    /^(etcds?|consuls?|zk):\/\/([^/,\s]+:\d{1,5}(?:,[^/,\s]+:\d{1,5})*)((?:\/[\w-]+)*)\/?$/.exec(text) ?? [];
  if (scheme === '') throw invalid('clusterStore', text, `must be like ${forms}`);
  const kind = scheme.startsWith('etcd') ? 'etcd' : scheme.startsWith('consul') ? 'consul' : 'zk';
  return { kind, isTls: scheme.endsWith('s'), members: members.split(','), path };
}

/** An address of this host, or a link's first. @throws INVALID_ARGUMENT telling which there are */
export function ownAddress(text: string, isFake: boolean): string {
  const given = parseAddress(text);
  if (given && isFake) return formatAddress(given);
  const links = Object.entries(networkInterfaces()).map(([link, all = []]) => ({
    link,
    addresses: all.filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address),
  }));
  const addresses = links.flatMap((each) => each.addresses);
  const wanted = given ? formatAddress(given) : links.find(({ link }) => link === text)?.addresses[0];
  if (wanted !== undefined && addresses.includes(wanted)) return wanted;
  const there = addresses.join(', ') || 'none but the loopback’s';
  const why = `must be an address of this host that others reach, or a link that has one; there are ${there}`;
  throw invalid('clusterAdvertise', text, why);
}

async function openStore(
  { kind, isTls, members, path }: StoreUrl,
  config: DaemonConfig,
  environment: NodeJS.ProcessEnv,
): Promise<Datastore> {
  const stores = await import('../../datastore/index.ts');
  const tls = readTls(config, isTls);
  const { username, password } = readUser(config, environment);
  const auth = username === undefined ? undefined : { username, password: password ?? '' };
  const endpoints = members.map((member) => `${isTls ? 'https' : 'http'}://${member}`);
  const { clusterTimeoutMs: timeoutMs } = config;
  const prefix = path === '' ? undefined : `${path.slice(1)}/`;
  if (kind !== 'consul' && (username === undefined) !== (password === undefined))
    throw invalid('clusterStoreUser', username, `needs ${PASSWORD} or clusterStorePasswordFile, and they it`);
  switch (kind) {
    case 'etcd':
      return stores.etcdStore({ endpoints, prefix, timeoutMs, tls, auth });
    case 'consul':
      return stores.consulStore({ endpoints, prefix, timeoutMs, tls, token: password });
    case 'zk':
      return stores.zookeeperStore({ servers: members.join(','), root: path || undefined, timeoutMs, auth });
  }
}

function readTls(config: DaemonConfig, isTls: boolean) {
  const { clusterStoreCaCert: ca, clusterStoreCert: cert, clusterStoreKey: key } = config;
  const given = ca ?? cert ?? key;
  if (given === undefined) return undefined;
  if (!isTls)
    throw invalid('clusterStore', config.clusterStore, 'with certificates must be etcds or consuls');
  const [caText, certText, keyText] = [ca, cert, key].map((file) => file && readSetting(file));
  return { ca: caText, cert: certText, key: keyText };
}

function readUser(config: DaemonConfig, environment: NodeJS.ProcessEnv) {
  const { clusterStoreUser: username, clusterStorePasswordFile: file } = config;
  const password = file === undefined ? environment[PASSWORD] : readSetting(file).trimEnd();
  return { username, password: password === '' ? undefined : password };
}

function readSetting(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const what = `the file ${file}, for the cluster’s store, can't be read`;
    throw new LibnetworkError('NOT_FOUND', what, { value: file, cause });
  }
}

async function ask(store: Datastore, url: string, logger: Pick<Logger, 'error'>): Promise<void> {
  const over = AbortSignal.timeout(ASK_MS);
  try {
    await store.get('docker/network/v1.0/host/', { signal: over });
  } catch (error) {
    if (!LibnetworkError.is(error, 'UNAVAILABLE') && !over.aborted) throw error;
    const step = 'see whether it runs, and whether the address, the firewall and the certificates are right';
    const meanwhile = 'networks of the cluster stay as they are until it answers';
    logger.error(`the cluster’s store ${url} does not answer: ${step}; ${meanwhile}`, { error });
  }
}
