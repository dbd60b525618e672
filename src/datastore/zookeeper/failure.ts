import { LibnetworkError } from '../../errors.ts';
import { cantBeAsked } from '../remote/calls.ts';

/** Codes of `KeeperException`. */
export const NO_NODE = -101;
export const BAD_VERSION = -103;
export const NODE_EXISTS = -110;
const NO_AUTH = -102;
const CONNECTION_LOSS = -4;
const SESSION_EXPIRED = -112;
const AUTH_FAILED = -115;

export function codeOf(error: unknown): number | undefined {
  return error instanceof Object && 'code' in error && typeof error.code === 'number'
    ? error.code
    : undefined;
}

/** True when it may work at another time. */
export function isTransient(error: unknown): boolean {
  const code = codeOf(error);
  return code === CONNECTION_LOSS || code === SESSION_EXPIRED || LibnetworkError.is(error, 'UNAVAILABLE');
}

export function zookeeperError(operation: string, error: unknown, write: boolean): LibnetworkError {
  if (LibnetworkError.is(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const facts = { operation, cause: error };
  if (isTransient(error)) return cantBeAsked('ZooKeeper', operation, error, write);
  const code = codeOf(error);
  if (code === NO_AUTH || code === AUTH_FAILED)
    return new LibnetworkError('FORBIDDEN', `ZooKeeper refuses ${operation}: ${text}`, facts);
  return new LibnetworkError('INTERNAL', `ZooKeeper failed at ${operation}: ${text}`, facts);
}
