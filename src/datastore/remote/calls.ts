import { invalid, LibnetworkError, throwIfAborted } from '../../errors.ts';
import type { StoreWaits } from '../datastore.ts';
import { storeClosed } from '../entry.ts';

/** How long a call may take when the options say nothing, in milliseconds. */
export const DEFAULT_TIMEOUT_MS = 5_000;

/** What to do about a store that can't be asked. */
const NEXT_STEP = 'see whether its servers run and can be reached from here';

/** One call on a distributed store, under way. */
export interface Call {
  /** What is being done, for errors: `put docker/network/...`. */
  readonly operation: string;
  /** Fires when the answer is of no use any more: past the deadline, or not wanted. */
  readonly signal: AbortSignal;
  /** When it must be over, by `performance.now()`. */
  readonly deadline: number;
}

/** The calls under way on one store: each has a deadline and heeds its caller's signal; none begins after `close`. */
export class Calls {
  readonly #what: string;
  readonly timeoutMs: number;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed = false;

  /** @throws INVALID_ARGUMENT for a time that is not positive, or too long for a timer */
  constructor(what: string, timeoutMs = DEFAULT_TIMEOUT_MS) {
    if (!(timeoutMs > 0 && timeoutMs < 2 ** 31))
      throw invalid('timeoutMs', timeoutMs, 'must be a positive number of milliseconds, below 2^31');
    this.#what = what;
    this.timeoutMs = timeoutMs;
  }

  /** @throws UNAVAILABLE after `close`, ABORTED when the caller's signal has fired */
  admit(options: StoreWaits | undefined): void {
    if (this.#closed) throw storeClosed(this.#what);
    throwIfAborted(options?.signal);
  }

  /**
   * Runs `act` until it is done, the deadline is over, or the caller's signal fires, whichever is first.
   * @throws UNAVAILABLE past the deadline (`limit` is `timeoutMs`), ABORTED, and what `act` throws
   */
  run<T>(operation: string, options: StoreWaits | undefined, act: (call: Call) => Promise<T>): Promise<T> {
    this.admit(options);
    const running = this.#bounded(operation, options, act);
    const settled = running.then(
      () => undefined,
      () => undefined,
    );
    this.#underWay.add(settled);
    void settled.then(() => this.#underWay.delete(settled));
    return running;
  }

  async #bounded<T>(
    operation: string,
    options: StoreWaits | undefined,
    act: (call: Call) => Promise<T>,
  ): Promise<T> {
    const controller = new AbortController();
    const end = (error: LibnetworkError): void => controller.abort(error);
    const givenUp = new Promise<never>((_, reject) => {
      controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
    });
    const timer = setTimeout(() => end(this.#late(operation)), this.timeoutMs);
    const abort = (): void => end(aborted(operation, options?.signal?.reason));
    options?.signal?.addEventListener('abort', abort, { once: true });
    const deadline = performance.now() + this.timeoutMs;
    try {
      return await Promise.race([act({ operation, signal: controller.signal, deadline }), givenUp]);
    } finally {
      clearTimeout(timer);
      options?.signal?.removeEventListener('abort', abort);
      // What `act` left under way must not go on for a call that is over.
      givenUp.catch(() => undefined);
      controller.abort();
    }
  }

  #late(operation: string): LibnetworkError {
    return new LibnetworkError(
      'UNAVAILABLE',
      `${this.#what} did not answer within ${this.timeoutMs} ms (${operation}); a write may or may not have been done. Next: ${NEXT_STEP}`,
      { operation, limit: 'timeoutMs' },
    );
  }

  /** No call begins any more; waits for those that have begun, which is never longer than their deadlines. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#underWay);
  }
}

/** What a failure is to a caller that may pass. @param doubtful whether what was to be written may be */
export function cantBeAsked(
  engine: string,
  operation: string,
  cause: unknown,
  doubtful: boolean,
): LibnetworkError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const doubt = doubtful ? '; it may or may not have been written' : '';
  return new LibnetworkError(
    'UNAVAILABLE',
    `${engine} can't be asked (${operation}): ${text}${doubt}. Next: ${NEXT_STEP}`,
    { operation, cause },
  );
}

/** A call for what no caller waits for, such as a watch that reconnects. */
export function ownCall(operation: string, signal: AbortSignal, calls: Calls): Call {
  return { operation, signal, deadline: performance.now() + calls.timeoutMs };
}

function aborted(operation: string, cause: unknown): LibnetworkError {
  return new LibnetworkError('ABORTED', `${operation}: aborted; a write may or may not have been done`, {
    operation,
    cause,
  });
}
