import { createRequire } from 'node:module';
import type { KoffiFunc } from 'koffi';
import { LibnetworkError } from '../../errors.ts';
import { errnoName, kernelError } from '../errno.ts';
import { F_DUPFD_CLOEXEC } from './constants.ts';

export type Koffi = typeof import('koffi');

/**
 * The C functions in use. Each answers as in C: -1 is a failure, whose number `errno()` tells until the next
 * call. The `.async` forms run on libuv's thread pool and must be given buffers that the caller keeps alive.
 */
export interface Libc {
  errno(): number;
  socket: KoffiFunc<(domain: number, type: number, protocol: number) => number>;
  bind: KoffiFunc<(fd: number, address: Buffer, length: number) => number>;
  listen: KoffiFunc<(fd: number, backlog: number) => number>;
  connect: KoffiFunc<(fd: number, address: Buffer, length: number) => number>;
  getsockname: KoffiFunc<(fd: number, address: Buffer, length: Buffer) => number>;
  setsockopt: KoffiFunc<(fd: number, level: number, option: number, value: Buffer, length: number) => number>;
  getsockopt: KoffiFunc<(fd: number, level: number, option: number, value: Buffer, length: Buffer) => number>;
  send: KoffiFunc<(fd: number, data: Buffer, length: number, flags: number) => number>;
  sendto: KoffiFunc<
    (
      fd: number,
      data: Buffer,
      length: number,
      flags: number,
      address: Buffer,
      addressLength: number,
    ) => number
  >;
  recv: KoffiFunc<(fd: number, data: Buffer, length: number, flags: number) => number>;
  recvmmsg: KoffiFunc<(fd: number, messages: Buffer, count: number, flags: number, timeout: null) => number>;
  sendmmsg: KoffiFunc<(fd: number, messages: Buffer, count: number, flags: number) => number>;
  close: KoffiFunc<(fd: number) => number>;
  fcntl: KoffiFunc<(fd: number, command: number, argument: number) => number>;
  ioctl: KoffiFunc<(fd: number, request: number) => number>;
  setns: KoffiFunc<(fd: number, kind: number) => number>;
  unshare: KoffiFunc<(kinds: number) => number>;
  mount: KoffiFunc<
    (source: string, target: string, type: string, flags: number, data: Buffer | null) => number
  >;
  umount2: KoffiFunc<(target: string, flags: number) => number>;
  syscall: KoffiFunc<(number: number, first: number, last: number, flags: number) => number>;
}

let loaded: Libc | undefined;
let loadedKoffi: Koffi | undefined;

/** The C library, loaded at the first call. @throws UNAVAILABLE where it can't be: not Linux, or no koffi */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  if (process.platform !== 'linux')
    throw new LibnetworkError('UNAVAILABLE', `the real kernel needs Linux, this is ${process.platform}`);
  const library = koffi().load(null);
  const { errno } = koffi();
  return {
    errno: () => errno(),
    socket: library.func('int socket(int, int, int)'),
    bind: library.func('int bind(int, const void *, unsigned int)'),
    listen: library.func('int listen(int, int)'),
    connect: library.func('int connect(int, const void *, unsigned int)'),
    getsockname: library.func('int getsockname(int, void *, void *)'),
    setsockopt: library.func('int setsockopt(int, int, int, const void *, unsigned int)'),
    getsockopt: library.func('int getsockopt(int, int, int, void *, void *)'),
    send: library.func('long send(int, const void *, size_t, int)'),
    sendto: library.func('long sendto(int, const void *, size_t, int, const void *, unsigned int)'),
    recv: library.func('long recv(int, void *, size_t, int)'),
    recvmmsg: library.func('int recvmmsg(int, void *, unsigned int, int, void *)'),
    sendmmsg: library.func('int sendmmsg(int, void *, unsigned int, int)'),
    close: library.func('int close(int)'),
    fcntl: library.func('int fcntl(int, int, long)'),
    ioctl: library.func('int ioctl(int, unsigned long)'),
    setns: library.func('int setns(int, int)'),
    unshare: library.func('int unshare(int)'),
    mount: library.func('int mount(const char *, const char *, const char *, unsigned long, const void *)'),
    umount2: library.func('int umount2(const char *, int)'),
    syscall: library.func('long syscall(long, unsigned int, unsigned int, unsigned int)'),
  };
}

/** The bridge to C, loaded at the first call. @throws UNAVAILABLE where there is no build of it */
export function koffi(): Koffi {
  try {
    loadedKoffi ??= createRequire(import.meta.url)('koffi') as Koffi;
    return loadedKoffi;
  } catch (cause) {
    const text = `koffi, which calls the kernel, could not be loaded; is there a build of it for ${process.platform} ${process.arch}?`;
    throw new LibnetworkError('UNAVAILABLE', text, { cause });
  }
}

/** The result of a C call that says -1 for a failure. @throws what `kernelError` makes of errno */
export function check(result: number, operation: string): number {
  if (result >= 0) return result;
  throw kernelError(operation, errnoName(libc().errno()));
}

/** A second descriptor of the same file, which no child inherits. */
export function duplicate(fd: number): number {
  return check(libc().fcntl(fd, F_DUPFD_CLOEXEC, 0), 'duplicate a descriptor');
}

/** Sets a socket option that is a C int. */
export function setOption(fd: number, level: number, option: number, value: number): void {
  check(trySetOption(fd, level, option, value), `setsockopt ${level}/${option}`);
}

/** As `setOption`, for an option that may be refused: -1 is a refusal. */
export function trySetOption(fd: number, level: number, option: number, value: number): number {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return libc().setsockopt(fd, level, option, bytes, 4);
}

/** Reads a socket option that is a C int. */
export function getOption(fd: number, level: number, option: number): number {
  const value = Buffer.alloc(4);
  const length = Buffer.from([4, 0, 0, 0]);
  check(libc().getsockopt(fd, level, option, value, length), `getsockopt ${level}/${option}`);
  return value.readInt32LE();
}
