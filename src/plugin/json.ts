/** JSON from a stranger: how deep it may go, what may follow it, and how its keys are read. */
import * as v from 'valibot';
import { LibnetworkError } from '../errors.ts';

const MAX_DEPTH = 64;

type Fault = 'INTERNAL' | 'INVALID_ARGUMENT';

/**
 * The first JSON value of a text; what follows it is not looked at, as Go's decoder does it.
 * @throws the code given, for text that begins with no JSON value, or one that is nested too deep
 */
export function firstJson(text: string, what: string, code: Fault = 'INTERNAL'): unknown {
  const start = text.search(/\S/);
  if (start < 0) throw notJson(what, code, 'nothing');
  const end = endOfValue(text, start);
  if (end === undefined)
    throw new LibnetworkError(code, `${what}: the body is JSON nested deeper than ${MAX_DEPTH}`, {
      operation: what,
      limit: `${MAX_DEPTH} levels of JSON`,
    });
  try {
    return JSON.parse(text.slice(start, end));
  } catch (error) {
    throw notJson(what, code, JSON.stringify(text.slice(start, start + 80)), error);
  }
}

/** Where the value that begins at `start` ends, or the text; `undefined` for one that is nested too deep. */
function endOfValue(text: string, start: number): number | undefined {
  const first = text[start];
  if (first === '"') return endOfString(text, start);
  if (first !== '{' && first !== '[') {
    const scalar = /[-+.\w]*/y;
    scalar.lastIndex = start;
    scalar.test(text);
    return scalar.lastIndex === start ? text.length : scalar.lastIndex;
  }
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const character = text[i];
    if (character === '"') i = endOfString(text, i) - 1;
    else if (character === '{' || character === '[') {
      if (++depth > MAX_DEPTH) return undefined;
    } else if ((character === '}' || character === ']') && --depth === 0) return i + 1;
  }
  return text.length;
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

function notJson(what: string, code: Fault, got: string, cause?: unknown): LibnetworkError {
  return new LibnetworkError(code, `${what}: the body is not JSON: ${got}`, {
    operation: what,
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * A message of the protocol as Go reads it: keys match in any case, `null` is the same as nothing, also in place of
 * the whole message, and what is not known is left out.
 */
export function message<const Entries extends v.ObjectEntries>(entries: Entries) {
  const keys = new Map(Object.keys(entries).map((key) => [key.toLowerCase(), key]));
  return v.pipe(
    v.unknown(),
    v.check((value) => !Array.isArray(value), 'must be an object'),
    v.transform((value) => fold(value, keys)),
    v.object(entries, 'must be an object'),
  );
}

function fold(value: unknown, keys: ReadonlyMap<string, string>): unknown {
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) return value;
  const folded: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const key = keys.get(name.toLowerCase());
    if (key !== undefined && member !== null) folded[key] = member;
  }
  return folded;
}

/** The kinds of members, all of which may be missing: then they are Go's zero values. */
export const text = v.optional(v.string('must be text'), '');
export const flag = v.optional(v.boolean('must be true or false'), false);
export const integer = v.optional(
  v.pipe(v.number('must be a number'), v.safeInteger('must be a whole number')),
  0,
);
export const texts = v.optional(v.record(v.string(), v.string('must be text'), 'must be an object'), {});
export const anything = v.optional(v.record(v.string(), v.unknown(), 'must be an object'), {});
export function list<const S extends v.GenericSchema>(item: S) {
  return v.optional(v.array(item, 'must be a list'), []);
}

/**
 * A value from outside in its shape.
 * @throws the code given, naming the member that is not as it should be
 */
export function read<const S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  what: string,
  code: Fault,
): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? 'body';
  const why = issue.message.startsWith('Invalid ') ? 'is not what it should be' : issue.message;
  throw new LibnetworkError(code, `${what}: ${field.slice(0, 200)} ${why}, got ${brief(issue.input)}`, {
    operation: what,
    field: field.slice(0, 200),
    value: brief(issue.input),
  });
}

/** A value in a few words. It may be anything, of any size. */
export function brief(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  return String(value);
}

/** Text from outside that goes into a message: one line, not endless. */
export function oneLine(value: string): string {
  return value
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, 1_000);
}
