import { invalid } from '../errors.ts';
import type { FirewallEngine } from '../osl/firewall/firewall.ts';
import type { Namespace } from '../osl/osl.ts';
import type { OnAllowed } from './allowed.ts';
import type { NameSource } from './names.ts';

/** A name server that questions are forwarded to. */
export interface Upstream {
  readonly address: string;
  /** Default 53. */
  readonly port?: number | undefined;
  /** Whose network reaches it: `host` for the servers of the host's file, `sandbox` for those the user gave. */
  readonly from: 'host' | 'sandbox';
}

/** What is used of a namespace that questions are sent from. */
export type DialNamespace = Pick<Namespace, 'bindUdp' | 'connectTcp'>;
/** What is used of a sandbox's namespace. */
export type ServerNamespace = DialNamespace & Pick<Namespace, 'listenTcp' | 'firewall'>;

export interface ResolverOptions {
  /** The sandbox's namespace: the server is born in it. */
  readonly namespace: ServerNamespace;
  readonly sandboxId: string;
  readonly names: NameSource;
  /** Asked on every question that is forwarded; the first three that may be asked are used, in order. */
  readonly upstreams: () => readonly Upstream[];
  /**
   * The table that holds the redirection of port 53 in the sandbox's namespace. Without one the caller redirects it
   * to the resolver's ports.
   */
  readonly firewallTable?: string | undefined;
  /** Default `nftables`; `none`: port 53 itself is bound. */
  readonly firewallEngine?: FirewallEngine | undefined;
  /** The user asked for `ndots`: names without a dot are not forwarded, so that the client's search list is tried. */
  readonly ndotsSet?: (() => boolean) | undefined;
  readonly onAllowed?: OnAllowed | undefined;
  readonly limits?: LimitOptions | undefined;
  readonly logger?: Logger | undefined;
  /** The host's namespace, that servers with `from: 'host'` are asked from; without it they are not asked. */
  readonly dial?: DialNamespace | undefined;
}

/** The part of a logger that is used here. */
export interface Logger {
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
}

/** Every limit by its name (design rule 8). */
export interface ResolverLimits {
  /** Forwarded questions that wait for an answer; over it the answer is REFUSED at once. Default 4096, at most 20,000. */
  readonly inFlight: number;
  /** Open TCP connections; over it a new one is closed. Default 64. */
  readonly tcpConnections: number;
  /** How long a TCP connection may say nothing, in milliseconds. Default 10,000. */
  readonly tcpIdleMs: number;
  /** How long one server may take, in milliseconds. Default 4000. */
  readonly timeoutMs: number;
  /** After this time without an answer the next server is asked beside the first, in milliseconds. Default 1000. */
  readonly retryMs: number;
  /** How long an answer may wait for an allowed name to be let through, in milliseconds; then SERVFAIL. Default 2000. */
  readonly allowMs: number;
  /** The time to live of local answers, in seconds. Default 600. */
  readonly ttl: number;
  /** Answers of other servers that are kept for their time to live; 0 keeps none, which is the default. */
  readonly cacheEntries: number;
}

/** Limits to replace the defaults with. */
export type LimitOptions = { readonly [Name in keyof ResolverLimits]?: ResolverLimits[Name] | undefined };

const DEFAULTS: ResolverLimits = {
  inFlight: 4096,
  tcpConnections: 64,
  tcpIdleMs: 10_000,
  timeoutMs: 4000,
  retryMs: 1000,
  allowMs: 2000,
  ttl: 600,
  cacheEntries: 0,
};

/** The least and the most of each limit. */
export const LIMIT_RANGES: Readonly<Record<keyof ResolverLimits, readonly [least: number, most: number]>> = {
  inFlight: [0, 20_000],
  tcpConnections: [0, 10_000],
  tcpIdleMs: [1, 3_600_000],
  timeoutMs: [1, 60_000],
  retryMs: [1, 60_000],
  allowMs: [1, 60_000],
  ttl: [0, 86_400],
  cacheEntries: [0, 100_000],
};

/** The limits with defaults filled in. @throws INVALID_ARGUMENT for one out of its range */
export function checkLimits(given: LimitOptions = {}): ResolverLimits {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  const limits = { ...DEFAULTS, ...Object.fromEntries(said) };
  for (const [name, [least, most]] of Object.entries(LIMIT_RANGES)) {
    const value: unknown = limits[name as keyof ResolverLimits];
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
      throw invalid(`limits.${name}`, value, `must be a whole number from ${least} to ${most}`);
  }
  return limits;
}

/** What has happened since the start. */
export interface ResolverCounters {
  /** Messages that came in, by UDP and TCP. */
  queries: number;
  /** Answered from the names. */
  local: number;
  /** Asked of other servers, each shared question once. */
  forwarded: number;
  /** Joined a question that was under way already. */
  shared: number;
  /** Answered from the cache. */
  cached: number;
  /** Answered REFUSED for the limit `inFlight`. */
  refused: number;
  /** Answered SERVFAIL since no server had an answer, or an allowed name was not let through. */
  failed: number;
  /** Answered FORMERR or NOTIMP, or dropped. */
  malformed: number;
  /** Exchanges with a server that brought no answer. */
  missed: number;
  /** Truncated answers that were fetched again by TCP. */
  tcpRetries: number;
  /** TCP connections closed for the limit `tcpConnections`. */
  tcpRefused: number;
}

export function newCounters(): ResolverCounters {
  return {
    queries: 0,
    local: 0,
    forwarded: 0,
    shared: 0,
    cached: 0,
    refused: 0,
    failed: 0,
    malformed: 0,
    missed: 0,
    tcpRetries: 0,
    tcpRefused: 0,
  };
}
