import { LibnetworkError } from '../errors.ts';

/**
 * Loads a package that only some users need, when it is needed.
 * @param load the import, so that the compiler knows the package's types: `() => import('etcd3')`
 * @throws UNAVAILABLE with the line that installs it, when the package is not there
 */
export async function loadPeer<T>(what: string, name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new LibnetworkError(
      'UNAVAILABLE',
      `${what} needs the package ${name}, which is not installed: npm install ${name} (with --global where libnetwork is so)`,
      { operation: `import ${name}`, cause },
    );
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
}
