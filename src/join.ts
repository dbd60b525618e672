/** Joining and leaving: where a network, an endpoint and a sandbox meet. */
import { type Core, driverEndpoint, driverNetwork, placeOf } from './core.ts';
import type { Driver, JoinResult, PortBinding } from './driverapi/driver.ts';
import type { EndpointEntry } from './endpoint.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import { chooseGateways, type Gateways, publishedFamilies } from './gateway.ts';
import type { SandboxId } from './ids.ts';
import { FAMILIES, type Family, parseCidr } from './ip.ts';
import { setIpv6 } from './ipv6.ts';
import { type JoinOptions, parseOptions } from './options.ts';
import type { Change, Namespace } from './osl/osl.ts';
import type { EndpointRecord, JoinRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { updateHosts } from './sandboxfiles.ts';
import { allOfThem, allOrNothing, together, type Undo } from './undo.ts';

/** The network option that names the interfaces in a container (upstream's netlabel). */
const INTERFACE_PREFIX = 'com.docker.network.container_iface_prefix';

export async function joinSandbox(
  core: Core,
  entry: EndpointEntry,
  sandboxId: SandboxId,
  options: JoinOptions,
): Promise<void> {
  const { signal, ...rest } = options;
  const parsed = parseOptions('join', rest);
  await withBoth(core, sandboxId, entry, signal, async () => {
    const sandbox = usableSandbox(core, sandboxId);
    checkEndpoint(core, entry, sandbox);
    const namespace = sandbox.namespace;
    if (!namespace)
      throw new LibnetworkError('UNAVAILABLE', `sandbox ${sandboxId.slice(0, 12)} has no namespace yet`);
    const { record } = entry;
    const join: JoinRecord = {
      sandboxId,
      interfaceName: await interfaceNameFor(entry, sandbox, namespace),
      aliases: parsed.aliases,
      priority: parsed.priority ?? record.gatewayPriority,
      order: sandbox.nextOrder++,
      routes: [],
      bindings: [],
    };
    throwIfAborted(signal);
    await allOrNothing((undo) => attach(core, entry, sandbox, namespace, join, undo, signal));
  });
  core.events.emit('endpoint:join', {
    networkId: entry.record.networkId,
    endpointId: entry.record.id,
    sandboxId,
    interfaceName: entry.record.join?.interfaceName ?? '',
  });
}

async function attach(
  core: Core,
  entry: EndpointEntry,
  sandbox: SandboxEntry,
  namespace: Namespace,
  join: JoinRecord,
  undo: Undo,
  signal: AbortSignal | undefined,
): Promise<void> {
  const before = gatewaysOf(sandbox);
  const { record } = entry;
  const driver = core.driver(entry.network.record.driver);
  undo.push('record that it is not joined', () => core.save(entry, record));
  await core.save(entry, { ...record, state: 'joining', join });
  undo.push('forget the join', async () => sandbox.endpoints.delete(record.id));
  sandbox.endpoints.set(record.id, entry);
  undo.push('remove the link', () => driver.leave(placeOf(entry)));
  const network = driverNetwork(entry.network.record);
  const endpoint = driverEndpoint(entry.record);
  const result = await driver.join(
    { network, endpoint, namespace, interfaceName: join.interfaceName },
    { signal },
  );
  throwIfAborted(signal);
  const { gateway4, gateway6, routes = [] } = result;
  const joined: JoinRecord = { ...join, gateway4, gateway6, routes };
  entry.record = { ...entry.record, join: joined };
  const after = gatewaysOf(sandbox);
  undo.push('restore the default routes', () => setDefaultRoutes(sandbox, after, before));
  await configure(core, entry, namespace, result, after, sandbox.record.namespace.kind === 'own');
  undo.push('restore the published ports', () => republish(core, sandbox, after, before, entry));
  await republish(core, sandbox, before, after, entry);
  undo.push('unpublish its ports', () => publish(driver, entry, NO_FAMILY));
  const bindings = await publish(driver, entry, publishedFamilies(record.id, after));
  throwIfAborted(signal);
  await core.save(entry, { ...entry.record, state: 'joined', join: { ...joined, bindings } });
  undo.push('restore the names', async () => forgetNames(core, entry, sandbox));
  showNames(core, entry, sandbox);
  await updateHosts(sandbox);
}

const NO_FAMILY = { ipv4: false, ipv6: false } as const;

function withBoth<T>(
  core: Core,
  sandboxId: SandboxId,
  entry: EndpointEntry,
  signal: AbortSignal | undefined,
  act: () => Promise<T>,
): Promise<T> {
  return core.locks.with('sandbox', sandboxId, signal, () =>
    core.locks.with('endpoint', entry.record.id, signal, act),
  );
}

function usableSandbox(core: Core, id: SandboxId): SandboxEntry {
  const sandbox = core.sandboxes.get(id);
  if (sandbox?.record.state === 'ready') return sandbox;
  throw new LibnetworkError('NOT_FOUND', `sandbox ${id.slice(0, 12)} does not exist or is being deleted`, {
    field: 'sandbox',
    value: id,
  });
}

function checkEndpoint(core: Core, entry: EndpointEntry, sandbox: SandboxEntry): void {
  const { record } = entry;
  const label = `endpoint ${record.name} (${record.id.slice(0, 12)})`;
  if (record.join) {
    throw new LibnetworkError('FORBIDDEN', `another container is attached to ${label}`, {
      holder: `sandbox ${record.join.sandboxId}`,
    });
  }
  if (core.endpoints.get(record.id) !== entry || record.state !== 'ready') {
    throw new LibnetworkError('NOT_FOUND', `${label} does not exist or is being deleted`);
  }
  const { usesIpam } = core.driver(entry.network.record.driver).capability;
  if (sandbox.record.namespace.kind === 'host' && usesIpam) {
    throw new LibnetworkError(
      'FORBIDDEN',
      `a sandbox on the host's own namespace can't join network ${entry.network.record.name} of driver ${entry.network.record.driver}`,
    );
  }
}

/** The name that was asked for, or the prefix with the lowest number that is free in the namespace. */
async function interfaceNameFor(
  entry: EndpointEntry,
  sandbox: SandboxEntry,
  namespace: Namespace,
): Promise<string> {
  const taken = new Set([...sandbox.endpoints.values()].map((other) => other.record.join?.interfaceName));
  // A namespace that somebody else made may hold links that no record names.
  if (sandbox.record.namespace.kind === 'given')
    for (const link of await namespace.links()) taken.add(link.name);
  const asked = entry.record.interfaceName;
  if (asked !== undefined) {
    if (!taken.has(asked)) return asked;
    throw new LibnetworkError('CONFLICT', `interface ${asked} exists in the sandbox already`, {
      field: 'interfaceName',
      value: asked,
    });
  }
  const prefix = entry.network.record.options[INTERFACE_PREFIX] ?? 'eth';
  for (let number = 0; ; number++) if (!taken.has(`${prefix}${number}`)) return `${prefix}${number}`;
}

/** Which endpoints give a sandbox's default routes now. */
export function gatewaysOf(sandbox: SandboxEntry): Gateways {
  return chooseGateways(
    [...sandbox.endpoints.values()].flatMap(({ record, network }) =>
      record.join === undefined
        ? []
        : [
            {
              endpointId: record.id,
              priority: record.join.priority,
              internal: network.record.internal,
              networkName: network.record.name,
              order: record.join.order,
              ipv4: record.ipv4 !== undefined && gives(record.join, 'ipv4'),
              ipv6: record.ipv6 !== undefined && gives(record.join, 'ipv6'),
            },
          ],
    ),
  );
}

function gatewayOf(join: JoinRecord, family: Family): string | undefined {
  return family === 'ipv4' ? join.gateway4 : join.gateway6;
}

function gives(join: JoinRecord, family: Family): boolean {
  return gatewayOf(join, family) !== undefined;
}

/** Addresses, routes and the link up, in one send. */
async function configure(
  core: Core,
  entry: EndpointEntry,
  namespace: Namespace,
  result: JoinResult,
  gateways: Gateways,
  ownNamespace: boolean,
): Promise<void> {
  const { record } = entry;
  const name = record.join?.interfaceName ?? '';
  if (result.link.kind === 'none') return;
  if (result.link.kind === 'move') await moveLink(core, result.link.sourceName, name, record, namespace);
  // An interface without an IPv6 address must have none at all, not even a link-local one. In a namespace of ours
  // that is so from birth; turning it off afterwards costs the kernel more than an address does.
  if (record.ipv6 || !ownNamespace) {
    await setIpv6(namespace, name, record.ipv6 !== undefined);
  }
  const changes: Change[] = [];
  for (const family of FAMILIES) {
    const address = record[family]?.address;
    if (address !== undefined) changes.push({ op: 'addAddress', link: name, address, noDad: true });
  }
  changes.push({ op: 'setLink', name, up: true });
  for (const { destination, gateway } of record.join?.routes ?? []) {
    const family = parseCidr(destination)?.address.family ?? 'ipv4';
    const scope = gateway === undefined ? ('link' as const) : undefined;
    changes.push({ op: 'replaceRoute', destination, family, gateway, link: name, scope });
  }
  for (const family of FAMILIES) {
    if (gateways[family] === record.id) changes.push(...defaultRoute(record, family));
  }
  await namespace.apply(changes);
  for (const [key, value] of Object.entries(record.sysctls)) {
    await namespace.setSysctl(key.replaceAll('.', '/').replace('IFNAME', name), value);
  }
}

async function moveLink(
  core: Core,
  source: string,
  name: string,
  record: EndpointRecord,
  namespace: Namespace,
): Promise<void> {
  const macAddress = record.macAddress;
  await core.osl.host.apply([{ op: 'setLink', name: source, up: false, namespace }]);
  await namespace.apply([{ op: 'setLink', name: source, rename: name, macAddress }]);
}

function defaultRoute(record: EndpointRecord, family: Family): Change[] {
  const gateway = record.join && gatewayOf(record.join, family);
  if (record.join === undefined || gateway === undefined) return [];
  return [{ op: 'replaceRoute', destination: 'default', family, gateway, link: record.join.interfaceName }];
}

/** Gives the default routes to the endpoints that have them now. A route goes by itself with its link. */
async function setDefaultRoutes(sandbox: SandboxEntry, before: Gateways, after: Gateways): Promise<void> {
  const changes = FAMILIES.flatMap((family) => {
    const id = after[family];
    const record = id === undefined || id === before[family] ? undefined : sandbox.endpoints.get(id)?.record;
    return record ? defaultRoute(record, family) : [];
  });
  if (changes.length > 0) await sandbox.namespace?.apply(changes);
}

/** Publishes for the families given; an endpoint without ports needs nothing. */
async function publish(
  driver: Driver,
  entry: EndpointEntry,
  families: { readonly ipv4: boolean; readonly ipv6: boolean },
): Promise<readonly PortBinding[]> {
  if (!driver.publish || entry.record.ports.length === 0) return [];
  return driver.publish(placeOf(entry), families);
}

/** The other endpoints of a sandbox publish for the families that they are now the gateway of. */
async function republish(
  core: Core,
  sandbox: SandboxEntry,
  before: Gateways,
  after: Gateways,
  except: EndpointEntry,
): Promise<void> {
  for (const other of sandbox.endpoints.values()) {
    const { record } = other;
    if (other === except || record.join === undefined || record.ports.length === 0) continue;
    const was = publishedFamilies(record.id, before);
    const is = publishedFamilies(record.id, after);
    if (was.ipv4 === is.ipv4 && was.ipv6 === is.ipv6) continue;
    const bindings = await publish(core.driver(other.network.record.driver), other, is);
    await core.save(other, { ...record, join: { ...record.join, bindings } });
  }
}

export interface LeaveOptions {
  /** Goes on past every failure. */
  readonly force?: boolean;
}

export async function leaveSandbox(
  core: Core,
  entry: EndpointEntry,
  sandboxId: SandboxId,
  signal: AbortSignal | undefined,
  options: LeaveOptions = {},
): Promise<void> {
  await withBoth(core, sandboxId, entry, signal, async () => {
    const { record } = entry;
    const label = `endpoint ${record.name} (${record.id.slice(0, 12)})`;
    if (record.join === undefined) {
      throw new LibnetworkError('FORBIDDEN', `cannot leave ${label}: it has no attached sandbox`);
    }
    if (record.join.sandboxId !== sandboxId) {
      throw new LibnetworkError('FORBIDDEN', `cannot leave ${label}: it is attached to another sandbox`, {
        holder: `sandbox ${record.join.sandboxId}`,
      });
    }
    throwIfAborted(signal);
    await core.save(entry, { ...record, state: 'leaving' });
    await finishLeave(core, entry, core.sandboxes.get(sandboxId), options);
  });
}

/** From `leaving` to `ready`; may be repeated after any failure. Both locks are held. */
export async function finishLeave(
  core: Core,
  entry: EndpointEntry,
  sandbox: SandboxEntry | undefined,
  options: LeaveOptions,
): Promise<void> {
  await detach(core, entry, sandbox, options);
  const { join: _, ...rest } = entry.record;
  await core.save(entry, { ...rest, state: 'ready' });
}

/**
 * Takes an endpoint out of its sandbox: names, ports, link, routes. The record is the caller's. Where something
 * fails the endpoint still counts as the sandbox's, so that it can be tried again.
 */
export async function detach(
  core: Core,
  entry: EndpointEntry,
  sandbox: SandboxEntry | undefined,
  options: LeaveOptions,
): Promise<void> {
  const { record } = entry;
  const driver = core.driver(entry.network.record.driver);
  const before = sandbox ? gatewaysOf(sandbox) : NO_GATEWAYS;
  forgetNames(core, entry, sandbox);
  try {
    await allOfThem(`leaving with endpoint ${record.name}`, [
      // The two wait for the kernel's grace periods: together they wait once.
      () =>
        together('take the link and the ports away', [
          publish(driver, entry, NO_FAMILY),
          driver.leave(placeOf(entry)),
        ]),
      async () => {
        sandbox?.endpoints.delete(record.id);
        if (!sandbox || sandbox.record.state === 'deleting') return;
        const after = gatewaysOf(sandbox);
        await setDefaultRoutes(sandbox, before, after);
        await republish(core, sandbox, before, after, entry);
        await updateHosts(sandbox);
      },
    ]);
  } catch (error) {
    if (!options.force) {
      sandbox?.endpoints.set(record.id, entry);
      throw error;
    }
    core.logger.warn(`leaving with endpoint ${record.name} failed in part; going on by force`, { error });
  }
  const { networkId, id: endpointId, join } = record;
  if (join) core.events.emit('endpoint:leave', { networkId, endpointId, sandboxId: join.sandboxId });
}

const NO_GATEWAYS: Gateways = { ipv4: undefined, ipv6: undefined };

/** Makes an endpoint's names known to its networks' sandboxes, and the network's names to its sandbox. */
export function showNames(core: Core, entry: EndpointEntry, sandbox: SandboxEntry): void {
  const { record, network } = entry;
  core.names.setEndpoint({
    id: record.id,
    networkId: network.record.id,
    networkName: network.record.name,
    sandboxId: sandbox.record.id,
    names: namesOf(record, sandbox),
    ipv4: record.ipv4?.address,
    ipv6: record.ipv6?.address,
  });
  showSight(core, sandbox);
}

function forgetNames(core: Core, entry: EndpointEntry, sandbox: SandboxEntry | undefined): void {
  core.names.removeEndpoint(entry.record.id);
  if (sandbox) showSight(core, sandbox, entry);
}

function showSight(core: Core, sandbox: SandboxEntry, except?: EndpointEntry): void {
  const networks = [...sandbox.endpoints.values()]
    .filter((e) => e !== except)
    .map((e) => e.network.record.id);
  core.names.setSandbox({ id: sandbox.record.id, networks });
}

function namesOf(record: EndpointRecord, sandbox: SandboxEntry): string[] {
  const { containerId, hostname } = sandbox.record;
  const names = [
    record.name,
    ...record.aliases,
    ...(record.join?.aliases ?? []),
    containerId.slice(0, 12),
    hostname,
  ];
  return [...new Set(names.filter((name) => name !== undefined))];
}
