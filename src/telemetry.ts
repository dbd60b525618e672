/** How often each operation ran, how it ended, and how long it took: counters, and a channel for who listens. */
import { channel } from 'node:diagnostics_channel';
import { type ErrorCode, LibnetworkError } from './errors.ts';

/** What is published on `diagnostics_channel` at the end of every operation. */
export interface OperationMessage {
  readonly instance: string;
  /** Such as `createNetwork`, `join`. */
  readonly operation: string;
  /** From the call to its end, waiting for locks included. */
  readonly durationMs: number;
  readonly outcome: 'ok' | ErrorCode;
}

export interface OperationCounters {
  readonly started: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Of all that have ended, together. */
  readonly totalMs: number;
}

/** The channel's name. */
export const OPERATION_CHANNEL = 'libnetwork:operation';
const operations = channel(OPERATION_CHANNEL);

type Counts = { -readonly [K in keyof OperationCounters]: OperationCounters[K] };

export class Telemetry {
  readonly #instance: string;
  readonly #counts = new Map<string, Counts>();

  constructor(instance: string) {
    this.#instance = instance;
  }

  /** What has happened so far, by operation. */
  get counters(): Readonly<Record<string, OperationCounters>> {
    const entries = [...this.#counts].map(([name, counts]) => [name, Object.freeze({ ...counts })] as const);
    return Object.freeze(Object.fromEntries(entries));
  }

  async measure<T>(operation: string, act: () => Promise<T>): Promise<T> {
    const counts = this.#countsOf(operation);
    counts.started++;
    const start = performance.now();
    try {
      const result = await act();
      counts.succeeded++;
      this.#end(operation, counts, start, 'ok');
      return result;
    } catch (error) {
      counts.failed++;
      this.#end(operation, counts, start, LibnetworkError.is(error) ? error.code : 'INTERNAL');
      throw error;
    }
  }

  #countsOf(operation: string): Counts {
    const there = this.#counts.get(operation);
    if (there) return there;
    const counts: Counts = { started: 0, succeeded: 0, failed: 0, totalMs: 0 };
    this.#counts.set(operation, counts);
    return counts;
  }

  #end(operation: string, counts: Counts, start: number, outcome: OperationMessage['outcome']): void {
    const durationMs = performance.now() - start;
    counts.totalMs += durationMs;
    if (!operations.hasSubscribers) return;
    const message: OperationMessage = { instance: this.#instance, operation, durationMs, outcome };
    operations.publish(Object.freeze(message));
  }
}
