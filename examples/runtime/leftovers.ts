/** What examples left in the temporary directory when they were killed. */
import { existsSync, lstatSync } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Directories whose names are a prefix, the number of a process that is gone, and a dash. Only those of this user:
 * others may write there too, and what is found is handed to `runc`, which does as root what it says there.
 */
export async function leftovers(prefix: string): Promise<readonly string[]> {
  const temporary = await realpath(tmpdir());
  const names = (await readdir(temporary)).filter((name) => {
    const pid = name.startsWith(prefix) ? /^(\d+)-/.exec(name.slice(prefix.length))?.[1] : undefined;
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
  return names.map((name) => join(temporary, name)).filter(isOwn);
}

function isOwn(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === process.geteuid?.();
}
