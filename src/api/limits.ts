import { LibnetworkError } from '../errors.ts';

/** What a client may take of the daemon, by name. */
export interface ApiLimits {
  /** Bytes of a request's body. */
  readonly bodyBytes: number;
  /** Bytes of a request's line and headers together. */
  readonly headerBytes: number;
  /** Milliseconds until the headers of a request have come. */
  readonly headersMs: number;
  /** Milliseconds until the whole of a request has come. */
  readonly requestMs: number;
  /** Milliseconds that a connection may rest between requests. */
  readonly idleMs: number;
  /** Connections at once; more are closed at once. */
  readonly connections: number;
  /** Streams of events at once. */
  readonly streams: number;
  /** The same at the address for browsers, counted by themselves. */
  readonly webStreams: number;
  /** Bytes that wait for a reader of a stream; one that falls behind further is hung up on. */
  readonly streamBytes: number;
  /** Events that are kept for `since`. */
  readonly events: number;
}

export const DEFAULT_LIMITS: ApiLimits = {
  bodyBytes: 1024 * 1024,
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 60_000,
  connections: 1024,
  streams: 64,
  webStreams: 16,
  streamBytes: 1024 * 1024,
  events: 1024,
};

/** Defaults filled in. @throws INVALID_ARGUMENT for an unknown name, or what is no whole number above 0 */
export function apiLimits(given: Partial<ApiLimits> = {}): ApiLimits {
  for (const [name, value] of Object.entries(given)) {
    if (Object.hasOwn(DEFAULT_LIMITS, name) && Number.isInteger(value) && value > 0) continue;
    const why = Object.hasOwn(DEFAULT_LIMITS, name)
      ? 'must be a whole number above 0'
      : `is no limit: there are ${Object.keys(DEFAULT_LIMITS).join(', ')}`;
    throw new LibnetworkError('INVALID_ARGUMENT', `limits.${name} ${why}`, {
      field: `limits.${name}`,
      value,
    });
  }
  return { ...DEFAULT_LIMITS, ...given };
}
