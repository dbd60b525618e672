import { closeSync, openSync, readFileSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { LibnetworkError } from '../../errors.ts';
import { kernelError } from '../errno.ts';
import { rtnl } from './gate.ts';
import { named } from './mounts.ts';
import { sysctlPath } from './values.ts';
import { inNamespace } from './window.ts';

/** Opening a key decides whose it is; reading and writing it then act there from any thread. */

/** The value of a key below `net/`; `undefined` when there is no such key. */
export function readSysctl(namespaceFd: number | undefined, key: string): string | undefined {
  const path = sysctlPath(key);
  try {
    return named(`read ${path}`, () => inNamespace(namespaceFd, () => readFileSync(path, 'utf8'))).trimEnd();
  } catch (error) {
    if (LibnetworkError.is(error) && error.errno === 'ENOENT') return undefined;
    throw error;
  }
}

/** Sets a key. Many take the rtnl lock, so that while others hold it the writing leaves this thread. */
export async function writeSysctl(
  namespaceFd: number | undefined,
  key: string,
  value: string,
): Promise<void> {
  const path = sysctlPath(key);
  const operation = `write ${path}`;
  const fd = named(operation, () => inNamespace(namespaceFd, () => openSync(path, 'w')));
  try {
    if (!rtnl.busy) named(operation, () => writeSync(fd, value));
    else await rtnl.run(() => promisify(write)(fd, Buffer.from(value)));
  } catch (error) {
    if (error instanceof LibnetworkError || !(error instanceof Error) || !('code' in error)) throw error;
    throw kernelError(operation, String(error.code));
  } finally {
    closeSync(fd);
  }
}
