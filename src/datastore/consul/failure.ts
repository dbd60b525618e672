import { LibnetworkError } from '../../errors.ts';
import { cantBeAsked } from '../remote/calls.ts';
import type { FailureKind } from '../remote/rotation.ts';

/** An answer that is a refusal. */
export class ConsulRefusal extends Error {
  readonly status: number;

  constructor(status: number, body: string) {
    super(`HTTP ${status}: ${body.trim().slice(0, 500)}`);
    this.status = status;
  }
}

/** Errors of a connection that was never there. */
const UNSENT = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);

export function failureKind(error: unknown): FailureKind {
  if (error instanceof ConsulRefusal) {
    // "No cluster leader" is said before anything is done, and 429 refuses for lack of rate.
    if (error.status === 429 || /No cluster leader|rate limit/i.test(error.message)) return 'unsent';
    return error.status >= 500 ? 'unknown' : 'final';
  }
  if (LibnetworkError.is(error)) return 'final';
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return UNSENT.has(code) ? 'unsent' : 'unknown';
}

export function consulError(operation: string, error: unknown, write: boolean): LibnetworkError {
  if (LibnetworkError.is(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const facts = { operation, cause: error };
  const kind = failureKind(error);
  if (kind !== 'final') return cantBeAsked('Consul', operation, error, write && kind === 'unknown');
  const status = error instanceof ConsulRefusal ? error.status : 0;
  if (status === 403 || status === 401)
    return new LibnetworkError('FORBIDDEN', `Consul refuses ${operation}: ${text}`, facts);
  if (status === 413)
    return new LibnetworkError('INVALID_ARGUMENT', `${operation}: larger than Consul takes: ${text}`, {
      ...facts,
      limit: /too many operations/i.test(text) ? 'maxOperations' : 'kv_max_value_size',
    });
  return new LibnetworkError('INTERNAL', `Consul failed at ${operation}: ${text}`, facts);
}
