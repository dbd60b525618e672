import { openSync, stat } from 'node:fs';
import { errnoName, kernelError } from '../errno.ts';
import { CLONE_NEWNET } from './constants.ts';
import { libc } from './libc.ts';

let hostFd: number | undefined;

/**
 * A descriptor of the namespace that this thread lives in. The first call also starts libuv's thread pool: its
 * threads are born lazily, all at the first job, and those born while we are elsewhere would stay there for ever.
 */
export function hostNamespaceFd(): number {
  if (hostFd === undefined) {
    stat('/', () => undefined);
    hostFd = openSync('/proc/thread-self/ns/net', 'r');
  }
  return hostFd;
}

/**
 * Runs `work` with this thread in another network namespace, and comes back. `work` is synchronous and must start
 * nothing that goes on later: no promise, no thread pool job. What it may do: create descriptors, spawn a child,
 * use synchronous `fs` under `/proc/sys/net` and `/proc/thread-self/net`.
 * If the way back fails, everything after would act in the wrong namespace, so the process aborts.
 */
export function inNamespace<T>(fd: number | undefined, work: () => T): T {
  if (fd === undefined) return work();
  const c = libc();
  const home = hostNamespaceFd();
  if (c.setns(fd, CLONE_NEWNET) < 0) throw kernelError('enter a network namespace', errnoName(c.errno()));
  try {
    return work();
  } finally {
    if (c.setns(home, CLONE_NEWNET) < 0) process.abort();
  }
}

/**
 * Runs `work` in a network namespace that is born now, and comes back; the new one lives on only if `work` pins
 * it. The rules for `work` are those of `inNamespace`.
 */
export function inNewNamespace<T>(work: () => T): T {
  const c = libc();
  const home = hostNamespaceFd();
  if (c.unshare(CLONE_NEWNET) < 0) throw kernelError('make a network namespace', errnoName(c.errno()));
  try {
    return work();
  } finally {
    if (c.setns(home, CLONE_NEWNET) < 0) process.abort();
  }
}
