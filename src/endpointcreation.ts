import type { Core } from './core.ts';
import type { Driver } from './driverapi/driver.ts';
import { driverEndpoint, driverNetwork, placeOf } from './driverviews.ts';
import { addEndpoint, type Endpoint, type EndpointEntry, removeEndpoint } from './endpoint.ts';
import { addressesOf, checkAddresses, requestAddresses, withMac } from './endpointaddresses.ts';
import { parseEndpoint } from './endpointlabels.ts';
import type { EndpointOptions } from './endpointoptions.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import { type EndpointId, newId } from './ids.ts';
import { checkLimits } from './limits.ts';
import type { NetworkEntry } from './network.ts';
import { type EndpointRecord, SCHEMA_VERSION } from './records.ts';
import { allOrNothing, type Undo } from './undo.ts';

export async function createEndpoint(
  core: Core,
  network: NetworkEntry,
  options: EndpointOptions,
  signal: AbortSignal | undefined,
): Promise<Endpoint> {
  const parsed = parseEndpoint(options);
  checkNetwork(core, network);
  checkAddresses(network.record, parsed);
  if (network.endpoints.has(parsed.name)) {
    throw new LibnetworkError(
      'ALREADY_EXISTS',
      `endpoint with name ${parsed.name} already exists in network ${network.record.name}`,
      {
        field: 'name',
        value: parsed.name,
        holder: `endpoint ${network.endpoints.get(parsed.name)?.record.id}`,
      },
    );
  }
  throwIfAborted(signal);
  const driver = core.driver(network.record.driver);
  checkLimits(driver, parsed.limits);
  const { ipv4: wanted4, ipv6: wanted6, ...rest } = withMac(core, network, parsed);
  const record: EndpointRecord = {
    schema: SCHEMA_VERSION,
    kind: 'endpoint',
    state: 'creating',
    id: newId<EndpointId>(),
    networkId: network.record.id,
    createdAt: new Date().toISOString(),
    ...rest,
  };
  driver.checkEndpoint?.({
    network: driverNetwork(network.record),
    endpoint: driverEndpoint(record),
  });
  // In the table from here on: the name is taken, and the network can't be deleted meanwhile.
  const entry = addEndpoint(core, network, record);
  entry.making = true;
  return allOrNothing(async (undo) => {
    undo.push('forget the endpoint', async () => removeEndpoint(core, entry));
    await core.globals?.takePart(network);
    const holder = { kind: 'endpoint', name: record.name, macAddress: record.macAddress } as const;
    const held = driver.capability.usesIpam
      ? await requestAddresses(core, network, holder, { ipv4: wanted4, ipv6: wanted6 }, undo, signal)
      : {};
    const service = record.service && (await core.services.claim(entry, record.service));
    undo.push('give the addresses of its service back', () => core.services.release(entry));
    const asked: EndpointRecord = { ...record, ...held, service };
    const place = { network: driverNetwork(network.record), endpoint: driverEndpoint(asked) };
    const decision = driver.decideEndpoint?.(place);
    const planned: EndpointRecord = { ...asked, macAddress: decision?.macAddress ?? asked.macAddress };
    throwIfAborted(signal);
    undo.push('erase the record', () => core.erase(planned));
    if (driver.createEndpoint || core.globals?.shares(network.record))
      await createInDriver(core, driver, entry, planned, undo, signal);
    else await core.save(entry, { ...planned, state: 'ready' });
    await core.services.keep(entry);
    entry.making = false;
    core.events.emit('endpoint:create', {
      networkId: record.networkId,
      endpointId: record.id,
      name: record.name,
    });
    return entry.handle;
  });
}

/** For what others make or are told, too: recorded before, and again when it is there. */
async function createInDriver(
  core: Core,
  driver: Driver,
  entry: EndpointEntry,
  planned: EndpointRecord,
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<void> {
  await core.save(entry, planned);
  undo.push('delete the endpoint in its driver', async () => driver.deleteEndpoint?.(placeOf(entry)));
  const decision = await driver.createEndpoint?.(placeOf(entry), { signal });
  throwIfAborted(signal);
  await core.save(entry, {
    ...planned,
    ...addressesOf(planned, decision),
    state: 'ready',
    macAddress: decision?.macAddress ?? planned.macAddress,
  });
}

function checkNetwork(core: Core, network: NetworkEntry): void {
  const { id, name, state, configOnly } = network.record;
  if (configOnly)
    throw new LibnetworkError('FORBIDDEN', `cannot create endpoint on configuration-only network ${name}`);
  if (core.networks.get(id) === network && state === 'ready') return;
  throw new LibnetworkError(
    'NOT_FOUND',
    `network ${name} (${id.slice(0, 12)}) does not exist or is being deleted`,
  );
}
