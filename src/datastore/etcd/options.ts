import { invalid } from '../../errors.ts';
import { checkPrefix } from '../entry.ts';

export interface EtcdStoreOptions {
  /**
   * The members of the cluster, such as `http://10.0.0.1:2379`; `https` for TLS (all or none). One is used until it
   * fails, then the next.
   */
  readonly endpoints: string | readonly string[];
  /** Put before every key, so that several clusters of hosts can share one etcd. Default: none. */
  readonly prefix?: string | undefined;
  /** How long a call may take, in milliseconds, with all its attempts. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  readonly tls?: EtcdTls | undefined;
  /** A user of etcd's own, as `etcdctl user add` makes it. */
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
  /** The server's `--max-txn-ops`: how many operations a transaction may have. Default 128, as etcd's. */
  readonly maxOperations?: number | undefined;
}

/** PEM texts, for `https` endpoints. */
export interface EtcdTls {
  /** The authorities that may have signed the servers' certificates. Default: those that Node trusts. */
  readonly ca?: string | Uint8Array | undefined;
  /** This client's certificate and key, where the servers ask for one. */
  readonly cert?: string | Uint8Array | undefined;
  readonly key?: string | Uint8Array | undefined;
}

/** etcd's default for `--max-txn-ops`. */
export const DEFAULT_MAX_OPERATIONS = 128;

export interface CheckedEtcdOptions {
  readonly endpoints: readonly string[];
  readonly prefix: string;
  readonly timeoutMs: number | undefined;
  readonly tls: EtcdTls | undefined;
  readonly auth: { readonly username: string; readonly password: string } | undefined;
  readonly maxOperations: number;
}

/** @throws INVALID_ARGUMENT naming the field */
export function checkEtcdOptions(options: EtcdStoreOptions): CheckedEtcdOptions {
  const endpoints = typeof options.endpoints === 'string' ? [options.endpoints] : [...options.endpoints];
  if (endpoints.length === 0) throw invalid('endpoints', endpoints, 'must name at least one member');
  for (const each of endpoints)
    if (!/^https?:\/\/[^/]+:\d+$/.test(each))
      throw invalid('endpoints', each, 'must be like http://10.0.0.1:2379 or https://10.0.0.1:2379');
  if (new Set(endpoints.map((each) => each.startsWith('https:'))).size > 1)
    throw invalid('endpoints', endpoints, 'must be all http or all https');
  const { tls, maxOperations = DEFAULT_MAX_OPERATIONS, prefix = '' } = options;
  if (tls !== undefined && endpoints[0]?.startsWith('http:'))
    throw invalid('tls', Object.keys(tls), 'needs https endpoints');
  if ((tls?.cert === undefined) !== (tls?.key === undefined))
    throw invalid('tls', Object.keys(tls ?? {}), 'needs cert and key together');
  if (!Number.isInteger(maxOperations) || maxOperations < 1)
    throw invalid('maxOperations', maxOperations, 'must be a positive whole number');
  checkPrefix(prefix);
  return { endpoints, prefix, timeoutMs: options.timeoutMs, tls, auth: options.auth, maxOperations };
}
