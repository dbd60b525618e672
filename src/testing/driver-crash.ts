/** The part of the driver contract about failures: whatever step fails, calling again or undoing gets it right. */
import { expect, it } from 'vitest';
import type { DriverState, EndpointPlace } from '../driverapi/driver.ts';
import {
  BOTH_FAMILIES,
  type DriverSubject,
  endpointOf,
  joinAs,
  leaveAs,
  makeEndpoint,
  NO_FAMILY,
  networkOf,
  ownWays,
  port,
  type Running,
  start,
  stop,
} from './driver-fixtures.ts';
import { countingFaults, type FaultMode, type Faults, faultScript } from './faults.ts';

type Stage = 'nothing' | 'network' | 'joined' | 'published';

interface Operation {
  readonly name: string;
  readonly from: Stage;
  readonly to: Stage;
  /** Answers with the endpoint as it is to be recorded. */
  readonly run: (running: Running, place: EndpointPlace) => Promise<EndpointPlace>;
}

const stages: readonly Stage[] = ['nothing', 'network', 'joined', 'published'];

const operations: readonly Operation[] = [
  {
    name: 'createNetwork',
    from: 'nothing',
    to: 'network',
    run: async ({ driver }, place) => {
      await driver.createNetwork(place.network);
      return place;
    },
  },
  {
    name: 'join',
    from: 'network',
    to: 'joined',
    run: async (running, place) => {
      await joinAs(running, place, 'c1');
      return place;
    },
  },
  {
    name: 'publish',
    from: 'joined',
    to: 'published',
    run: (running, place) => publish(running, place, BOTH_FAMILIES),
  },
  {
    name: 'unpublish',
    from: 'published',
    to: 'joined',
    run: (running, place) => publish(running, place, NO_FAMILY),
  },
  {
    name: 'leave',
    from: 'joined',
    to: 'network',
    run: async (running, place) => {
      await leaveAs(running, place, 'c1');
      return place;
    },
  },
  {
    name: 'deleteNetwork',
    from: 'network',
    to: 'nothing',
    run: async ({ driver }, place) => {
      await driver.deleteNetwork(place.network);
      return place;
    },
  },
];

async function publish(
  { driver }: Running,
  place: EndpointPlace,
  families: typeof BOTH_FAMILIES,
): Promise<EndpointPlace> {
  const bindings = (await driver.publish?.(place, families)) ?? [];
  return { ...place, endpoint: { ...place.endpoint, bindings } };
}

const modes: readonly FaultMode[] = ['fail', 'crash-before', 'crash-after'];

export function crashPromises(subject: DriverSubject, withPorts: boolean): void {
  const covered = operations.filter(({ name }) => withPorts || !name.includes('publish'));
  for (const operation of covered) {
    it(`${operation.name}: done when called again`, () => sweep(subject, operation, operation));
    it(`${operation.name}: undone by its inverse`, async () => {
      const inverse = operations.find(({ from, to }) => from === operation.to && to === operation.from);
      if (inverse !== undefined) await sweep(subject, operation, inverse);
    });
  }
}

/** Strikes at every step of an operation in every way, then recovers, and compares the kernel with a run without. */
async function sweep(subject: DriverSubject, operation: Operation, recovery: Operation): Promise<void> {
  const wanted = await dumpOf(subject, recovery.to, operation);
  const { before, steps } = await measure(subject, operation);
  for (const mode of modes) {
    for (let step = 1; step <= steps; step++) {
      const at = before + step;
      const where = `${mode} at step ${step} of ${steps} of ${operation.name}, then ${recovery.name}`;
      expect(await strike(subject, operation, recovery, { at, mode }), where).toEqual(wanted);
    }
  }
}

async function strike(
  subject: DriverSubject,
  operation: Operation,
  recovery: Operation,
  plan: { readonly at: number; readonly mode: FaultMode },
): Promise<unknown> {
  const faults = faultScript(plan);
  const { running, place } = await reach(subject, operation.from, faults);
  const outcome = await operation.run(running, place).then(
    () => 'done',
    () => 'failed',
  );
  if (outcome === 'done' && faults.crashed)
    throw new Error(`${operation.name} told of success after the crash`);
  const survivor = faults.crashed
    ? await restart(subject, running, recorded(place, operation.from))
    : running;
  const after = await recovery.run(survivor, place);
  // A new process knows the firewall's rules once it has compared them, as the core does at start.
  if (faults.crashed) await survivor.driver.reconcile(recorded(after, recovery.to));
  const dump = await survivor.world.dump();
  await stop(survivor);
  return dump;
}

function restart(subject: DriverSubject, dead: Running, state: DriverState): Promise<Running> {
  return start(subject, { after: dead.world }, state);
}

/** What the records say of a stage. */
function recorded(place: EndpointPlace, stage: Stage): DriverState {
  const at = stages.indexOf(stage);
  return {
    networks: at >= 1 ? [place.network] : [],
    endpoints: at >= 1 ? [{ ...place, joined: at >= 2 }] : [],
  };
}

/** The kernel as it is at a stage that was reached without a fault, in the way that the operation's run reaches it. */
async function dumpOf(subject: DriverSubject, stage: Stage, operation: Operation): Promise<unknown> {
  const { running, place } = await reach(subject, operation.from, countingFaults());
  if (stage === operation.to) await operation.run(running, place);
  const dump = await running.world.dump();
  await stop(running);
  return dump;
}

async function measure(
  subject: DriverSubject,
  operation: Operation,
): Promise<{ before: number; steps: number }> {
  const faults = countingFaults();
  const { running, place } = await reach(subject, operation.from, faults);
  const before = faults.steps;
  await operation.run(running, place);
  const steps = faults.steps - before;
  await stop(running);
  return { before, steps };
}

const ids = new Map<DriverSubject, EndpointPlace>();

/** A process in which the stage was reached. Ids are the same every time, so that dumps can be compared. */
async function reach(
  subject: DriverSubject,
  stage: Stage,
  faults: Faults,
): Promise<{ running: Running; place: EndpointPlace }> {
  const running = await start(subject, { faults });
  const warm = networkOf(subject, 99);
  await running.driver.createNetwork(warm);
  await running.driver.deleteNetwork(warm);
  await running.world.sandbox('c1');
  let place = ids.get(subject) ?? newPlace(subject);
  ids.set(subject, place);
  const at = stages.indexOf(stage);
  if (at >= 1) await running.driver.createNetwork(place.network);
  if (at >= 1) await makeEndpoint(running.driver, place);
  if (at >= 2) await joinAs(running, place, 'c1');
  if (at >= 3) place = await publish(running, place, BOTH_FAMILIES);
  return { running, place };
}

function newPlace(subject: DriverSubject): EndpointPlace {
  const network = networkOf(subject);
  return {
    network,
    endpoint: endpointOf(network, 2, {
      ...ownWays(subject),
      ports: [port(80, { host: 8080 }), port(53, { protocol: 'udp', host: 5353, hostEnd: 5354 })],
    }),
  };
}
