import { isAbsolute, normalize } from 'node:path';
import { invalid } from '../../errors.ts';

/** `dev_valid_name` of the kernel: 1 to 15 bytes, not `.` or `..`, without slash, colon and white space. */
export function requireLinkName(name: unknown, field: string): asserts name is string {
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > 15)
    throw invalid(field, name, 'must be a name of 1 to 15 bytes');
  if (name === '.' || name === '..' || /[/:\s\0]/.test(name))
    throw invalid(field, name, 'must not hold slashes, colons or spaces');
}

/** An integer from `low` to `high`, both included. */
export function requireRange(value: unknown, low: number, high: number, field: string): void {
  if (!Number.isInteger(value) || Number(value) < low || Number(value) > high)
    throw invalid(field, value, `must be a whole number from ${low} to ${high}`);
}

/** The six bytes of `02:42:0a:09:00:05`. */
export function macBytes(text: unknown, field: string): Buffer {
  if (typeof text !== 'string' || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    throw invalid(field, text, 'must be six hex pairs with colons');
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

/** An absolute path without `.`, `..` and doubled slashes. */
export function requirePath(path: unknown, field: string): asserts path is string {
  const fine =
    typeof path === 'string' && isAbsolute(path) && normalize(path) === path && !/\0|\/$/.test(path);
  if (!fine) throw invalid(field, path, 'must be an absolute, normal path');
}

/** The path of a key under `/proc/sys/net`. */
export function sysctlPath(key: unknown): string {
  const parts = typeof key === 'string' ? key.split('/') : [];
  const fine =
    parts.length > 1 &&
    parts[0] === 'net' &&
    parts.every((part) => !/^\.{0,2}$/.test(part) && !part.includes('\0'));
  if (!fine) throw invalid('key', key, "must be a key below net/, such as 'net/ipv4/ip_forward'");
  return `/proc/sys/${parts.join('/')}`;
}
