/** Waits that end with a signal. */
import { LibnetworkError } from './errors.ts';

/** Waits for a promise, but not beyond the signal: then what it stands for goes on, and how it ends is nobody's. */
export function abortable<T>(wait: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return wait;
  return new Promise((resolve, reject) => {
    const onAbort = (): void =>
      reject(new LibnetworkError('ABORTED', 'the operation was aborted', { cause: signal.reason }));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    wait.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** How long an aborted operation may take for its undoing before its caller is told; then that goes on by itself. */
const UNDO_MS = 1000;

/** Waits for an operation that undoes itself when its signal fires, but not for long after that. */
export function untilUndone<T>(operation: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return operation;
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const giveUp = (): void => {
      const message = 'the operation was aborted; what it had begun is still being undone';
      reject(new LibnetworkError('ABORTED', message, { cause: signal.reason }));
    };
    const onAbort = (): void => {
      timer = setTimeout(giveUp, UNDO_MS);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    operation.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    });
  });
}
