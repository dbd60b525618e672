/**
 * Our name servers beside those of other programs, in one run: each in namespaces of its own, with the same client
 * and the same server behind it, in turns. Column `floor` is the other program. For one that is not installed there
 * are the ratios of an earlier run.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { linuxOsl } from 'libnetwork';
import { isInstalled, type Load, output, type Programs, rowsOf } from './dnsclient.ts';
import { aardvark, type Contender, dnsmasq, docker, type Ours, ours, Yard } from './dnscontenders.ts';
import { type Row, row } from './row.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const ROUNDS = 5;
const MANY = 1_000_000;
const SANDBOXES = 100;
const BLOCKED_MS = 500;
const FLOODS = 10;
const FLOOD_IN_FLIGHT = 256;

interface Course {
  readonly id: 'known1' | 'known32' | 'forwarded';
  readonly name: string;
  readonly inFlight: number;
  readonly count: number;
  readonly question: { readonly name: string; readonly isVaried?: boolean };
}

interface Peer {
  readonly name: string;
  readonly make: (yard: Yard) => Promise<Contender | undefined>;
  /** Our questions per second by its. */
  readonly recorded: Readonly<Record<Course['id'], number>>;
}

const COURSES: readonly Course[] = [
  { id: 'known1', name: 'dns known name', inFlight: 1, count: 20_000, question: { name: 'web' } },
  { id: 'known32', name: 'dns known name', inFlight: 32, count: 50_000, question: { name: 'web' } },
  {
    id: 'forwarded',
    name: 'dns forwarded',
    inFlight: 32,
    count: 20_000,
    question: { name: 'example', isVaried: true },
  },
];

/** The peers that can be here, and what a run with all of them said, for where one is not installed. */
const PEERS: readonly Peer[] = [
  { name: 'docker', make: docker, recorded: { known1: 2.4, known32: 1.17, forwarded: 1.35 } },
  { name: 'aardvark-dns', make: aardvark, recorded: { known1: 2.73, known32: 1.38, forwarded: 1.73 } },
  { name: 'dnsmasq', make: dnsmasq, recorded: { known1: 1.54, known32: 1.23, forwarded: 0.98 } },
];

/** @param clean what the caller does after it; here only where the bench is told to end before */
export async function dnsPeersBench(programs: Programs, clean: () => Promise<void>): Promise<readonly Row[]> {
  const kernel = linuxOsl();
  const yard = new Yard(kernel, programs);
  // Engines, containers and name servers of others must not outlive the bench.
  const stop = () =>
    void yard
      .clear()
      .then(clean)
      .finally(() => process.exit(130));
  for (const signal of SIGNALS) process.once(signal, stop);
  try {
    const mine = await ours(yard, 'ours', false);
    const inThread = await ours(yard, 'the same in a thread', true);
    const others: Contender[] = [inThread];
    const rows = [row('cores of this machine', 'cores', { ours: [], floor: [availableParallelism()] })];
    for (const peer of PEERS) {
      const made = await peer.make(yard);
      if (made === undefined) rows.push(...recorded(peer));
      else others.push(made);
    }
    for (const course of COURSES) rows.push(...(await compare(programs, course, mine, others)));
    if (isInstalled('dnsperf'))
      for (const questions of QUESTIONS) rows.push(...(await byDnsperf(programs, questions, mine, others)));
    rows.push(await blocked(programs, inThread, mine));
    const many = await programs.load({ ...mine, name: 'web' }, 256, MANY);
    rows.push(...rowsOf('dns 1,000,000 questions, 256 in flight', [many]));
    return [...rows, ...(await crowd(programs, mine))];
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
    await yard.clear();
    await kernel.close();
  }
}

function recorded({ name, recorded: ratios }: Peer): readonly Row[] {
  return COURSES.map((course) => ({
    name: `${titleOf(course)}, beside ${name}, as recorded`,
    unit: 'questions/s',
    ours: null,
    floor: null,
    ratio: ratios[course.id],
    n: 0,
  }));
}

function titleOf({ name, inFlight }: Course): string {
  return `${name}, ${inFlight} in flight`;
}

/** The slowest answer while this process's main thread is busy: of servers in a thread, beside those in this one. */
async function blocked(programs: Programs, inThread: Contender, here: Contender): Promise<Row> {
  const slowest = { ours: [] as number[], floor: [] as number[] };
  for (let round = 0; round < ROUNDS; round++)
    for (const [contender, times] of [
      [inThread, slowest.ours],
      [here, slowest.floor],
    ] as const) {
      const load = programs.load({ ...contender, name: 'web' }, 1, 5000);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS);
      times.push((await load).max);
    }
  return row(`dns in a thread, slowest answer while the main one is blocked ${BLOCKED_MS} ms`, 'us', slowest);
}

