/** One line of the benchmark's table, and one element of its JSON. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  /** The median of this package's times; `null` for a figure of the machine alone. */
  readonly ours: number | null;
  /** The median of what it is compared with; `null` where there is nothing, or no C compiler. */
  readonly floor: number | null;
  /** `ours / floor`. */
  readonly ratio: number | null;
  /** How many samples of ours. */
  readonly n: number;
}

export interface Samples {
  readonly ours: readonly number[];
  readonly floor?: readonly number[] | undefined;
}

export function row(name: string, unit: string, { ours, floor = [] }: Samples): Row {
  const [a, b] = [median(ours), median(floor)];
  return { name, unit, ours: a, floor: b, ratio: ratioOf(a, b), n: ours.length || floor.length };
}

/** The middle sample, to four significant digits; `null` of none. */
export function median(samples: readonly number[]): number | null {
  const sorted = [...samples].sort((a, b) => a - b);
  const high = sorted[sorted.length >> 1];
  const low = sorted[(sorted.length - 1) >> 1];
  return high === undefined || low === undefined ? null : rounded((low + high) / 2);
}

function ratioOf(ours: number | null, floor: number | null): number | null {
  return ours === null || floor === null || floor === 0 ? null : rounded(ours / floor);
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

const columns = ['name', 'unit', 'ours', 'floor', 'ratio', 'n'] as const;

/** The rows as text in columns: names to the left, numbers to the right. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((row) =>
    columns.map((column) => (row[column] === null ? '–' : String(row[column]))),
  );
  const lines = [[...columns], ...cells];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  const render = (line: readonly string[]) =>
    line.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  const [head = [], ...body] = lines;
  return [render(head), rule, ...body.map(render)].join('\n');
}

/** Of as many there are the first ones compared with the last: a tenth. */
const PART = 10;

/** Of what was done again and again, in microseconds: what the last ones cost, beside the first. */
export function flat(name: string, times: readonly number[]): Row {
  const part = Math.floor(times.length / PART);
  // The very first ones compile the code, which a long-lived process does once.
  return row(name, 'us', { ours: times.slice(-part), floor: times.slice(part, 2 * part) });
}
