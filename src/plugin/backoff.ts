/** When a plugin that can't be reached is tried again (Docker's rule: 1, 2, 4, 8, 16, 30, 30, … seconds). */
import { setTimeout } from 'node:timers/promises';
import { LibnetworkError } from '../errors.ts';

const LONGEST = 30;

/** How long to wait after so many retries, in milliseconds, where the first wait is `firstMs`. */
export function backoff(retries: number, firstMs: number): number {
  return firstMs * Math.min(2 ** Math.min(retries, LONGEST), LONGEST);
}

/** False where the next try would come after the budget is used up. */
export function mayRetry(elapsedMs: number, delayMs: number, budgetMs: number): boolean {
  return elapsedMs + delayMs < budgetMs;
}

/** @throws ABORTED */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await setTimeout(ms, undefined, { signal });
  } catch (error) {
    throw new LibnetworkError('ABORTED', 'the operation was aborted', { cause: signal?.reason ?? error });
  }
}
