import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Makes a directory with all above it, where they are not there. Synchronous: it is a few system calls.
 * @throws the kernel's reason, such as EROFS. Node's own says ENOENT whatever kept it from making one of several.
 */
export function makeDirectory(path: string, mode = 0o755): void {
  try {
    mkdirSync(path, { recursive: true, mode });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    mkdirSync(firstMissing(path), { mode });
    // What kept it is gone meanwhile.
    mkdirSync(path, { recursive: true, mode });
  }
}

/** The highest of the directories above a path, or itself, that is not there. */
function firstMissing(path: string): string {
  const above = dirname(path);
  return above === path || existsSync(above) ? path : firstMissing(above);
}

/** Removes a directory that holds nothing but directories of that kind. One with a file in it stays, with those above. */
export function removeEmpty(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeEmpty(join(path, entry.name));
  if (readdirSync(path).length === 0) rmdirSync(path);
}
