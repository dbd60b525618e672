/** Objects whose making or unmaking did not end, and how they come to rest: at a start, and by every reconcile. */
import type { Core } from './core.ts';
import type { EndpointEntry } from './endpoint.ts';
import { deleteJoinedEndpoint } from './endpointdeletion.ts';
import { LibnetworkError, throwIfAborted } from './errors.ts';
import { isGatewayUnsettled, settleGateway } from './gatewaynetwork.ts';
import { finishLeave } from './leave.ts';
import type { Rank } from './locks.ts';
import { finishNetworkDeletion } from './networkdeletion.ts';
import type { SandboxRecord } from './records.ts';
import type { SandboxEntry } from './sandbox.ts';
import { finishSandboxDeletion } from './sandboxdeletion.ts';
import { showNames } from './sandboxnames.ts';
import { reopenSandbox } from './sandboxopening.ts';
import { unbind } from './setkey.ts';

/** An object that is on the way, with nobody who goes it. */
export interface HalfDone {
  readonly what: string;
  /** Whether a driver or an IPAM that is not this package's has a part in it. */
  readonly foreign: boolean;
  /** What must be held while it is brought to rest. */
  readonly lock?: readonly [Rank, string] | undefined;
  rest(signal?: AbortSignal): Promise<void>;
}

/**
 * Objects whose making or unmaking did not end, without those that an operation is about; `mine` is the caller's lock.
 */
export function halfDone(core: Core, mine?: HalfDone['lock']): HalfDone[] {
  const isHeld = (rank: Rank, key: string): boolean =>
    (rank !== mine?.[0] || key !== mine[1]) && core.locks.isHeld(rank, key);
  const isBusy = ({ record: { id, join }, making }: EndpointEntry): boolean =>
    making || isHeld('endpoint', id) || (join !== undefined && isHeld('sandbox', join.sandboxId));
  const boxes = [...core.sandboxes.values()].filter(({ record }) => !isHeld('sandbox', record.id));
  const [ready, sandboxes] = split(boxes, (entry) => entry.record.state === 'ready');
  const unopened = ready.filter(({ record, namespace }) => !namespace && !isUnbound(record));
  const halfBound = ready.filter(({ record, endpoints }) => isUnbound(record) && !allPending(endpoints));
  const wayless = ready.filter(({ namespace }) => namespace).filter(isGatewayUnsettled);
  const endpoints = [...core.endpoints.values()].filter((entry) => !atRest(core, entry) && !isBusy(entry));
  const networks = [...core.networks.values()].filter(
    (entry) => entry.record.state !== 'ready' && !entry.making && !isHeld('network', entry.record.id),
  );
  const holdsForeign = (entry: SandboxEntry | undefined): boolean =>
    [...(entry?.endpoints.values() ?? [])].some(({ network }) => core.isForeign(network.record));
  const sandbox = (entry: SandboxEntry, of: string, rest: HalfDone['rest']): HalfDone => ({
    what: of,
    foreign: holdsForeign(entry),
    lock: ['sandbox', entry.record.id],
    rest,
  });
  return [
    ...sandboxes.map((entry) =>
      sandbox(entry, `sandbox ${nameOf(entry)} (${entry.record.state})`, (signal) =>
        finishSandboxDeletion(core, entry, true, signal),
      ),
    ),
    ...unopened.map((entry) =>
      sandbox(entry, `namespace of sandbox ${nameOf(entry)} (not open)`, () => takeUp(core, entry)),
    ),
    ...halfBound.map((entry) =>
      sandbox(entry, `namespace of sandbox ${nameOf(entry)} (its key was not set to the end)`, () =>
        unbind(core, entry),
      ),
    ),
    ...endpoints.map((entry): HalfDone => {
      const { name, state, join } = entry.record;
      return {
        what: `endpoint ${name} of network ${entry.network.record.name} (${state})`,
        foreign:
          core.isForeign(entry.network.record) || holdsForeign(join && core.sandboxes.get(join.sandboxId)),
        lock: join && ['sandbox', join.sandboxId],
        rest: (signal) => settleEndpoint(core, entry, signal),
      };
    }),
    ...networks.map(
      (entry): HalfDone => ({
        what: `network ${entry.record.name} (${entry.record.state})`,
        foreign: core.isForeign(entry.record),
        lock: ['network', entry.record.id],
        rest: (signal) => finishNetworkDeletion(core, entry, signal),
      }),
    ),
    ...wayless.map((entry) =>
      sandbox(entry, `default gateway of sandbox ${nameOf(entry)}`, () => settleGateway(core, entry)),
    ),
  ];
}

