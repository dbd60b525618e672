import type { Namespace } from '../osl/osl.ts';
import type { OnAllowed } from './allowed.ts';
import type { NameSource } from './names.ts';
import type {
  DialNamespace,
  LimitOptions,
  Logger,
  ResolverCounters,
  ServerNamespace,
  Upstream,
} from './options.ts';
import type { ResolverPorts } from './redirect.ts';
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
  /** The servers to ask from now on, as in the spec. What is under way goes on with the former ones. */
  follow(upstreams: readonly Upstream[], ndotsSet: boolean): void;
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
  readonly onAllowed?: OnAllowed | undefined;
  readonly limits?: LimitOptions | undefined;
  readonly logger?: Logger | undefined;
}

/** Name servers that run in this thread. */
export function nameServersHere(options: NameServersOptions): NameServers {
  return {
    start: async (spec, namespace) => startNameServer(spec, namespace, options),
    close: async () => undefined,
  };
}

/** Starts one in this thread; without a table its ports are to be redirected to by the caller. */
export async function startNameServer(
  {
    upstreams,
    ndotsSet,
    ...spec
  }: Omit<NameServerSpec, 'firewallTable'> & { readonly firewallTable?: string },
  namespace: ServerNamespace,
  { host, ...options }: NameServersOptions,
): Promise<NameServer & { readonly ports: ResolverPorts }> {
  let now: Upstreams = { upstreams, ndotsSet };
  const resolver = await startResolver({
    ...spec,
    ...options,
    namespace,
    upstreams: () => now.upstreams,
    ndotsSet: () => now.ndotsSet,
    dial: host,
  });
  return {
    ports: resolver.ports,
    counters: async () => resolver.counters,
    follow: (servers, isNdotsSet) => {
      now = { upstreams: servers, ndotsSet: isNdotsSet };
    },
    close: (options) => resolver.close(options),
  };
}
