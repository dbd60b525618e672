/** Joining: where a network, an endpoint and a sandbox meet. */

import { announce } from './announce.ts';
import { interfacePrefixOf } from './commonoptions.ts';
import type { Core } from './core.ts';
import {
  bindingsOf,
  defaultRoute,
  gatewaysOf,
  NO_FAMILY,
  publish,
  republish,
  setDefaultRoutes,
} from './defaultroutes.ts';
import type { JoinedLink, JoinResult } from './driverapi/driver.ts';
import { driverEndpoint, driverNetwork, joinedAt, placeOf } from './driverviews.ts';
import type { EndpointEntry } from './endpoint.ts';
import type { JoinOptions } from './endpointoptions.ts';
import { invalid, LibnetworkError, named, throwIfAborted } from './errors.ts';
import { type Gateways, publishedFamilies } from './gateway.ts';
import { isGatewayUnsettled, settleGateway } from './gatewaynetwork.ts';
import type { SandboxId } from './ids.ts';
import { FAMILIES, parseCidr } from './ip.ts';
import { setIpv6 } from './ipv6.ts';
import { finishLeave, moveLinkBack } from './leave.ts';
import { parseOptions } from './options.ts';
import type { Change, Namespace } from './osl/osl.ts';
import type { EndpointRecord, JoinRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { updateHosts } from './sandboxfiles.ts';
import { forgetNames, showNames } from './sandboxnames.ts';
import { allOrNothing, together, type Undo } from './undo.ts';

export async function joinSandbox(
  core: Core,
  entry: EndpointEntry,
  sandboxId: SandboxId,
  options: JoinOptions,
): Promise<void> {
  const { signal, ...rest } = options;
  const parsed = parseOptions('join', rest);
  await core.locks.with('sandbox', sandboxId, signal, async () => {
    const sandbox = usableSandbox(core, sandboxId);
    await joinLocked(core, entry, sandbox, parsed, signal);
    if (!isGatewayUnsettled(sandbox)) return;
    try {
      await settleGateway(core, sandbox);
    } catch (error) {
      await core.locks.with('endpoint', entry.record.id, undefined, async () => {
        await core.save(entry, { ...entry.record, state: 'leaving' });
        await finishLeave(core, entry, sandbox, {});
      });
      throw error;
    }
  });
}

/** Joins an endpoint whose sandbox's lock is held. */
export async function joinLocked(
  core: Core,
  entry: EndpointEntry,
  sandbox: SandboxEntry,
  parsed: { readonly aliases: readonly string[]; readonly priority?: number | undefined },
  signal: AbortSignal | undefined,
): Promise<void> {
  const sandboxId = sandbox.record.id;
  await core.locks.with('endpoint', entry.record.id, signal, async () => {
    checkEndpoint(core, entry, sandbox);
    const { namespace } = sandbox;
    if (!namespace && sandbox.record.namespace.kind !== 'external')
      throw new LibnetworkError('UNAVAILABLE', `sandbox ${sandboxId.slice(0, 12)} has no open namespace`);
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
    if (namespace) await allOrNothing((undo) => attach(core, entry, sandbox, namespace, join, undo, signal));
    else await noteJoin(core, entry, sandbox, join);
  });
  if (sandbox.namespace) announce(core, entry, sandbox.namespace);
  core.events.emit('endpoint:join', {
    networkId: entry.record.networkId,
    endpointId: entry.record.id,
    sandboxId,
    interfaceName: entry.record.join?.interfaceName ?? '',
  });
}

/** The join of a sandbox that has no namespace yet: `setKey` does the rest. */
async function noteJoin(
  core: Core,
  entry: EndpointEntry,
  sandbox: SandboxEntry,
  join: JoinRecord,
): Promise<void> {
  const { record } = entry;
  await allOrNothing(async (undo) => {
    undo.push('record that it is not joined', () => core.save(entry, record));
    await core.save(entry, { ...record, state: 'joined', join: { ...join, pending: true } });
    undo.push('forget the join', async () => sandbox.endpoints.delete(record.id));
    sandbox.endpoints.set(record.id, entry);
    await updateHosts(sandbox);
  });
}

/**
 * Takes an endpoint's link and ports away; it stays its sandbox's, as if the sandbox had no namespace yet.
 * @param namespace where its link is, as far as that is known
 */
export async function detachToPending(
  core: Core,
  entry: EndpointEntry,
  sandbox: SandboxEntry,
  namespace: Namespace | undefined,
): Promise<void> {
  const { join } = entry.record;
  if (!join) return;
  const driver = core.driver(entry.network.record.driver);
  const place = placeOf(entry);
  const { gateway4: _, gateway6: __, ...noted } = join;
  // Recorded first: a link that no record names is taken away by the next start, one that is missing can't be made.
  await core.save(entry, {
    ...entry.record,
    state: 'joined',
    join: { ...noted, routes: [], bindings: [], pending: true },
  });
  forgetNames(core, entry, sandbox);
  await publish(driver, entry, NO_FAMILY);
  await driver.leave(place, { at: namespace && { namespace, interfaceName: join.interfaceName } });
  await moveLinkBack(core, join, namespace);
}

/** Makes the link and all that goes with it. The locks of both are held; a failure is the caller's to undo. */
export async function attach(
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
  if (!sandbox.endpoints.has(record.id)) {
    undo.push('forget the join', async () => sandbox.endpoints.delete(record.id));
    sandbox.endpoints.set(record.id, entry);
  }
  undo.push('remove the link', () => driver.leave(placeOf(entry), { at: joinedAt(core, entry.record) }));
  const network = driverNetwork(entry.network.record);
  const endpoint = driverEndpoint(entry.record);
  const result = await driver.join(
    { network, endpoint, namespace, interfaceName: join.interfaceName },
    { signal },
  );
  throwIfAborted(signal);
  const { gateway4, gateway6, routes = [], link } = result;
  const disableGatewayService = (result.disableGatewayService ?? link.kind === 'none') || undefined;
  const moved = link.kind === 'move' ? await movedNames(entry, sandbox, namespace, link) : {};
  const joined: JoinRecord = { ...join, ...moved, gateway4, gateway6, routes, disableGatewayService };
  entry.record = { ...entry.record, join: joined };
  const after = gatewaysOf(sandbox);
  undo.push('restore the default routes', () => setDefaultRoutes(sandbox, after, before));
  await configure(core, entry, namespace, result, after, sandbox.record.namespace.kind === 'own');
  const published = bindingsOf(sandbox);
  undo.push('restore the published ports', () =>
    republish(core, sandbox, after, before, entry, { prefer: published }),
  );
  await republish(core, sandbox, before, after, entry, { signal });
  undo.push('unpublish its ports', () => publish(driver, entry, NO_FAMILY));
  const bindings = await publish(driver, entry, publishedFamilies(record.id, after), { signal });
  throwIfAborted(signal);
  await core.save(entry, { ...entry.record, state: 'joined', join: { ...joined, bindings } });
  undo.push('restore the names', async () => forgetNames(core, entry, sandbox));
  showNames(core, entry, sandbox);
  await together('show the endpoint', [updateHosts(sandbox), core.services.settled()]);
}

/** What a link that is moved into the sandbox is called there, and where it came from. */
async function movedNames(
  entry: EndpointEntry,
  sandbox: SandboxEntry,
  namespace: Namespace,
  { sourceName, prefix }: Extract<JoinedLink, { kind: 'move' }>,
): Promise<Pick<JoinRecord, 'movedFrom'> & Partial<Pick<JoinRecord, 'interfaceName'>>> {
  const { interfaceName, join } = entry.record;
  if (prefix === undefined || interfaceName !== undefined) return { movedFrom: sourceName };
  if (join?.interfaceName.startsWith(prefix) && /^\d+$/.test(join.interfaceName.slice(prefix.length)))
    return { movedFrom: sourceName };
  return {
    movedFrom: sourceName,
    interfaceName: await interfaceNameFor(entry, sandbox, namespace, prefix),
  };
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
  namespace: Namespace | undefined,
  driverPrefix?: string,
): Promise<string> {
  const taken = new Set([...sandbox.endpoints.values()].map((other) => other.record.join?.interfaceName));
  // A namespace that somebody else made may hold links that no record names.
  if (namespace && sandbox.record.namespace.kind !== 'own')
    for (const link of await namespace.links()) taken.add(link.name);
  const asked = entry.record.interfaceName;
  if (asked !== undefined) {
    if (!taken.has(asked)) return asked;
    throw new LibnetworkError('CONFLICT', `interface ${asked} exists in the sandbox already`, {
      field: 'interfaceName',
      value: asked,
    });
  }
  const prefix = interfacePrefixOf(entry.network.record.options) ?? driverPrefix ?? 'eth';
  for (let number = 0; ; number++) if (!taken.has(`${prefix}${number}`)) return `${prefix}${number}`;
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
    if (address) changes.push({ op: 'addAddress', link: name, address, noDad: true });
  }
  for (const address of record.linkLocal ?? [])
    changes.push({ op: 'addAddress', link: name, address, noDad: true });
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
    await setSysctl(namespace, key, name, value);
  }
}

/** What the kernel does not know, or not take, was the caller's to choose. */
async function setSysctl(namespace: Namespace, key: string, link: string, value: string): Promise<void> {
  try {
    await namespace.setSysctl(key.replaceAll('.', '/').replace('IFNAME', link), value);
  } catch (error) {
    if (LibnetworkError.is(error, 'NOT_FOUND'))
      throw invalid('sysctls', key, 'is no setting of this kernel for the interface');
    if (LibnetworkError.is(error, 'INVALID_ARGUMENT'))
      throw invalid(`sysctls.${key}`, value, 'is no value that the kernel takes');
    throw named(error, `sysctls.${key}`, value);
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
