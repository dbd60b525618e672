import { LibnetworkError } from '../errors.ts';
import type { FirewallEngine } from '../osl/firewall/firewall.ts';
import type { Namespace } from '../osl/osl.ts';
import type { NameSource } from './names.ts';

/** The address of the embedded name server inside every sandbox. */
export const RESOLVER_ADDRESS = '127.0.0.11';

/** A name server that questions are forwarded to. */
export interface Upstream {
  readonly address: string;
  /** Default 53. */
  readonly port?: number | undefined;
  /** Whose network reaches it: `host` for the servers of the host's file, `sandbox` for those the user gave. */
  readonly from: 'host' | 'sandbox';
}

export interface ResolverOptions {
  /** The sandbox's namespace: the server is born in it. */
  readonly namespace: Namespace;
  readonly sandboxId: string;
  readonly names: NameSource;
  /** Asked on every question that is forwarded; the first three are used, in order. */
  readonly upstreams: () => readonly Upstream[];
  /** False: servers of the host are not asked (internal networks); those reached from the sandbox still are. */
  readonly forwarding: () => boolean;
  /** The table that holds the redirection of port 53 in the sandbox's namespace. */
  readonly firewallTable: string;
  /** Default `nftables`; `none`: port 53 itself is bound. */
  readonly firewallEngine?: FirewallEngine | undefined;
  /** The user asked for `ndots`: names without a dot are not forwarded, so that the client's search list is tried. */
  readonly ndotsSet?: (() => boolean) | undefined;
  readonly limits?: Partial<ResolverLimits> | undefined;
  readonly logger?: Logger | undefined;
  /** The host's namespace, that servers with `from: 'host'` are asked from; without it they are not asked. */
  readonly dial?: Namespace | undefined;
}

/** The part of a logger that is used here. */
export interface Logger {
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
}

/** Every limit by its name (design rule 8). */
export interface ResolverLimits {
  /** Forwarded questions in flight; over it the answer is REFUSED at once. Default 4096. */
  readonly inFlight: number;
  /** Open TCP connections; over it a new one is closed. Default 64. */
  readonly tcpConnections: number;
}

export interface Resolver {
  readonly address: string;
  /** Frees the sockets and takes the redirection away. Twice is fine. */
  close(): Promise<void>;
  readonly counters: ResolverCounters;
}

export interface ResolverCounters {
  /** Questions that came in, by UDP and TCP. */
  readonly queries: number;
}

/**
 * Starts the name server of a sandbox: UDP and TCP on 127.0.0.11, reached at port 53.
 * @throws CONFLICT when port 53 is to be bound and is taken; kernel errors as `kernelError` tells
 */
export async function startResolver(_options: ResolverOptions): Promise<Resolver> {
  throw new LibnetworkError('NOT_IMPLEMENTED', 'the resolver is not built yet');
}
