import { LibnetworkError } from '../../errors.ts';
import { cantBeAsked } from '../remote/calls.ts';
import type { FailureKind } from '../remote/rotation.ts';

/** gRPC says with these words that nothing has gone out, and etcd that it took nothing in. */
const UNSENT =
  /No connection established|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|Name resolution failed|Waiting for LB pick|hannel (has been |was )?closed|no leader|too many requests|invalid auth token/i;

/** The package gives every failure a class of its own; their names are the stable part. */
const TRANSIENT =
  /^(GRPCUnavailable|GRPCDeadlineExceeded|GRPCCancelled|GRPCInternal|GRPCUnknown|GRPCAborted|EtcdWatchStreamEnded|EtcdInvalidAuthToken|ClientClosed)/;

export function failureKind(error: unknown): FailureKind {
  if (!(error instanceof Error)) return 'final';
  if (UNSENT.test(error.message)) return 'unsent';
  return TRANSIENT.test(error.constructor.name) || isConnectionError(error) ? 'unknown' : 'final';
}

function isConnectionError(error: Error): boolean {
  return 'code' in error && (error.code === 14 || error.code === 4 || error.code === 1);
}

/** @param write whether the request would have changed something */
export function etcdError(operation: string, error: unknown, write: boolean): LibnetworkError {
  if (LibnetworkError.is(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const facts = { operation, cause: error };
  const kind = failureKind(error);
  if (kind !== 'final') return cantBeAsked('etcd', operation, error, write && kind === 'unknown');
  if (/lease not found|is expired or revoked/i.test(text))
    return new LibnetworkError('NOT_FOUND', `the lease is gone in etcd (${operation}): ${text}`, facts);
  if (/request is too large|larger than max/i.test(text))
    return new LibnetworkError(
      'INVALID_ARGUMENT',
      `${operation}: larger than etcd takes; raise its --max-request-bytes (${text})`,
      { ...facts, limit: 'max-request-bytes' },
    );
  if (/too many operations/i.test(text))
    return new LibnetworkError(
      'INVALID_ARGUMENT',
      `${operation}: more operations than etcd takes at once; set maxOperations as its --max-txn-ops (${text})`,
      { ...facts, limit: 'maxOperations' },
    );
  if (/database space exceeded/i.test(text))
    return new LibnetworkError('UNAVAILABLE', `etcd is full (${operation}): ${text}`, {
      ...facts,
      limit: 'quota-backend-bytes',
    });
  if (/permission denied|authentication failed|auth|user name is empty|certificate/i.test(text))
    return new LibnetworkError('FORBIDDEN', `etcd refuses ${operation}: ${text}`, facts);
  return new LibnetworkError('INTERNAL', `etcd failed at ${operation}: ${text}`, facts);
}