/** Each in turn, so many times; one row for each of the others. */
async function compare(
  programs: Programs,
  course: Course,
  mine: Contender,
  others: readonly Contender[],
): Promise<readonly Row[]> {
  const { inFlight, count, question } = course;
  const all = [mine, ...others];
  const loads = new Map<Contender, Load[]>(all.map((it) => [it, []]));
  const times = new Map<Contender, number[]>(all.map((it) => [it, []]));
  // The first run warms up, and does not count.
  for (const each of all) await programs.load({ ...each, ...question }, inFlight, count / 5);
  for (let round = 0; round < ROUNDS; round++)
    for (const each of all) {
      const before = each.cpu();
      loads.get(each)?.push(await programs.load({ ...each, ...question }, inFlight, count));
      times.get(each)?.push((each.cpu() - before) / count);
    }
  return others.flatMap((other) => {
    const name = `${titleOf(course)}, beside ${other.name}`;
    const perQuestion = { ours: times.get(mine) ?? [], floor: times.get(other) };
    return [
      ...rowsOf(name, loads.get(mine) ?? [], loads.get(other)),
      row(`${name}, processor time`, 'us/question', perQuestion),
    ];
  });
}

/** What `dnsperf` asks, line by line. */
const QUESTIONS = [
  { title: 'known name', lines: ['web A'], times: 50_000 },
  { title: 'forwarded', lines: Array.from({ length: 50_000 }, (_, i) => `p${i}.example A`), times: 1 },
] as const;

/** The same with the client that name servers are usually measured with. */
async function byDnsperf(
  programs: Programs,
  { title, lines, times }: (typeof QUESTIONS)[number],
  mine: Contender,
  others: readonly Contender[],
): Promise<readonly Row[]> {
  const questions = join(programs.directory, 'questions');
  writeFileSync(questions, `${lines.join('\n')}\n`);
  const found = new Map<Contender, Dnsperf[]>([mine, ...others].map((it) => [it, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (const [each, list] of found) list.push(await dnsperf(each, questions, times));
  return others.flatMap((other) => {
    const of = (take: (it: Dnsperf) => number) => ({
      ours: found.get(mine)?.map(take) ?? [],
      floor: found.get(other)?.map(take),
    });
    const name = `dns ${title} by dnsperf, 32 in flight, beside ${other.name}`;
    return [
      row(
        name,
        'questions/s',
        of((it) => it.perSecond),
      ),
      row(
        `${name}, lost`,
        'questions',
        of((it) => it.lost),
      ),
    ];
  });
}

interface Dnsperf {
  readonly perSecond: number;
  readonly lost: number;
}

/** Asks all questions of a file so many times. */
async function dnsperf({ client, address }: Contender, questions: string, times: number): Promise<Dnsperf> {
  const text = await output(client, 'dnsperf', [
    '-s',
    address,
    '-d',
    questions,
    '-n',
    String(times),
    '-q',
    '32',
  ]);
  const figure = (label: string) => Number(new RegExp(`${label}: +([0-9.]+)`).exec(text)?.[1]);
  return { perSecond: figure('Queries per second'), lost: figure('Queries lost') };
}

/** Clients in many sandboxes at once, each waiting for its answers. */
async function crowd(programs: Programs, mine: Ours): Promise<readonly Row[]> {
  const boxes: Contender[] = [];
  for (let i = 0; i < SANDBOXES; i++) boxes.push(await mine.add(`c${i}`));
  const start = performance.now();
  const running: Promise<Load>[] = [];
  for (const box of boxes) {
    running.push(programs.load({ ...box, name: 'web' }, 1, 2000));
    // To start a program stops this thread, which is the one that answers, for some milliseconds.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const loads = await Promise.all(running);
  const seconds = (performance.now() - start) / 1000;
  const sum = (take: (it: Load) => number) => loads.reduce((total, it) => total + take(it), 0);
  const name = `dns ${SANDBOXES} sandboxes at once, 1 in flight each`;
  return [
    row(name, 'questions/s', { ours: [sum((it) => it.answered) / seconds] }),
    row(`${name}, p99 of the slowest`, 'us', { ours: [Math.max(...loads.map((it) => it.p99))] }),
    row(`${name}, lost or wrong`, 'questions', { ours: [sum((it) => it.lost + it.bad)] }),
    await besideFloods(programs, boxes),
  ];
}

/** The slowest answers of one that asks one question at a time, while others ask as much as they can. */
async function besideFloods(programs: Programs, [quiet, ...boxes]: readonly Contender[]): Promise<Row> {
  if (quiet === undefined) throw new Error('no sandbox');
  const p99 = async () => (await programs.load({ ...quiet, name: 'web' }, 1, 2000)).p99;
  const slowest = { ours: [] as number[], floor: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    slowest.floor.push(await p99());
    const floods = boxes
      .slice(0, FLOODS)
      .map((box) => programs.load({ ...box, name: 'web' }, FLOOD_IN_FLIGHT, 20_000));
    slowest.ours.push(await p99());
    await Promise.all(floods);
  }
  return row(
    `dns p99 of one sandbox while ${FLOODS} keep ${FLOOD_IN_FLIGHT} in flight each, beside alone`,
    'us',
    slowest,
  );
}
