import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root directory, with a slash at its end. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));

export interface Source {
  /** Under the project's root, with slashes: `src/ip.ts`. */
  readonly path: string;
  readonly text: string;
}

/** The files of a folder of the project, by default its TypeScript. */
export function sources(folder: string, pattern = /\.ts$/): readonly Source[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
