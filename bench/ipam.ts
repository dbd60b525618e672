/**
 * Address allocation, beside a run-length list that does the same work: operations per second (more is better) and
 * bytes (fewer are better).
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Datastore, memoryStore } from '../src/datastore/index.ts';
import { Bitseq } from '../src/ipam/bitseq/index.ts';
import { createIpam } from '../src/ipam/index.ts';
import { RunLengthSet } from './floor/rle.ts';
import { ipamPoolsBench } from './ipampools.ts';
import { numbers } from './numbers.ts';
import { median, type Row, row } from './row.ts';

const ROUNDS = 9;
/** Rounds that do not count, in which both sides are compiled. */
const WARM_UP = 30;
const SLASH_8 = 1n << 24n;
const SLASH_16 = 1n << 16n;
const SLASH_64 = 1n << 64n;

/** What both sides can do. */
interface OrdinalSet {
  takeAny(): bigint | undefined;
  take(ordinal: bigint): unknown;
  release(ordinal: bigint): unknown;
}

export async function ipamBench(): Promise<readonly Row[]> {
  return [
    anyFree('/24, empty', 256n, (set) => set),
    anyFree('/16, 50 % at random', SLASH_16, half),
    anyFree('/8, empty', SLASH_8, (set) => set),
    anyFree('/8, 50 % at random', SLASH_8, half, { floor: false }),
    anyFree('/8, 99.9 %', SLASH_8, almostFull, { floor: false }),
    anyFree('/64, 1,000,000 taken', SLASH_64, million),
    turnover('/24, half taken', 256n, half),
    turnover('/16, 50 % at random', SLASH_16, half),
    bytesHeld('/16, 50 % at random', SLASH_16, half),
    bytesHeld('/8, 99.9 %', SLASH_8, almostFull, { floor: false }),
    bytesHeld('/64, 1,000,000 taken', SLASH_64, million),
    await bytesWritten('/16, 50 % at random', '10.7.0.0/16', SLASH_16, half),
    ...(await ipamPoolsBench()),
  ];
}

interface Sides {
  /** Whether the run-length list is worth waiting for. */
  readonly floor?: boolean;
}

type Fill = <T extends OrdinalSet>(set: T) => T;

/** Takes the lowest free ordinal, again and again; what was taken is freed between the rounds. */
function anyFree(what: string, size: bigint, fill: Fill, { floor = true }: Sides = {}): Row {
  const count = size < 2000n ? Number(size) - 6 : 2000;
  const turns = Math.ceil(2000 / count);
  const sides: { ours: OrdinalSet; floor: OrdinalSet | undefined } = {
    ours: fill(new Bitseq(size)),
    floor: floor ? fill(new RunLengthSet(size)) : undefined,
  };
  const round = (set: OrdinalSet) => {
    const rates: number[] = [];
    for (let turn = 0; turn < turns; turn++) {
      const given: bigint[] = [];
      const take = () => {
        const ordinal = set.takeAny();
        if (ordinal !== undefined) given.push(ordinal);
      };
      rates.push(perSecond(count, take));
      for (const ordinal of given.reverse()) set.release(ordinal);
    }
    return median(rates) ?? 0;
  };
  return compare(`any free, ${what}`, 'op/s', sides, round);
}

interface Turnover {
  readonly set: OrdinalSet;
  /** What the set holds. */
  readonly taken: bigint[];
  readonly random: () => number;
}

/** Frees a taken ordinal somewhere and takes any: what a pool does whose endpoints come and go. */
function turnover(what: string, size: bigint, fill: Fill): Row {
  const taken = [...fill(new Bitseq(size))];
  const sides: { ours: Turnover; floor: Turnover } = {
    ours: { set: fill(new Bitseq(size)), taken, random: numbers(3) },
    floor: { set: fill(new RunLengthSet(size)), taken: [...taken], random: numbers(3) },
  };
  const round = ({ set, taken, random }: Turnover) =>
    perSecond(1000, () => {
      const at = random() % taken.length;
      set.release(taken[at] ?? 0n);
      taken[at] = set.takeAny() ?? 0n;
    });
  return compare(`free one, take any, ${what}`, 'op/s', sides, round);
}

