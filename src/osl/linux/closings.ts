import { Gate } from './gate.ts';
import { libc } from './libc.ts';

const closings = new Gate(1);

/**
 * Closes a descriptor whose closing waits for a grace period of the kernel (a packet socket's, for one): off the
 * main thread, one at a time, so that the pool's other threads are left to others.
 */
export function closeLater(fd: number): void {
  void closings.run(() => new Promise<void>((resolve) => libc().close.async(fd, () => resolve())));
}
