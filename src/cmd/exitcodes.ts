import type { ErrorCode } from '../errors.ts';

/** What a command ends with; docs/dnet.md has the same table. */
export const EXIT: Readonly<Record<ErrorCode, number>> & {
  readonly OK: 0;
  readonly FAILED: 1;
  readonly USAGE: 2;
} = {
  OK: 0,
  FAILED: 1,
  USAGE: 2,
  INVALID_ARGUMENT: 2,
  NOT_FOUND: 3,
  ALREADY_EXISTS: 4,
  CONFLICT: 4,
  FORBIDDEN: 5,
  UNAVAILABLE: 6,
  TIMEOUT: 7,
  ABORTED: 7,
  NOT_IMPLEMENTED: 8,
  INTERNAL: 1,
};
