import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { FloorProgram } from './floor.ts';
import {
  type Attached,
  attach,
  attachInTurn,
  detach,
  type Ground,
  quiet,
  sandboxes,
  timed,
} from './ground.ts';
import { median, type Row, row } from './row.ts';

const WARM_UPS = 4;
const ROUNDS = 6;
const PER_ROUND = 10;
const AT_ONCE = 100;
const MANY = 200;

/** Attach and detach: one at a time, many at once, and on a network that is full. */
export async function attachBench(ground: Ground): Promise<readonly Row[]> {
  await warmUp(ground);
  const singles = await oneByOne(ground, ROUNDS);
  const grace = await graceOf(ground);
  const atOnce = await together(ground);
  const full = await onFullNetwork(ground);
  const wait = median(singles.floorDetach);
  return [
    row('attach', 'us', { ours: singles.attach, floor: singles.floorAttach }),
    // What most programs ask for, this package's until it learnt better.
    row('attach, the floor with default queues', 'us', { ours: singles.attach, floor: singles.plainAttach }),
    row('detach', 'us', { ours: singles.detach, floor: singles.floorDetach }),
    // It need not wait until the kernel has freed the one before it.
    row('detach, the first after a pause', 'us', { ours: singles.firstDetach, floor: singles.floorDetach }),
    row(`detach ${AT_ONCE} at once`, 'us', { ours: atOnce.ours, floor: atOnce.floor }),
    ...(wait === null
      ? []
      : [
          row(`detach ${AT_ONCE} at once, in single link deletes`, 'x', {
            ours: atOnce.ours.map((us) => us / wait),
            floor: atOnce.floor.map((us) => us / wait),
          }),
        ]),
    row(`event loop delay max during ${AT_ONCE} detaches`, 'ms', { ours: atOnce.delays }),
    row('attach first', 'us', { ours: full.first }),
    // Beside the first ones, not beside C: a network's fill must not be felt.
    row(`attach ${MANY}th`, 'us', { ours: full.last, floor: full.first }),
    row('grace period', 'us', { ours: [], floor: grace }),
  ];
}

/** A controller is a long-lived process: the first attaches, which compile its code paths, count for neither side. */
async function warmUp({ controller, network }: Ground): Promise<void> {
  for (let round = 0; round < WARM_UPS; round++) {
    const made = await sandboxes(controller, AT_ONCE);
    const attached: Attached[] = [];
    for (const sandbox of made) attached.push(await attach(network, sandbox));
    await Promise.all(attached.map(detach));
    await Promise.all(made.map((sandbox) => sandbox.delete()));
  }
}

async function oneByOne({ controller, network, floors }: Ground, rounds: number) {
  const samples = {
    attach: [] as number[],
    detach: [] as number[],
    firstDetach: [] as number[],
    floorAttach: [] as number[],
    floorDetach: [] as number[],
    plainAttach: [] as number[],
  };
  const floor = floors.start('attach');
  const plain = floors.start('attach', ['default-queues']);
  for (let round = 0; round < rounds; round++) {
    await quiet();
    const answer = await floor.ask(PER_ROUND);
    await quiet();
    samples.plainAttach.push(...((await plain.ask(PER_ROUND)).attach ?? []));
    await quiet();
    samples.floorAttach.push(...(answer.attach ?? []));
    samples.floorDetach.push(...(answer.detach ?? []));
    const made = await sandboxes(controller, PER_ROUND);
    await quiet();
    const attached: Attached[] = [];
    for (const sandbox of made) {
      const [us, one] = await timed(() => attach(network, sandbox));
      samples.attach.push(us);
      attached.push(one);
    }
    for (const [index, one] of attached.entries()) {
      const [us] = await timed(() => detach(one));
      samples.detach.push(us);
      if (index === 0) samples.firstDetach.push(us);
    }
    await Promise.all(made.map((sandbox) => sandbox.delete()));
  }
  await floor.close();
  await plain.close();
  return samples;
}

async function together({ controller, network, floors }: Ground) {
  const ours: number[] = [];
  const delays: number[] = [];
  const floor: number[] = [];
  const program = floors.start('detach_group');
  for (let round = 0; round < 3; round++) {
    floor.push(...((await program.ask(AT_ONCE)).detach ?? []));
    const made = await sandboxes(controller, AT_ONCE);
    const attached: Attached[] = [];
    for (const sandbox of made) attached.push(await attach(network, sandbox));
    const monitor = monitorEventLoopDelay({ resolution: 1 });
    monitor.enable();
    ours.push((await timed(() => Promise.all(attached.map(detach))))[0]);
    monitor.disable();
    // The monitor's own interval is part of what it records.
    delays.push(Math.max(0, monitor.max / 1e6 - 1));
    await Promise.all(made.map((sandbox) => sandbox.delete()));
  }
  await program.close();
  return { ours, delays, floor };
}

/** The first and the last ten of many endpoints on one network. */
async function onFullNetwork(ground: Ground) {
  const times = await attachInTurn(ground, MANY);
  return { first: times.slice(0, PER_ROUND), last: times.slice(-PER_ROUND) };
}

async function graceOf({ floors }: Ground): Promise<readonly number[]> {
  const program: FloorProgram = 'grace';
  const floor = floors.start(program);
  const { grace = [] } = await floor.ask(20);
  await floor.close();
  return grace;
}
