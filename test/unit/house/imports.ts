import { posix } from 'node:path';
import { type Room, rooms } from './rooms.ts';

export interface Import {
  readonly target: string;
  readonly typeOnly: boolean;
}

/** The imports of a TypeScript source: `import`, `export … from`, and `import()`. Comments do not count. */
export function importsOf(source: string): readonly Import[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const statements = /^\s*(?:import|export)\s+(type\s+)?(?:[\w*${}\s,]+?\sfrom\s+)?'([^']+)'/gm;
  const dynamic = /\bimport\(\s*'([^']+)'\s*\)/g;
  return [
    ...[...code.matchAll(statements)].map((m) => ({ target: m[2] ?? '', typeOnly: m[1] !== undefined })),
    ...[...code.matchAll(dynamic)].map((m) => ({ target: m[1] ?? '', typeOnly: false })),
  ];
}

/** What a file (its path under `src`) imports and may not, each as a sentence. */
export function violations(path: string, source: string): readonly string[] {
  const file = path.replace(/\.ts$/, '');
  const room = rooms.find((candidate) => candidate.holds.test(file));
  if (room === undefined) return [`${path} is in no room: name one in rooms.ts`];
  return importsOf(source).flatMap(({ target, typeOnly }) => {
    const refusal = target.startsWith('.')
      ? refuseFile(room, posix.join(posix.dirname(file), target).replace(/\.ts$/, ''), typeOnly)
      : refusePackage(room, target);
    return refusal === undefined ? [] : [`${path} (${room.name}) imports ${target}: ${refusal}`];
  });
}

function refuseFile(room: Room, target: string, typeOnly: boolean): string | undefined {
  if (target.startsWith('..')) return 'it is outside src';
  // An `index` of the root is the one file that knows core and parts: nothing may look back at it.
  if (target === 'index' && !room.outside) return 'only programs see the index';
  if (room.sees.some((pattern) => pattern.test(target))) return undefined;
  if (room.seesTypesOf?.some((pattern) => pattern.test(target)))
    return typeOnly ? undefined : 'only its types may be seen: write `import type`';
  return 'not a room it may see';
}

function refusePackage(room: Room, target: string): string | undefined {
  if (target.startsWith('node:')) return undefined;
  if (room.name === 'public doors') return undefined;
  const name = target.startsWith('@') ? target.split('/', 2).join('/') : target.split('/', 1)[0];
  return room.packages?.includes(name ?? '') ? undefined : 'not a package of this room';
}
