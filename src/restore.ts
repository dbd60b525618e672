/** Start: records become objects again, half-done operations are finished or undone, the dead are cleaned up. */
import type { Core } from './core.ts';
import type { DriverState } from './driverapi/driver.ts';
import { driverEndpoint, driverNetwork, joinedAt } from './driverviews.ts';
import { addEndpoint, type EndpointEntry } from './endpoint.ts';
import { LibnetworkError } from './errors.ts';
import { finishHalfDone, takeUp } from './halfdone.ts';
import { addNetwork } from './network.ts';
import { showNetworkNames } from './networknames.ts';
import {
  type EndpointRecord,
  type NetworkRecord,
  ROOT,
  type SandboxRecord,
  type StoredRecord,
} from './records.ts';
import { readWholeRecord } from './recordschema.ts';
import { addSandbox, type SandboxEntry } from './sandbox.ts';
import { finishSandboxDeletion } from './sandboxdeletion.ts';
import { allOfThem } from './undo.ts';

/** Reads every record into the tables. @throws INTERNAL for a record that can't be read */
export async function loadRecords(core: Core): Promise<void> {
  for (const record of await load<NetworkRecord>(core, 'network')) {
    if (!record.configOnly) core.adopt({ driver: record.driver, ipam: record.ipam.driver });
    addNetwork(core, record);
    showNetworkNames(core, record);
  }
  for (const record of await load<SandboxRecord>(core, 'sandbox')) addSandbox(core, record);
  for (const record of await load<EndpointRecord>(core, 'endpoint')) {
    const network = core.networks.get(record.networkId);
    // A network's record goes after those of its endpoints: one without can't be ours.
    if (!network)
      throw new LibnetworkError(
        'INTERNAL',
        `endpoint ${record.id} is of no known network ${record.networkId}`,
      );
    addEndpoint(core, network, record);
  }
  const joined = [...core.endpoints.values()].filter((entry) => entry.record.join);
  joined.sort((a, b) => (a.record.join?.order ?? 0) - (b.record.join?.order ?? 0));
  for (const entry of joined) {
    const sandbox = entry.record.join && core.sandboxes.get(entry.record.join.sandboxId);
    if (!sandbox) continue;
    sandbox.endpoints.set(entry.record.id, entry);
    sandbox.nextOrder = Math.max(sandbox.nextOrder, (entry.record.join?.order ?? 0) + 1);
  }
}

/** In the order in which they were made. */
async function load<R extends StoredRecord>(
  core: Core,
  kind: 'network' | 'endpoint' | 'sandbox',
): Promise<R[]> {
  const entries = await core.store.list(`${ROOT}${kind}/`);
  const records = entries.map(({ key, value }) => readWholeRecord(key, value) as R);
  return records.sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0));
}

/** True for a sandbox whose container is alive by the caller's word, and whose making had ended. */
function isActive(sandbox: SandboxEntry | undefined, active: ReadonlySet<string>): boolean {
  if (sandbox?.record.state !== 'ready') return false;
  return active.has(sandbox.record.containerId) || active.has(sandbox.record.id);
}

/** What the records say to one driver. An endpoint counts as joined only where it stays joined. */
export function driverState(core: Core, driver: string, active?: ReadonlySet<string>): DriverState {
  const networks = [...core.networks.values()].filter(
    ({ record }) => record.driver === driver && !record.configOnly && isHere(core, record),
  );
  const seen = networks.map((entry) => ({ entry, network: driverNetwork(entry.record) }));
  return {
    ...(core.globals && { peers: core.globals.peers() }),
    networks: seen.map(({ network }) => network),
    endpoints: seen.flatMap(({ entry: { endpoints }, network }) =>
      [...endpoints.values()].map((entry) => ({
        network,
        endpoint: driverEndpoint(entry.record),
        joined: staysJoined(core, entry, active),
        at: joinedAt(core, entry.record),
      })),
    ),
  };
}

/** A network that hosts share is in the driver only where this host has endpoints on it. */
function isHere({ globals }: Core, record: NetworkRecord): boolean {
  return !globals?.shares(record) || globals.takesPart(record.id);
}

function staysJoined(core: Core, entry: EndpointEntry, active: ReadonlySet<string> | undefined): boolean {
  const { state, join } = entry.record;
  if (state !== 'joined' || join === undefined || join.pending) return false;
  return active === undefined || isActive(core.sandboxes.get(join.sandboxId), active);
}

/**
 * Brings every record to a resting state: what was being made is unmade, what was being deleted is deleted, joins
 * that had not ended are left, sandboxes of dead containers are deleted; those alive are taken up as they are.
 * One object that fails does not keep the others: it keeps its state, is logged, and is tried again next time.
 */
export async function settle(core: Core, activeSandboxes: readonly string[]): Promise<void> {
  const active = new Set(activeSandboxes);
  await Promise.all(
    [...core.drivers.values()].map((driver) => driver.restore(driverState(core, driver.name, active))),
  );
  await eachOf(core, [...core.sandboxes.values()], (entry) => {
    if (isActive(entry, active)) return takeUp(core, entry);
    // Not written: should the deletion fail and this process end, the next one decides anew.
    entry.record = Object.freeze({ ...entry.record, state: 'deleting' });
    return finishSandboxDeletion(core, entry, true);
  });
  await finishHalfDone(core);
}

async function eachOf<T>(core: Core, entries: readonly T[], act: (entry: T) => Promise<void>): Promise<void> {
  await Promise.all(
    entries.map(async (entry) => {
      try {
        await act(entry);
      } catch (error) {
        core.logger.error('an object could not be settled at start; it will be tried again', { error });
      }
    }),
  );
}

/** Ends what this process holds; namespaces, links, rules and records stay for the next controller. */
export async function release(core: Core, close: (entry: SandboxEntry) => Promise<void>): Promise<void> {
  await allOfThem(
    'close the controller',
    [...core.sandboxes.values()].map((entry) => () => close(entry)),
  );
}
