import { invalid } from '../../errors.ts';

export interface ZookeeperStoreOptions {
  /** The ensemble: `10.0.0.1:2181,10.0.0.2:2181`. */
  readonly servers: string;
  /** The znode under which everything is kept. Default `/libnetwork`. */
  readonly root?: string | undefined;
  /** How long a call may take, in milliseconds, with all its attempts. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  /** A user of ZooKeeper's digest scheme. What the store writes is then for this user alone. */
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
  /** The servers' `jute.maxbuffer`: how many bytes a value, a transaction, or the names of all keys may take. Default 1,000,000. */
  readonly maxBytes?: number | undefined;
}

export interface CheckedZookeeperOptions {
  readonly servers: string;
  readonly root: string;
  readonly timeoutMs: number | undefined;
  readonly auth: { readonly username: string; readonly password: string } | undefined;
  readonly maxBytes: number;
}

/** @throws INVALID_ARGUMENT naming the field */
export function checkZookeeperOptions(options: ZookeeperStoreOptions): CheckedZookeeperOptions {
  const { servers, root = '/libnetwork', timeoutMs, auth, maxBytes = 1_000_000 } = options;
  if (typeof servers !== 'string' || !/^[^/,:]+:\d+(,[^/,:]+:\d+)*$/.test(servers))
    throw invalid('servers', servers, 'must be like 10.0.0.1:2181,10.0.0.2:2181');
  if (!/^(\/[\w-]+)+$/.test(root)) throw invalid('root', root, 'must be a path such as /libnetwork');
  if (auth?.username.includes(':')) throw invalid('auth.username', auth.username, 'must be without a colon');
  if (!Number.isInteger(maxBytes) || maxBytes < 1024)
    throw invalid('maxBytes', maxBytes, 'must be a whole number of at least 1,024');
  return { servers, root, timeoutMs, auth, maxBytes };
}
