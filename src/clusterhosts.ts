/** The hosts of the cluster, as one of them knows them. */
import type { GlobalScope } from './globalscope/globalscope.ts';
import type { NetworkId } from './ids.ts';

/** A host of those that share a global store. */
export interface ClusterHost {
  readonly id: string;
  /** By which other hosts reach it; `undefined` for one that is gone. */
  readonly address: string | undefined;
  /** Whether it has said that it is there, and its lease is not over. */
  readonly live: boolean;
  /** Whether it is the host that was asked. */
  readonly self: boolean;
}

/** What is known of hosts. */
export type KnownHosts = Pick<GlobalScope, 'host' | 'address' | 'hosts' | 'knownRemote'>;

/** Those that live, this one, and those whose endpoints on the networks are still known. @throws UNAVAILABLE */
export async function clusterHosts(
  scope: KnownHosts,
  networks: Iterable<NetworkId>,
  signal: AbortSignal | undefined,
): Promise<readonly ClusterHost[]> {
  const live = new Map((await scope.hosts(signal)).map(({ id, address }) => [id, address]));
  const holders = [...networks].flatMap((id) =>
    (scope.knownRemote(id) ?? []).map(({ endpoint }) => endpoint.host),
  );
  return [...new Set([scope.host, ...live.keys(), ...holders])].sort().map((id) => ({
    id,
    address: live.get(id) ?? (id === scope.host ? scope.address : undefined),
    live: live.has(id),
    self: id === scope.host,
  }));
}
