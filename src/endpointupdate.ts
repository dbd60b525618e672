/** Changes to an endpoint in place: what stays as it was is not touched, and its flows go on. */
import type { Core } from './core.ts';
import { gatewaysOf } from './defaultroutes.ts';
import type { EndpointLimits, PortRequest } from './driverapi/driver.ts';
import { driverEndpoint, driverNetwork } from './driverviews.ts';
import type { EndpointEntry } from './endpoint.ts';
import { invalid, LibnetworkError, throwIfAborted } from './errors.ts';
import { publishedFamilies } from './gateway.ts';
import { withBothLocks } from './leave.ts';
import { checkLimits } from './limits.ts';
import { parseOptions, type Waits } from './options.ts';
import type { EndpointRecord } from './records.ts';
import { showNames } from './sandboxnames.ts';
import type { ServiceChanges } from './serviceoptions.ts';
import { allOrNothing } from './undo.ts';

/** What can be changed of an endpoint in place. What is not named stays. */
export interface EndpointChanges extends Waits {
  /** All the ports to publish from now on. Those that were published before keep their host ports. */
  readonly ports?: readonly PortRequest[] | undefined;
  /** All its limits from now on; `{}` for none. */
  readonly limits?: EndpointLimits | undefined;
  /** All its labels from now on; `{}` for none. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Drains it, or takes it back among those of its service that get new connections. */
  readonly service?: ServiceChanges | undefined;
}

type Changes = Pick<EndpointRecord, 'ports' | 'limits' | 'labels' | 'service'>;

/**
 * Makes the changes, or none of them.
 * @throws INVALID_ARGUMENT for what can't be changed in place; CONFLICT when a port is taken, naming its holder;
 * NOT_FOUND when the endpoint is gone
 */
export async function updateEndpoint(
  core: Core,
  entry: EndpointEntry,
  { signal, ...changes }: EndpointChanges,
): Promise<void> {
  const parsed = parseChanges(entry.record, changes);
  for (let done = false; !done; ) {
    const sandboxId = entry.record.join?.sandboxId;
    const update = async () => {
      // It joined or left while the lock was waited for: other locks are needed.
      done = entry.record.join?.sandboxId === sandboxId;
      if (done) await updateLocked(core, entry, parsed, signal);
    };
    if (sandboxId === undefined) await core.locks.with('endpoint', entry.record.id, signal, update);
    else await withBothLocks(core, sandboxId, entry, signal, update);
  }
  const { networkId, id: endpointId, name } = entry.record;
  core.events.emit('endpoint:update', { networkId, endpointId, name });
}

function parseChanges(record: EndpointRecord, changes: Omit<EndpointChanges, 'signal'>): Changes {
  for (const [field, value] of Object.entries(changes)) {
    if (['ports', 'limits', 'labels', 'service'].includes(field)) continue;
    throw invalid(
      field,
      value,
      'is nothing that can be changed in place: delete the endpoint, and make it anew',
    );
  }
  const { ports = record.ports, limits = record.limits, labels = record.labels } = changes;
  const parsed = parseOptions('endpoint', { name: record.name, ports, limits, labels });
  return {
    ports: changes.ports === undefined ? record.ports : parsed.ports,
    limits: changes.limits === undefined ? record.limits : parsed.limits,
    labels: changes.labels === undefined ? record.labels : parsed.labels,
    service: serviceAfter(record, changes.service),
  };
}

function serviceAfter({ name, service }: EndpointRecord, changes: ServiceChanges | undefined) {
  if (changes === undefined) return service;
  if (!service) throw invalid('service', changes, `endpoint ${name} belongs to no service`);
  const { enabled = service.enabled } = parseOptions('serviceChanges', changes);
  return enabled === service.enabled ? service : { ...service, enabled };
}

async function updateLocked(
  core: Core,
  entry: EndpointEntry,
  changes: Changes,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { record } = entry;
  if (core.endpoints.get(record.id) !== entry || !['ready', 'joined'].includes(record.state)) {
    throw new LibnetworkError(
      'NOT_FOUND',
      `endpoint ${record.name} (${record.id.slice(0, 12)}) does not exist or is being deleted`,
    );
  }
  throwIfAborted(signal);
  const changed: EndpointRecord = { ...record, ...changes };
  const network = driverNetwork(entry.network.record);
  const driver = core.driver(entry.network.record.driver);
  const place = (of: EndpointRecord) => ({ network, endpoint: driverEndpoint(of) });
  driver.checkEndpoint?.(place(changed));
  driver.decideEndpoint?.(place(changed));
  checkLimits(driver, changed.limits);
  const { join } = record;
  const sandbox = join && core.sandboxes.get(join.sandboxId);
  // A join that waits for its namespace has neither link nor ports yet: `setKey` makes them as the record says then.
  if (!join || join.pending || !sandbox) return core.save(entry, changed);
  const families = publishedFamilies(record.id, gatewaysOf(sandbox));
  // Until the record is written it names the former ports and limits, which a restart brings back.
  await allOrNothing(async (undo) => {
    let { bindings } = join;
    if (changes.ports !== record.ports && driver.publish) {
      bindings = await driver.publish(place(changed), families, { signal });
      const back = place({ ...record, join: { ...join, bindings } });
      undo.push('publish the former ports', async () => driver.publish?.(back, families));
    }
    if (changes.limits !== record.limits) {
      undo.push('bring the former limits back', async () => driver.limit?.(place(record)));
      await driver.limit?.(place(changed));
    }
    if (changes.labels !== record.labels) {
      undo.push('bring the former labels back', async () => driver.relabel?.(place(record)));
      await driver.relabel?.(place(changed));
    }
    throwIfAborted(signal);
    await core.save(entry, { ...changed, join: { ...join, bindings } });
  });
  if (changes.service === record.service || record.state !== 'joined') return;
  showNames(core, entry, sandbox);
  await core.services.settled();
}
