/** How a call to a plugin can fail, where its caller has to know. */
import { type ErrorCode, type ErrorFacts, LibnetworkError } from '../errors.ts';

/** The plugin answered, and said no: it has done nothing. */
export class PluginRefusal extends LibnetworkError {
  /** The status of its answer; 404 also where it has no such method. */
  readonly status: number;

  constructor(
    code: ErrorCode,
    message: string,
    facts: ErrorFacts & { readonly status: number; readonly cause?: unknown },
  ) {
    const { status, ...rest } = facts;
    super(code, message, rest);
    this.status = status;
  }
}

/** What went wrong with one exchange of a request and an answer. */
export type ExchangeFailure =
  /** No whole request arrived, or no answer began: it may be tried again. */
  | { readonly kind: 'unreachable'; readonly cause: Error; readonly reused: boolean }
  /** `distrusted`: one side does not believe the other's certificate. */
  | { readonly kind: 'forbidden' | 'distrusted' | 'broken'; readonly cause: Error }
  | { readonly kind: 'late' | 'too long'; readonly limit: string }
  | { readonly kind: 'aborted'; readonly cause: unknown };

export class FailedExchange extends Error {
  readonly failure: ExchangeFailure;

  constructor(failure: ExchangeFailure) {
    super(failure.kind);
    this.failure = failure;
  }
}

/** Errors of a connection that has not been made, or that ended before an answer began. */
const UNREACHABLE = new Set([
  'ENOENT',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'EAGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** Names of OpenSSL's and Node's errors about certificates. */
const DISTRUST = /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;

/** What an error of a request that has no answer yet means. */
export function failureOf(error: Error, reused: boolean): ExchangeFailure {
  const code = 'code' in error ? String(error.code) : '';
  if (UNREACHABLE.has(code)) return { kind: 'unreachable', cause: error, reused };
  if (DISTRUST.test(code)) return { kind: 'distrusted', cause: error };
  return { kind: code === 'EACCES' || code === 'EPERM' ? 'forbidden' : 'broken', cause: error };
}
