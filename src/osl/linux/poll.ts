import { LibnetworkError, throwIfAborted } from '../../errors.ts';
import type { Waits } from '../osl.ts';
import { koffi } from './libc.ts';

/**
 * Waits until a descriptor can be read or written (or has an error to tell): true, or false when `timeoutMs`
 * passed before. @throws ABORTED
 */
export function whenReady(
  fd: number,
  what: 'readable' | 'writable',
  timeoutMs: number,
  options: Waits = {},
): Promise<boolean> {
  const { signal } = options;
  throwIfAborted(signal);
  return new Promise((resolve, reject) => {
    const handle = koffi().node.poll(fd, { [what]: true, disconnect: true }, () => {
      handle.stop();
      // The poll's callback runs outside of Node's callback scopes: promises settled in it would wait.
      setImmediate(() => end(() => resolve(true)));
    });
    const timer = setTimeout(() => end(() => resolve(false)), timeoutMs);
    const abort = () =>
      end(() =>
        reject(new LibnetworkError('ABORTED', 'the operation was aborted', { cause: signal?.reason })),
      );
    signal?.addEventListener('abort', abort, { once: true });
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      handle.close();
      settle();
    };
  });
}
