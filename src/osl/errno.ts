import { constants } from 'node:os';
import { type ErrorCode, type ErrorFacts, LibnetworkError } from '../errors.ts';

/** What a kernel error means to a caller. Everything else is INTERNAL. */
export const errnoCodes: Readonly<Record<string, ErrorCode>> = {
  EEXIST: 'ALREADY_EXISTS',
  ENODEV: 'NOT_FOUND',
  ENOENT: 'NOT_FOUND',
  ESRCH: 'NOT_FOUND',
  ENXIO: 'NOT_FOUND',
  EPERM: 'FORBIDDEN',
  EACCES: 'FORBIDDEN',
  EROFS: 'FORBIDDEN',
  EINVAL: 'INVALID_ARGUMENT',
  ERANGE: 'INVALID_ARGUMENT',
  EADDRNOTAVAIL: 'INVALID_ARGUMENT',
  EISDIR: 'INVALID_ARGUMENT',
  ENOTDIR: 'INVALID_ARGUMENT',
  ENAMETOOLONG: 'INVALID_ARGUMENT',
  ELOOP: 'INVALID_ARGUMENT',
  EBUSY: 'CONFLICT',
  EADDRINUSE: 'CONFLICT',
  EOPNOTSUPP: 'NOT_IMPLEMENTED',
  EAFNOSUPPORT: 'NOT_IMPLEMENTED',
  EPROTONOSUPPORT: 'NOT_IMPLEMENTED',
  ESOCKTNOSUPPORT: 'NOT_IMPLEMENTED',
  ECONNREFUSED: 'UNAVAILABLE',
  ENETUNREACH: 'UNAVAILABLE',
  EHOSTUNREACH: 'UNAVAILABLE',
  ETIMEDOUT: 'TIMEOUT',
};

/** Second names of numbers that the kernel calls EAGAIN and EOPNOTSUPP (asm-generic/errno.h). */
const ALIASES: readonly string[] = ['EWOULDBLOCK', 'ENOTSUP'];

const names = new Map(
  Object.entries(constants.errno)
    .filter(([name]) => !ALIASES.includes(name))
    .map(([name, number]) => [number, name]),
);

/** The kernel's name of an error number: `EEXIST` for 17 or -17. */
export function errnoName(number: number): string {
  return names.get(Math.abs(number)) ?? `E${Math.abs(number)}`;
}

/** A kernel failure as our error: `operation: EEXIST (File exists by that name)`. */
export function kernelError(
  operation: string,
  errno: string,
  kernelMessage?: string,
  facts: ErrorFacts = {},
): LibnetworkError {
  const text = kernelMessage ? `${operation}: ${errno} (${kernelMessage})` : `${operation}: ${errno}`;
  return new LibnetworkError(errnoCodes[errno] ?? 'INTERNAL', text, {
    ...facts,
    operation,
    errno,
    ...(kernelMessage ? { kernelMessage } : {}),
  });
}
