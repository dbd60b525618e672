import { invalid } from '../../errors.ts';
import { checkPrefix } from '../entry.ts';

export interface ConsulStoreOptions {
  /** Agents, such as `http://127.0.0.1:8500`; one is used until it fails, then the next. */
  readonly endpoints: string | readonly string[];
  /** Put before every key. Default `libnetwork/`. */
  readonly prefix?: string | undefined;
  /** How long a call may take, in milliseconds, with all its attempts. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  readonly tls?: ConsulTls | undefined;
  /** An ACL token's secret id, with `key_prefix` write and `session_prefix` write. */
  readonly token?: string | undefined;
  /** The datacenter. Default: the agent's own. */
  readonly datacenter?: string | undefined;
  /** How many operations a transaction may have. Default 64; newer servers take 128. */
  readonly maxOperations?: number | undefined;
}

/** PEM texts, for `https` endpoints. */
export interface ConsulTls {
  readonly ca?: string | Uint8Array | undefined;
  readonly cert?: string | Uint8Array | undefined;
  readonly key?: string | Uint8Array | undefined;
}

export interface CheckedConsulOptions {
  readonly endpoints: readonly URL[];
  readonly prefix: string;
  readonly timeoutMs: number | undefined;
  readonly tls: ConsulTls | undefined;
  readonly token: string | undefined;
  readonly datacenter: string | undefined;
  readonly maxOperations: number;
}

/** @throws INVALID_ARGUMENT naming the field */
export function checkConsulOptions(options: ConsulStoreOptions): CheckedConsulOptions {
  const given = typeof options.endpoints === 'string' ? [options.endpoints] : options.endpoints;
  if (given.length === 0) throw invalid('endpoints', given, 'must name at least one agent');
  const endpoints = given.map((each) => {
    if (!URL.canParse(each) || !/^https?:\/\/[^/]+\/?$/.test(each))
      throw invalid('endpoints', each, 'must be like http://127.0.0.1:8500');
    return new URL(each);
  });
  const { tls, token, datacenter, prefix = 'libnetwork/', maxOperations = 64 } = options;
  if (tls !== undefined && endpoints.some((each) => each.protocol === 'http:'))
    throw invalid('tls', Object.keys(tls), 'needs https endpoints');
  if (!Number.isInteger(maxOperations) || maxOperations < 1)
    throw invalid('maxOperations', maxOperations, 'must be a positive whole number');
  checkPrefix(prefix);
  return { endpoints, prefix, timeoutMs: options.timeoutMs, tls, token, datacenter, maxOperations };
}
