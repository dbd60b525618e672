/** What came of every try, as tables for people to review. */
import { ROWS, type Target } from './places.ts';

/**
 * `reach`: who should be at the target answered. `refused`: somebody answered that nobody listens. `none`: no
 * answer. `reach <name>`: somebody else answered.
 */
export type Cell = string;

/** By row, one cell for each target. */
export type Matrix = ReadonlyMap<string, readonly Cell[]>;

/** One aligned table for each group of targets: a row says from where, a column to where. */
export function format(title: string, targets: readonly Target[], matrix: Matrix): string {
  const groups = [...new Set(targets.map(({ group }) => group))];
  const tables = groups.map((group) => {
    const columns = [...targets.keys()].filter((i) => targets[i]?.group === group);
    const head = ['', ...columns.map((i) => targets[i]?.label ?? '')];
    const rows = ROWS.map((row) => [row, ...columns.map((i) => matrix.get(row)?.[i] ?? '')]);
    return `${group}\n\n${align([head, ...rows])}`;
  });
  return `${[title, ...tables].join('\n\n')}\n`;
}

function align(lines: readonly (readonly string[])[]): string {
  const [head = []] = lines;
  const widths = head.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)));
  const show = (cells: readonly string[]) => cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ');
  return lines.map((line) => show(line).trimEnd()).join('\n');
}