function nameOf({ record }: SandboxEntry): string {
  return `${record.id.slice(0, 12)} of container ${record.containerId}`;
}

function allPending(endpoints: SandboxEntry['endpoints']): boolean {
  return [...endpoints.values()].every(({ record }) => record.state === 'joined' && record.join?.pending);
}

/** It waits for `setKey`. */
function isUnbound({ namespace }: SandboxRecord): boolean {
  return namespace.kind === 'external' && namespace.path === undefined;
}

function split<T>(all: readonly T[], test: (each: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((each) => !test(each))];
}

const PASSES = 2;

/** Brings half-done objects to rest, past failures; what failed, by name. No operation is about them. */
export async function finishHalfDone(
  core: Core,
  which: (each: HalfDone) => boolean = () => true,
): Promise<string[]> {
  return finishEach(core, which, ({ rest }) => rest());
}

/**
 * The same for those that a foreign driver or IPAM has a part in, beside the operations that go on: each is an
 * operation of its own.
 * @throws ABORTED
 */
export async function finishForeign(core: Core, signal: AbortSignal | undefined): Promise<string[]> {
  return finishEach(core, isForeign, async ({ what, lock }) => {
    // Under the lock it may have come to rest by itself.
    const rest = () =>
      halfDone(core, lock)
        .find((each) => each.what === what)
        ?.rest(signal) ?? Promise.resolve();
    const alone = () => (lock ? core.locks.with(...lock, signal, rest) : rest());
    await core.gate.shared(alone, signal);
    throwIfAborted(signal);
  });
}

export const isForeign = ({ foreign }: HalfDone): boolean => foreign;

async function finishEach(
  core: Core,
  which: (each: HalfDone) => boolean,
  finish: (each: HalfDone) => Promise<void>,
): Promise<string[]> {
  const failed = new Set<string>();
  // What was closed and is open now may have joins that waited for it, and so on.
  for (let pass = 0; pass < PASSES; pass++) {
    for (const each of halfDone(core).filter(which)) {
      if (failed.has(each.what)) continue;
      try {
        await finish(each);
      } catch (error) {
        if (LibnetworkError.is(error, 'ABORTED')) throw error;
        core.logger.error(`${each.what} could not be brought to rest; it will be tried again`, { error });
        failed.add(each.what);
      }
    }
  }
  return [...failed];
}

export async function takeUp(core: Core, sandbox: SandboxEntry): Promise<void> {
  try {
    await reopenSandbox(core, sandbox);
  } catch (error) {
    if (!LibnetworkError.is(error, 'NOT_FOUND')) throw error;
    core.logger.warn(
      `container ${sandbox.record.containerId} is called active, but its namespace is gone: cleaning up`,
    );
    await finishSandboxDeletion(core, sandbox, true);
    return;
  }
  for (const entry of sandbox.endpoints.values())
    if (entry.record.state === 'joined' && !entry.record.join?.pending) showNames(core, entry, sandbox);
}

function atRest(core: Core, { record: { state, join } }: EndpointEntry): boolean {
  return (
    state === 'ready' || (state === 'joined' && join !== undefined && core.sandboxes.has(join.sandboxId))
  );
}

async function settleEndpoint(core: Core, entry: EndpointEntry, signal?: AbortSignal): Promise<void> {
  const { id, state, join } = entry.record;
  // A sandbox that was deleted just before has taken its endpoints with it.
  if (core.endpoints.get(id) !== entry || atRest(core, entry)) return;
  const sandbox = join && core.sandboxes.get(join.sandboxId);
  if (state === 'creating' || state === 'deleting')
    await deleteJoinedEndpoint(core, entry, sandbox, true, signal);
  else
    await core.locks.with('endpoint', id, signal, () =>
      finishLeave(core, entry, sandbox, { force: true, signal }),
    );
}
