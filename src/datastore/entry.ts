/** What every store does alike: checks keys, turns values into JSON and back, orders keys, words its refusals. */
import { invalid, LibnetworkError, show } from '../errors.ts';
import { type Entry, MAX_KEY_BYTES, type StoreOperation } from './datastore.ts';

/** @throws INVALID_ARGUMENT for a key that is empty, too long, or no text without NUL */
export function checkKey(key: string): void {
  if (typeof key !== 'string' || key === '') throw invalid('key', key, 'must be a non-empty text');
  checkText('key', key);
}

/** A prefix is what a key may start with: also nothing at all. */
export function checkPrefix(prefix: string): void {
  if (typeof prefix !== 'string') throw invalid('prefix', prefix, 'must be a text');
  checkText('prefix', prefix);
}

function checkText(field: string, text: string): void {
  if (text.includes('\0')) throw invalid(field, text, 'must not contain NUL');
  if (/\p{Surrogate}/u.test(text))
    throw invalid(field, text, 'must be valid Unicode (a lone surrogate has no UTF-8)');
  // A UTF-16 unit takes at most three bytes, so that most keys need no counting.
  if (text.length * 3 <= MAX_KEY_BYTES || Buffer.byteLength(text) <= MAX_KEY_BYTES) return;
  throw new LibnetworkError(
    'INVALID_ARGUMENT',
    `${field}: must be at most ${MAX_KEY_BYTES} bytes long, got ${Buffer.byteLength(text)}: ${show(text)}`,
    { field, value: text, limit: 'MAX_KEY_BYTES' },
  );
}

/** Checks the operations of a transaction before any of them acts. @throws INVALID_ARGUMENT */
export function checkOperations(operations: readonly StoreOperation[]): void {
  const seen = new Set<string>();
  for (const { key } of operations) {
    checkKey(key);
    if (seen.has(key)) throw invalid('operations', key, 'a transaction may name a key only once');
    seen.add(key);
  }
}

/** @throws INVALID_ARGUMENT for what JSON can't hold: functions, cycles, bigints, `undefined` itself */
export function encodeValue(key: string, value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new LibnetworkError('INVALID_ARGUMENT', `value of ${key}: must be JSON data (${String(cause)})`, {
      field: 'value',
      cause,
    });
  }
  if (text === undefined) throw invalid('value', value, `must be JSON data (key ${key})`);
  return text;
}

/** JSON text as frozen data. @throws SyntaxError */
export function decodeValue(text: string): unknown {
  return deepFreeze(JSON.parse(text));
}

/** What an engine holds, as an entry. @throws INTERNAL for a value that is no JSON: somebody else wrote it */
export function readEntry(engine: string, key: string, text: string, version: number): Entry {
  try {
    return Object.freeze({ key, value: decodeValue(text), version });
  } catch (cause) {
    const what = `${engine} holds under ${key} what is no JSON; another program wrote it`;
    throw new LibnetworkError('INTERNAL', what, { field: key, operation: `read ${key}`, cause });
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const key in value) deepFreeze(value[key]);
  return Object.freeze(value);
}

/**
 * Orders keys by their UTF-8 bytes. UTF-16 order, which `<` gives, differs only where a surrogate meets a unit
 * above it, so the slow comparison is left to texts that hold one.
 */
export function compareKeys(a: string, b: string): number {
  if (SURROGATE.test(a) || SURROGATE.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

const SURROGATE = /[\ud800-\udfff]/;

/** True when a key at `version` (0: absent) satisfies the condition. */
export function holds(ifVersion: number | undefined, version: number): boolean {
  return ifVersion === undefined || ifVersion === version;
}

/** The refusal of a write whose condition did not hold. */
export function conditionFailed(
  key: string,
  ifVersion: number | undefined,
  version: number,
): LibnetworkError {
  const wanted = ifVersion === 0 ? 'absent' : `at version ${ifVersion}`;
  const found = version === 0 ? 'absent' : `at version ${version}`;
  return new LibnetworkError(
    'CONFLICT',
    `${key}: expected it ${wanted}, it is ${found}; read it again and retry`,
    {
      field: 'ifVersion',
      value: ifVersion,
      operation: `write ${key}`,
    },
  );
}

export function storeClosed(what: string): LibnetworkError {
  return new LibnetworkError('UNAVAILABLE', `${what} is closed`, { operation: what });
}
