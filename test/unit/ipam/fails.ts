import { expect } from 'vitest';
import { type ErrorCode, LibnetworkError } from '../../../src/errors.ts';

/** The error that a call fails with, which must have the code. */
export async function fails(code: ErrorCode, call: Promise<unknown>): Promise<LibnetworkError> {
  const error: unknown = await call.then(
    (value) => expect.unreachable(`it answered ${String(value)}`),
    (reason: unknown) => reason,
  );
  if (!LibnetworkError.is(error)) throw error;
  expect(error.code).toBe(code);
  return error;
}
