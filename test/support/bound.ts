import { existsSync } from 'node:fs';

const SETPRIV = '/usr/bin/setpriv';

/**
 * A program and its arguments so that it ends with this process, also when this one is killed: util-linux's `setpriv`
 * asks the kernel for that (PR_SET_PDEATHSIG), and becomes the program. Without it, the program as it is.
 */
export function bound(file: string, args: readonly string[]): readonly [string, readonly string[]] {
  return existsSync(SETPRIV) ? [SETPRIV, ['--pdeathsig', 'KILL', file, ...args]] : [file, args];
}
