import type { LibnetworkError } from '../../errors.ts';
import { Backoff } from './backoff.ts';
import type { Call } from './calls.ts';

/**
 * What a failed request means:
 * - `unsent`: it was not done, and may be asked for again, at another member too;
 * - `unknown`: it may or may not have been done; a read may be asked for again;
 * - `final`: asking again gives the same.
 */
export type FailureKind = 'unsent' | 'unknown' | 'final';

export interface Wording {
  readonly kindOf: (error: unknown) => FailureKind;
  /** @param write whether the request would have changed something */
  readonly word: (operation: string, error: unknown, write: boolean) => LibnetworkError;
}

/** The members of a cluster, by number. One is used until it fails; what was not done is asked of the next. */
export class Rotation {
  readonly #count: number;
  readonly #wording: Wording;
  #current = 0;

  constructor(count: number, wording: Wording) {
    this.#count = count;
    this.#wording = wording;
  }

  /** The member in use. */
  get current(): number {
    return this.#current;
  }

  /** Takes the next if `member` is still the one in use: of many calls that failed on it, the first moves on. */
  leave(member: number): void {
    if (this.#current === member) this.#current = (member + 1) % this.#count;
  }

  /**
   * Asks until there is an answer or the call's deadline is over. A read is asked for again after every failure that
   * may pass, a write only when it is known not to have been done.
   * @param request gets the member and how long it may take, in milliseconds
   * @throws what `Wording.word` makes of the last failure
   */
  async ask<T>(
    call: Call,
    kind: 'read' | 'write',
    request: (member: number, timeoutMs: number) => Promise<T>,
  ): Promise<T> {
    const backoff = new Backoff();
    for (let attempt = 1; ; attempt++) {
      const member = this.#current;
      try {
        return await request(member, this.#attemptMs(call));
      } catch (error) {
        const failure = this.#wording.kindOf(error);
        if (failure !== 'final') this.leave(member);
        const again = failure === 'unsent' || (failure === 'unknown' && kind === 'read');
        // Every member is asked once before the first pause.
        if (again && attempt % this.#count === 0) await backoff.wait(call.signal);
        if (!again || call.signal.aborted || performance.now() >= call.deadline)
          throw this.#wording.word(call.operation, error, kind === 'write');
      }
    }
  }

  /** A member that hangs must leave time for another. */
  #attemptMs(call: Call): number {
    const left = Math.max(call.deadline - performance.now(), 1);
    return this.#count > 1 ? left / 2 : left;
  }
}
