/** Docker's `filters` parameter: `{"driver":["bridge"]}`, or its older form `{"driver":{"bridge":true}}`. */
import { LibnetworkError, type Network } from '../../index.ts';

export type Filters = ReadonlyMap<string, readonly string[]>;

/** A key without values, as one that is absent, asks nothing. @throws INVALID_ARGUMENT for what is no such JSON, or a key that is not known */
export function readFilters(text: string | undefined, known: readonly string[]): Filters {
  const filters = new Map<string, readonly string[]>();
  if (text === undefined || text === '') return filters;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw refused('filters', text, 'the filters are no JSON', error);
  }
  if (parsed === null) return filters;
  if (typeof parsed !== 'object' || Array.isArray(parsed))
    throw refused('filters', text, 'the filters must be an object');
  for (const [key, values] of Object.entries(parsed)) {
    if (!known.includes(key)) throw refused('filters', key, `Invalid filter '${key}'`);
    const wanted = valuesOf(key, values);
    if (wanted.length > 0) filters.set(key, wanted);
  }
  return filters;
}

function valuesOf(key: string, values: unknown): string[] {
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return values;
  if (typeof values === 'object' && values !== null && !Array.isArray(values))
    return Object.entries(values).flatMap(([value, isOn]) => (isOn === true ? [value] : []));
  throw refused('filters', values, `the values of filter '${key}' must be texts`);
}

function refused(field: string, value: unknown, why: string, cause?: unknown): LibnetworkError {
  return new LibnetworkError('INVALID_ARGUMENT', why, { field, value, cause });
}

export const LIST_FILTERS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'] as const;
export const PRUNE_FILTERS = ['label', 'label!', 'until'] as const;

export const PREDEFINED: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

/** Whether a list shows a network: one value of each key must fit, and all labels. */
export function fits(filters: Filters): (network: Network) => boolean {
  const tests = [...filters].map(([key, values]) => testOf(key, values));
  return (network) => tests.every((test) => test(network));
}

function testOf(key: string, values: readonly string[]): (network: Network) => boolean {
  switch (key) {
    case 'driver':
      return ({ driver }) => values.includes(driver);
    case 'scope':
      return ({ scope }) => values.includes(scope);
    case 'id':
      return of(anyPattern(values), 'id');
    case 'name':
      return of(anyPattern(values), 'name');
    case 'label':
      return ({ labels }) => values.every((label) => hasLabel(labels, label));
    case 'type':
      return typeTest(values);
    default:
      return danglingTest(values);
  }
}

function of(test: (text: string) => boolean, field: 'id' | 'name'): (network: Network) => boolean {
  return (network) => test(network[field]);
}

/** The text itself, or a pattern that is found in it, as Docker has it; one that is none fits nothing. */
export function anyPattern(values: readonly string[]): (text: string) => boolean {
  const patterns = values.flatMap((value) => pattern(value) ?? []);
  return (text) => values.includes(text) || patterns.some((each) => each.test(text));
}

const MAX_PATTERN = 128;
const MAX_REPEATS = 3;

/** Of bounded work, since it comes from outside: what repeats a group, or much, is no pattern. */
function pattern(value: string): RegExp | undefined {
  const repeats = value.match(/[*+?{]/g)?.length ?? 0;
  if (value.length > MAX_PATTERN || repeats > MAX_REPEATS || /\)[*+{]|\\[1-9]/.test(value)) return undefined;
  try {
    return new RegExp(value);
  } catch {
    // As in Docker: it fits nothing.
    return undefined;
  }
}

export function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const [key = '', ...rest] = wanted.split('=');
  if (!Object.hasOwn(labels, key)) return false;
  return rest.length === 0 || labels[key] === rest.join('=');
}

function typeTest(values: readonly string[]): (network: Network) => boolean {
  for (const value of values) {
    if (value !== 'custom' && value !== 'builtin')
      throw refused('type', value, `invalid filter: 'type'='${value}'`);
  }
  return ({ name }) => values.includes(PREDEFINED.has(name) ? 'builtin' : 'custom');
}

function danglingTest(values: readonly string[]): (network: Network) => boolean {
  const [value, ...more] = values;
  if (more.length > 0) throw refused('dangling', values, "filter 'dangling' takes one value");
  if (value === undefined || !['true', '1', 'false', '0'].includes(value))
    throw refused(
      'dangling',
      value,
      'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
    );
  const isWanted = value === 'true' || value === '1';
  return (network) => isDangling(network) === isWanted;
}

/** Made by a user, and nobody uses it. */
export function isDangling(network: Network): boolean {
  return !PREDEFINED.has(network.name) && network.endpoints().length === 0;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * A point of time, in milliseconds since 1970: `2026-11-23T20:02:09Z`, seconds since 1970, or how long ago: `1h30m`.
 * @throws INVALID_ARGUMENT
 */
export function timeOf(text: string, now: number): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) {
    let span = 0;
    for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
      span += Number(amount) * (UNITS[unit ?? ''] ?? 0);
    return now - span;
  }
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time))
    throw refused('until', text, `failed to parse value as time or duration: "${text}"`);
  return time;
}
