import type { Namespace } from '../osl/osl.ts';
import type { NameSource } from './names.ts';
import type { DialNamespace, LimitOptions, Logger, ResolverCounters, Upstream } from './options.ts';
import { startResolver } from './resolver.ts';

/** What a name server asks elsewhere; it may change while it runs. */
export interface Upstreams {
  /** In the order in which they are asked; at most three are used. */
  readonly upstreams: readonly Upstream[];
  /** The user asked for `ndots`: names without a dot are not forwarded. */
  readonly ndotsSet: boolean;
}

/** What the name server of one sandbox needs to know, as plain data. */
export interface NameServerSpec extends Upstreams {
  readonly sandboxId: string;
  /** The table that holds the redirection of port 53. */
  readonly firewallTable: string;
}

export type DnsCounters = Readonly<ResolverCounters> & {
  /** Forwarded questions that wait for an answer now. */
  readonly inFlight: number;
};

/** The name server of one sandbox, running. */
export interface NameServer {
  /** What has happened since it started. @throws UNAVAILABLE while it can't be asked */
  counters(): Promise<DnsCounters>;
  /** Asks these servers from the next question on. */
  update(upstreams: Upstreams): void;
  /** Frees the sockets; with `removeRules` the redirection of port 53 too. Twice is fine. */
  close(options?: { readonly removeRules?: boolean }): Promise<void>;
}

/** Runs the name servers of all sandboxes. */
export interface NameServers {
  /** @throws as `startResolver` does; nothing stays behind then */
  start(spec: NameServerSpec, namespace: Namespace): Promise<NameServer>;
  /** Ends what runs them. The servers are closed before, each by who started it. */
  close(): Promise<void>;
}

export interface NameServersOptions {
  /** The host's namespace, that the host's servers are asked from. */
  readonly host: DialNamespace;
  readonly names: NameSource;
  readonly limits?: LimitOptions | undefined;
  readonly logger?: Logger | undefined;
}

/** Name servers that run in this thread. */
export function nameServersHere({ host, names, limits, logger }: NameServersOptions): NameServers {
  return {
    start: async ({ sandboxId, firewallTable, ...first }, namespace) => {
      let now: Upstreams = first;
      const resolver = await startResolver({
        sandboxId,
        firewallTable,
        namespace,
        names,
        upstreams: () => now.upstreams,
        ndotsSet: () => now.ndotsSet,
        limits,
        logger,
        dial: host,
      });
      return {
        counters: async () => resolver.counters,
        update: (upstreams) => {
          now = upstreams;
        },
        close: (options) => resolver.close(options),
      };
    },
    close: async () => undefined,
  };
}
