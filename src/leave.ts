/** Leaving: the way back of `join.ts`. Every step may be repeated after a failure. */
import type { Core } from './core.ts';
import { gatewaysOf, NO_FAMILY, publish, republish, setDefaultRoutes } from './defaultroutes.ts';
import { joinedAt, placeOf } from './driverviews.ts';
import type { EndpointEntry } from './endpoint.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import type { Gateways } from './gateway.ts';
import { trySettleGateway } from './gatewaynetwork.ts';
import type { SandboxId } from './ids.ts';
import type { Namespace } from './osl/osl.ts';
import type { JoinRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { updateHosts } from './sandboxfiles.ts';
import { forgetNames } from './sandboxnames.ts';
import { allOfThem, together } from './undo.ts';

export interface LeaveOptions {
  /** Goes on past every failure. */
  readonly force?: boolean | undefined;
  /** Ends the wait for a driver; the rest is left to be tried again. */
  readonly signal?: AbortSignal | undefined;
}

export async function leaveSandbox(
  core: Core,
  entry: EndpointEntry,
  sandboxId: SandboxId,
  signal: AbortSignal | undefined,
): Promise<void> {
  await core.locks.with('sandbox', sandboxId, signal, async () => {
    await core.locks.with('endpoint', entry.record.id, signal, () =>
      leaveLocked(core, entry, sandboxId, signal),
    );
    const sandbox = core.sandboxes.get(sandboxId);
    if (sandbox) await trySettleGateway(core, sandbox);
  });
}

async function leaveLocked(
  core: Core,
  entry: EndpointEntry,
  sandboxId: SandboxId,
  signal: AbortSignal | undefined,
): Promise<void> {
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
  await finishLeave(core, entry, core.sandboxes.get(sandboxId), { signal });
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
  const { force, signal } = options;
  const driver = core.driver(entry.network.record.driver);
  const before = sandbox ? gatewaysOf(sandbox) : NO_GATEWAYS;
  forgetNames(core, entry, sandbox);
  // Nothing new comes to it before its link goes.
  await core.services.settled();
  try {
    await allOfThem(`leaving with endpoint ${record.name}`, [
      // The two wait for the kernel's grace periods: together they wait once.
      () =>
        together(
          'take the link and the ports away',
          core.gate.sideBySide<unknown>([
            () => publish(driver, entry, NO_FAMILY, { signal }),
            () => driver.leave(placeOf(entry), { at: joinedAt(core, record), signal }),
          ]),
        ),
      () => moveLinkBack(core, record.join, sandbox?.namespace),
      async () => {
        sandbox?.endpoints.delete(record.id);
        if (!sandbox || sandbox.record.state === 'deleting') return;
        const after = gatewaysOf(sandbox);
        await setDefaultRoutes(sandbox, before, after);
        await republish(core, sandbox, before, after, entry, { signal });
        await updateHosts(sandbox);
      },
    ]);
  } catch (error) {
    if (!force || signal?.aborted) {
      sandbox?.endpoints.set(record.id, entry);
      throw error;
    }
    core.logger.warn(`leaving with endpoint ${record.name} failed in part; going on by force`, { error });
  }
  const { networkId, id: endpointId, join } = record;
  if (join) core.events.emit('endpoint:leave', { networkId, endpointId, sandboxId: join.sandboxId });
}

/**
 * A link that was moved into the sandbox goes back to the host under the name that its driver knows it by, as with
 * Docker, unless the driver has deleted it.
 */
export async function moveLinkBack(
  core: Core,
  join: JoinRecord | undefined,
  namespace: Namespace | undefined,
): Promise<void> {
  if (join?.movedFrom === undefined || !namespace || namespace === core.osl.host) return;
  const { movedFrom, interfaceName: name } = join;
  if ((await namespace.link(name)) === undefined) return;
  await namespace.apply([
    { op: 'setLink', name, up: false },
    { op: 'setLink', name, rename: movedFrom },
  ]);
  await namespace.apply([{ op: 'setLink', name: movedFrom, namespace: core.osl.host }]);
}

const NO_GATEWAYS: Gateways = { ipv4: undefined, ipv6: undefined };

/** Runs under the locks of a sandbox and an endpoint, taken in the order of ranks. */
export function withBothLocks<T>(
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
