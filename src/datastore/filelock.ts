import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import koffi from 'koffi';
import { LibnetworkError } from '../errors.ts';
import { errnoName, kernelError } from '../osl/errno.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;

type Flock = (descriptor: number, operation: number) => number;
let loaded: Flock | undefined;

/** flock(2) of the libc that this process already runs on. */
function flock(): Flock {
  loaded ??= koffi.load(null).func('int flock(int fd, int operation)') as Flock;
  return loaded;
}

export interface FileLock {
  release(): void;
}

/**
 * Takes the lock file at `path` for this process and writes into it who holds it.
 *
 * The lock is flock(2)'s: it belongs to the open file, so a second open is refused in the same process too; no
 * other descriptor's close takes it away (as happens to the fcntl locks that LevelDB uses); and the kernel drops it
 * when the process dies in whatever way, so that there are no stale locks to judge. The file itself stays: deleting
 * a lock file would let two processes lock two files of one name.
 * @param what is locked, for the error
 * @throws CONFLICT naming the holder; FORBIDDEN, INVALID_ARGUMENT and others as the kernel answers
 */
export function lockFile(path: string, what: string): FileLock {
  const descriptor = openSync(path, 'a+', 0o600);
  try {
    if (flock()(descriptor, LOCK_EX | LOCK_NB) !== 0) throw refused(path, what, koffi.errno());
    ftruncateSync(descriptor);
    writeSync(descriptor, `${process.pid} ${process.argv.slice(0, 2).join(' ')}\n`);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return { release: () => closeSync(descriptor) };
}

function refused(path: string, what: string, errno: number): LibnetworkError {
  if (errno !== EWOULDBLOCK) return kernelError(`flock ${path}`, errnoName(errno));
  const [, pid = 'unknown', command = 'unknown'] = /^(\d+) (.*)$/m.exec(readFileSync(path, 'utf8')) ?? [];
  const holder = Number(pid) === process.pid ? `this process (pid ${pid})` : `process ${pid} (${command})`;
  return new LibnetworkError(
    'CONFLICT',
    `${what} is open in ${holder}; close it there, or use a directory of your own`,
    { holder, value: what, operation: 'open' },
  );
}
