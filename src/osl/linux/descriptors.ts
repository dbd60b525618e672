import { readdirSync } from 'node:fs';
import { CLOSE_RANGE_CLOEXEC, F_SETFD, FD_CLOEXEC, SYS_close_range } from './constants.ts';
import { libc } from './libc.ts';

const FIRST = 3;
const LAST = 0xffffffff;

/**
 * Keeps every open descriptor but the standard ones from programs that are started from now on. Ours and Node's are
 * born so, but not those of libraries in C++ (a store's files) or what this process was itself started with. What a
 * caller passes on by `stdio` still reaches the child, as a copy.
 */
export function keepDescriptors(): void {
  const c = libc();
  if (c.syscall(SYS_close_range, FIRST, LAST, CLOSE_RANGE_CLOEXEC) === 0) return;
  // Kernels before 5.11 can't do it in one call. A descriptor that is gone meanwhile needs nothing.
  for (const fd of readdirSync('/proc/self/fd').map(Number))
    if (fd >= FIRST) c.fcntl(fd, F_SETFD, FD_CLOEXEC);
}
