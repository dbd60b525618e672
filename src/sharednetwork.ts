/** What is other about a network that hosts share: as one of them makes or deletes it, and its endpoints elsewhere. */
import type { Core } from './core.ts';
import type { Driver, Peer } from './driverapi/driver.ts';
import { driverNetwork } from './driverviews.ts';
import type { RemoteEndpoint } from './globalscope/part.ts';
import type { SharedEndpoint } from './globalscope/shapes.ts';
import type { NetworkEntry } from './network.ts';
import { type EndpointRecord, type NetworkRecord, SCHEMA_VERSION } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { namesOf } from './sandboxnames.ts';
import { backendNames } from './services/names.ts';
import type { Undo } from './undo.ts';

/** A network that hosts share is made by each with its first endpoint; what it needs once is taken here. */
export async function makeInDriver(
  core: Core,
  driver: Driver,
  record: NetworkRecord,
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<NetworkRecord> {
  undo.push('give back what the driver took for it', async () => driver.freeNetwork?.(driverNetwork(record)));
  const options = {
    ...record.options,
    ...(await driver.allocateNetwork?.(driverNetwork(record), { signal })),
  };
  const allocated: NetworkRecord = { ...record, options };
  if (core.globals?.shares(record)) return allocated;
  undo.push('delete the network in its driver', () => driver.deleteNetwork(driverNetwork(allocated)));
  await driver.createNetwork(driverNetwork(allocated), { signal });
  return allocated;
}

/** Other hosts may have endpoints on it: those that see the deletion make none, and those that do not are seen. */
export async function refuseIfUsed(core: Core, entry: NetworkEntry, record: NetworkRecord): Promise<void> {
  try {
    await core.globals?.checkUnused(record);
  } catch (error) {
    await core.save(entry, record);
    throw error;
  }
}

/** An endpoint of another host as drivers are told of it; none without what packets need to get there. */
export function peerOf({ endpoint, via }: RemoteEndpoint): Peer[] {
  const { id, macAddress, ipv4, ipv6 } = endpoint;
  if (macAddress === undefined || via === undefined) return [];
  return [{ id, macAddress, ipv4: ipv4?.address, ipv6: ipv6?.address, via }];
}

/** What is known here of an endpoint of another host. */
export function asRecord({ host: _, joined, names, ...endpoint }: SharedEndpoint): EndpointRecord {
  const own = new Set([endpoint.name, ...backendNames(endpoint.service)]);
  return {
    ...endpoint,
    state: 'ready',
    aliases: joined ? names.filter((name) => !own.has(name)) : [],
    gatewayPriority: 0,
    sysctls: {},
    options: {},
    ports: [],
  };
}

/** What a host shows of an endpoint of its own. */
export function asShared(
  record: EndpointRecord,
  host: string,
  sandbox: SandboxEntry | undefined,
): SharedEndpoint {
  const { id, name, networkId, macAddress, ipv4, ipv6, service, join, createdAt } = record;
  const joined = record.state === 'joined' && join !== undefined && !join.pending;
  return {
    schema: SCHEMA_VERSION,
    kind: 'endpoint',
    id,
    name,
    networkId,
    host,
    macAddress,
    ipv4,
    ipv6,
    joined,
    names: joined && sandbox ? namesOf(record, sandbox) : [],
    service,
    createdAt,
  };
}
