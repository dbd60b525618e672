/** The stable codes of every failure. The HTTP API maps them to a status; nobody parses messages. */
export const ERROR_CODES = [
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'FORBIDDEN',
  'CONFLICT',
  'NOT_IMPLEMENTED',
  'UNAVAILABLE',
  'TIMEOUT',
  'ABORTED',
  'INTERNAL',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Facts about a failure, carried as fields of the error so that programs need not read its text. */
export interface ErrorFacts {
  /** The option or field that was refused, in the caller's words: `ipam.pools[0].subnet`. */
  readonly field?: string;
  /** The refused value, as given. */
  readonly value?: unknown;
  /** Who holds what was asked for: an endpoint, a network, a process. */
  readonly holder?: string;
  /** The kernel's error name, such as `EEXIST`. */
  readonly errno?: string;
  /** The kernel's extended error text, where it gave one. */
  readonly kernelMessage?: string;
  /** What was being done: a system call, a netlink request, a driver's method. */
  readonly operation?: string;
  /** The limit that was reached, by name. */
  readonly limit?: string;
  /** Undo steps that failed too, so that what is left behind is known. */
  readonly notUndone?: readonly string[];
}

/** Every failure of this package. `code` is stable; `cause` is what it came from. */
export class LibnetworkError extends Error implements ErrorFacts {
  override readonly name = 'LibnetworkError';
  readonly code: ErrorCode;
  declare readonly field?: string;
  declare readonly value?: unknown;
  declare readonly holder?: string;
  declare readonly errno?: string;
  declare readonly kernelMessage?: string;
  declare readonly operation?: string;
  declare readonly limit?: string;
  declare readonly notUndone?: readonly string[];

  constructor(code: ErrorCode, message: string, facts: ErrorFacts & { readonly cause?: unknown } = {}) {
    const { cause, ...fields } = facts;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    Object.assign(this, fields);
  }

  /** True for a `LibnetworkError`, also one from a second copy of this package; with `code`, of that code. */
  static is(error: unknown, code?: ErrorCode): error is LibnetworkError {
    if (!(error instanceof Error) || error.name !== 'LibnetworkError' || !('code' in error)) return false;
    return code === undefined || error.code === code;
  }
}

/** Refuses a value from outside: names the field and shows the value. */
export function invalid(field: string, value: unknown, why: string): LibnetworkError {
  const got = value === undefined ? '' : `, got ${show(value)}`;
  return new LibnetworkError('INVALID_ARGUMENT', `${short(field)}: ${why}${got}`, { field, value });
}

/** The same failure, of the option that the caller gave the value by; what is none of ours stays as it is. */
export function named(error: unknown, field: string, value: unknown): unknown {
  if (!LibnetworkError.is(error)) return error;
  const { operation, errno, kernelMessage } = error;
  const facts = Object.fromEntries(
    Object.entries({ operation, errno, kernelMessage }).filter(([, fact]) => fact !== undefined),
  );
  return new LibnetworkError(error.code, `${field}: ${error.message}`, {
    ...facts,
    field,
    value,
    cause: error,
  });
}

/** A value as text that is safe in one line of a message. */
export function show(value: unknown): string {
  return short(
    typeof value === 'bigint'
      ? `${value}n`
      : (json(value) ?? (typeof value === 'object' ? 'an object' : String(value))),
  );
}

/** Nothing for what has no JSON: a value that holds itself, or a bigint. */
function json(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function short(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** Throws `ABORTED` when the caller's signal has fired; its reason becomes the cause. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new LibnetworkError('ABORTED', 'the operation was aborted', { cause: signal.reason });
}