function bytesHeld(what: string, size: bigint, fill: Fill, { floor = true }: Sides = {}): Row {
  const ours = heap(() => fill(new Bitseq(size)));
  const theirs = floor ? [heap(() => fill(new RunLengthSet(size)))] : [];
  return row(`bytes held, ${what}`, 'B', { ours: [ours], floor: theirs });
}

/** What goes to the store for one address, as JSON; of the run-length list, the whole set as base64. */
async function bytesWritten(what: string, subnet: string, size: bigint, fill: Fill): Promise<Row> {
  const sizes: number[] = [];
  const store = watched(memoryStore(), (value) => sizes.push(JSON.stringify(value).length));
  const ipam = createIpam({ store });
  const { id } = await ipam.requestPool({ addressSpace: 'LocalDefault', family: 'ipv4', subnet });
  const set = fill(new Bitseq(size));
  const base = subnet.split('.').slice(0, 2).join('.');
  const requests = [...set].filter((ordinal) => ordinal > 0n && ordinal < size - 1n);
  await Promise.all(
    requests.map((ordinal) =>
      ipam.requestAddress({ poolId: id, address: `${base}.${ordinal >> 8n}.${ordinal & 255n}` }),
    ),
  );
  sizes.length = 0;
  for (let i = 0; i < 500; i++) await ipam.requestAddress({ poolId: id });
  const whole = fill(new RunLengthSet(size)).serialize().toString('base64').length;
  return row(`bytes written per address, ${what}`, 'B', { ours: sizes, floor: [whole] });
}

function compare<Side>(
  name: string,
  unit: string,
  sides: { readonly ours: Side; readonly floor: Side | undefined },
  round: (side: Side) => number,
): Row {
  const ours: number[] = [];
  const floor: number[] = [];
  collectGarbage();
  for (let i = -WARM_UP; i < ROUNDS; i++) {
    const a = round(sides.ours);
    const b = sides.floor && round(sides.floor);
    if (i < 0) continue;
    ours.push(a);
    if (b !== undefined) floor.push(b);
  }
  return row(name, unit, { ours, floor });
}

function perSecond(count: number, act: () => void): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i++) act();
  return (count * 1e9) / Number(process.hrtime.bigint() - start);
}

/** Every ordinal with a chance of one half. */
function half<T extends OrdinalSet>(set: T): T {
  const random = numbers(1);
  const size = set instanceof Bitseq || set instanceof RunLengthSet ? set.size : 0n;
  // From the end, since a run-length list is quickest at its start.
  for (let ordinal = size - 1n; ordinal >= 0n; ordinal--) if ((random() & 0x10000) !== 0) set.take(ordinal);
  return set;
}

/** All but every thousandth or so, at random. */
function almostFull<T extends OrdinalSet>(set: T): T {
  const random = numbers(2);
  if (!(set instanceof Bitseq)) return set;
  set.takeRange(0n, set.size - 1n);
  for (let i = 0n; i < set.size / 1000n; i++) set.release(BigInt(random()) % set.size);
  return set;
}

function million<T extends OrdinalSet>(set: T): T {
  for (let i = 0; i < 1_000_000; i++) set.takeAny();
  return set;
}

/** Keeps what is measured from being collected before it is. */
let kept: unknown;

/** How many bytes of heap something takes, of several copies' worth. */
function heap(make: () => unknown): number {
  const copies = 8;
  kept = undefined;
  const before = used();
  kept = Array.from({ length: copies }, make);
  const bytes = (used() - before) / copies;
  return kept === undefined ? 0 : Math.round(bytes);
}

function used(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Lets no garbage of what was measured before fall into what is measured next. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') return;
  for (let i = 0; i < 3; i++) collect();
}

/** A store that tells of every value that is put. */
function watched(store: Datastore, onPut: (value: unknown) => void): Datastore {
  return {
    scope: store.scope,
    get: (...args) => store.get(...args),
    list: (...args) => store.list(...args),
    delete: (...args) => store.delete(...args),
    transaction: (...args) => store.transaction(...args),
    watch: (...args) => store.watch(...args),
    close: () => store.close(),
    put: (key, value, options) => {
      onPut(value);
      return store.put(key, value, options);
    },
  };
}
