import { closeSync, openSync, readdirSync, rmSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeDirectory } from '../../directories.ts';
import { invalid, LibnetworkError } from '../../errors.ts';
import { errnoName, kernelError } from '../errno.ts';
import { CLONE_NEWNET, MNT_DETACH, MS_BIND, NS_GET_NSTYPE, NSFS_MAGIC } from './constants.ts';
import { check, libc } from './libc.ts';
import { requirePath } from './values.ts';
import { inNewNamespace } from './window.ts';

/**
 * Network namespaces kept alive by a mount on an empty file, as `ip netns` does. All of this is synchronous: it
 * takes half a millisecond, and nothing can come between.
 */

/** Makes a namespace at `path`, or takes the one that is mounted there; a descriptor of it. */
export function makeNamespace(path: string): number {
  requirePath(path, 'path');
  return named(`make the namespace ${path}`, () => {
    makeDirectory(dirname(path));
    if (!isNamespace(path)) {
      const file = entry(path);
      if (file === 'foreign') throw invalid('path', path, 'is something else than an empty file');
      if (file === 'none') closeSync(openSync(path, 'wx', 0o644));
      mountNew(path, file === 'none');
    }
    return openNamespaceFile(path);
  });
}

/** A descriptor of the namespace at `path`. @throws NOT_FOUND; INVALID_ARGUMENT when it is something else */
export function openNamespaceFile(path: string): number {
  requirePath(path, 'path');
  return named(`open the namespace ${path}`, () => {
    if (!isNamespace(path)) {
      statSync(path);
      throw notOurKind(path, 'is no network namespace');
    }
    const fd = openSync(path, 'r');
    if (libc().ioctl(fd, NS_GET_NSTYPE) === CLONE_NEWNET) return fd;
    closeSync(fd);
    throw notOurKind(path, 'is a namespace, but not of the network');
  });
}

function notOurKind(path: string, what: string): LibnetworkError {
  return new LibnetworkError('INVALID_ARGUMENT', `${path} ${what}`, { field: 'path', value: path });
}

/** Unmounts and removes `path`, whichever is there: true when something was. */
export function removeNamespace(path: string): boolean {
  requirePath(path, 'path');
  return named(`delete the namespace ${path}`, () => {
    const mounted = unmountAll(path);
    const file = entry(path);
    if (file === 'foreign') throw invalid('path', path, 'is something else than an empty file');
    if (file === 'empty') rmSync(path, { force: true });
    return mounted || file === 'empty';
  });
}

/** The paths in a directory that are namespaces or empty files. */
export function findNamespaces(directory: string): readonly string[] {
  requirePath(directory, 'directory');
  return named(`list the namespaces in ${directory}`, () => {
    if (entry(directory) === 'none') return [];
    const paths = readdirSync(directory).map((name) => join(directory, name));
    return paths.filter((path) => entry(path) === 'empty' || isNamespace(path)).sort();
  });
}

function mountNew(path: string, isNew: boolean): void {
  try {
    inNewNamespace(() =>
      check(libc().mount('/proc/thread-self/ns/net', path, 'none', MS_BIND, null), `mount ${path}`),
    );
  } catch (error) {
    if (isNew) unlinkSync(path);
    throw error;
  }
}

/** Two processes may have mounted on the same file: what is below must not come to light. */
function unmountAll(path: string): boolean {
  for (let mounted = false; ; mounted = true) {
    if (libc().umount2(path, MNT_DETACH) === 0) continue;
    const errno = errnoName(libc().errno());
    // EINVAL: no mount. ENOENT: no such path.
    if (errno === 'EINVAL' || errno === 'ENOENT' || errno === 'ENOTDIR') return mounted;
    throw kernelError(`unmount ${path}`, errno);
  }
}

/** What is at a path: an empty regular file may be a half made namespace; a mounted one counts as well. */
function entry(path: string): 'none' | 'empty' | 'foreign' {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return 'none';
  return stats.isFile() && stats.size === 0 ? 'empty' : 'foreign';
}

function isNamespace(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}

/**
 * Runs file system work, whose failures become ours and name what was being done.
 * @throws UNAVAILABLE where there is no such kernel, before anything is done
 */
export function named<T>(operation: string, work: () => T): T {
  libc();
  try {
    return work();
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof LibnetworkError || code === undefined) throw error;
    const advice = code === 'EROFS' ? 'the file system is read-only: choose another directory' : undefined;
    throw kernelError(operation, code, advice);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
