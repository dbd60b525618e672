/** What commands print: tables for people, JSON and templates for programs; colours only on a terminal. */
import { LibnetworkError } from '../errors.ts';
import { compileTemplate, titlesOf } from './template.ts';

/** A column of a table. */
export interface Column<T> {
  readonly title: string;
  readonly of: (row: T) => string;
}

export interface Output {
  line(text: string): void;
  /** `table` (also for none, or an empty one), `json`, or a template; `table TEMPLATE` prints the template's columns in line, under titles. */
  list<T extends object>(rows: readonly T[], columns: readonly Column<T>[], format: string | undefined): void;
  /** One thing: JSON, unless a template is given. */
  thing(value: unknown, format: string | undefined): void;
  /** For people, on the standard error. */
  note(text: string): void;
}

export interface Streams {
  readonly out: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
  readonly err: { write(text: string): unknown; readonly isTTY?: boolean | undefined };
}

export function outputTo({ out, err }: Streams): Output {
  return {
    line: (text) => out.write(`${text}\n`),
    note: (text) => err.write(`${text}\n`),
    list: (rows, columns, given) => {
      const format = given || 'table';
      if (format === 'json') out.write(`${JSON.stringify(rows, undefined, 2)}\n`);
      else if (format === 'table') out.write(table(rows, columns, isColoured(out)));
      else out.write(templated(rows, format));
    },
    thing: (value, given) => {
      const format = given || 'json';
      if (format === 'json') out.write(`${JSON.stringify(value, undefined, 2)}\n`);
      else if (format === 'table')
        throw new LibnetworkError('INVALID_ARGUMENT', 'format: this has no table; take json or a template');
      else out.write(`${compileTemplate(format)(value)}\n`);
    },
  };
}

/** `NO_COLOR` (no-color.org) turns them off, `FORCE_COLOR` on. */
export function isColoured(stream: { readonly isTTY?: boolean | undefined }): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR && FORCE_COLOR !== '0') return true;
  return stream.isTTY === true && TERM !== 'dumb';
}

const COLOURS = { bold: 1, red: 31, green: 32, yellow: 33, dim: 2 } as const;

export function paint(text: string, colour: keyof typeof COLOURS, isOn: boolean): string {
  return isOn ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;
}

function templated<T>(rows: readonly T[], format: string): string {
  if (!format.startsWith('table ')) {
    const template = compileTemplate(format);
    return rows.map((row) => `${template(row)}\n`).join('');
  }
  const source = format.slice('table '.length);
  const template = compileTemplate(source);
  const lines = [titlesOf(source), ...rows.map((row) => template(row))];
  return aligned(lines.map((line) => line.split('\t').map(safe)));
}

function table<T>(rows: readonly T[], columns: readonly Column<T>[], colour: boolean): string {
  const head = columns.map(({ title }) => title);
  const body = rows.map((row) => columns.map(({ of }) => safe(of(row))));
  const text = aligned([head, ...body]);
  const end = text.indexOf('\n');
  return colour ? `${paint(text.slice(0, end), 'bold', true)}${text.slice(end)}` : text;
}

const GAP = 3;

function aligned(lines: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const line of lines)
    for (const [i, cell] of line.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd((widths[i] ?? 0) + GAP))
          .join('')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Text of others as it may stand on a terminal: without what would steer it. */
export function safe(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

/** An address and a port, as URLs have them. */
export function placeText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export function shortId(id: string, isWhole: boolean | undefined): string {
  return isWhole ? id : id.slice(0, 12);
}
