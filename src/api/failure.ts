/** Whatever is thrown on the way of a request, as an error with a code. */
import type { FastifyError, FastifyRequest } from 'fastify';
import { type ErrorCode, LibnetworkError } from '../index.ts';
import type { ApiContext } from './context.ts';
import { STATUS } from './status.ts';

export interface Failure {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly error: LibnetworkError;
}

/** What the framework refuses by itself: a body that is too large, no JSON, or not of the schema. */
const FRAMEWORK: Readonly<Record<string, { readonly status: number; readonly code: ErrorCode }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { status: 413, code: 'INVALID_ARGUMENT' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { status: 415, code: 'INVALID_ARGUMENT' },
  FST_ERR_BAD_URL: { status: 400, code: 'INVALID_ARGUMENT' },
  FST_ERR_VALIDATION: { status: 400, code: 'INVALID_ARGUMENT' },
};

/** Faults of ours are logged, and not told in detail. */
export function failureOf(
  { logger }: Pick<ApiContext, 'logger'>,
  request: FastifyRequest,
  thrown: unknown,
): Failure {
  if (LibnetworkError.is(thrown)) {
    if (thrown.code === 'INTERNAL') logFault(logger, request, thrown);
    return { status: STATUS[thrown.code], code: thrown.code, message: thrown.message, error: thrown };
  }
  const known = frameworkFailure(thrown);
  if (known) return known;
  logFault(logger, request, thrown);
  const error = new LibnetworkError('INTERNAL', 'internal error: the log of the daemon tells more', {
    cause: thrown,
  });
  return { status: 500, code: 'INTERNAL', message: error.message, error };
}

function frameworkFailure(thrown: unknown): Failure | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const { code: name, statusCode = 500, message } = thrown as FastifyError;
  const known = FRAMEWORK[name];
  const status = known?.status ?? statusCode;
  if (status >= 500) return undefined;
  const code = known?.code ?? 'INVALID_ARGUMENT';
  const text = `${message}${choicesOf(thrown as FastifyError)}`;
  return { status, code, message: text, error: new LibnetworkError(code, text, { cause: thrown }) };
}

/** What may stand where a value is none of the allowed ones: the framework's words keep it for themselves. */
function choicesOf(error: FastifyError): string {
  const allowed: unknown = error.validation?.[0]?.params.allowedValues;
  return Array.isArray(allowed) ? `: ${allowed.join(', ')}` : '';
}

function logFault(logger: ApiContext['logger'], request: FastifyRequest, error: unknown): void {
  logger.error(`${request.method} ${request.url.split('?', 1)[0]} failed`, { err: error });
}
