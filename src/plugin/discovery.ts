/** Which plugins there are: sockets and specs in the directories that Docker looks in (its plugin discovery, v1). */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as v from 'valibot';
import { LibnetworkError } from '../errors.ts';
import { type PluginAddress, parsePluginAddress, type TlsFiles } from './address.ts';
import type { PluginSettings } from './options.ts';

export type PluginPlaces = Pick<PluginSettings, 'socketDirectories' | 'specDirectories'>;

export interface FoundPlugin {
  readonly name: string;
  readonly address: PluginAddress;
  /** The socket or the spec that says so. */
  readonly file: string;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const MAX_SPEC_BYTES = 65_536;

const json = v.object({
  Addr: v.string('must be text'),
  TLSConfig: v.nullish(
    v.object({
      InsecureSkipVerify: v.nullish(v.boolean(), false),
      CAFile: v.nullish(v.string(), ''),
      CertFile: v.nullish(v.string(), ''),
      KeyFile: v.nullish(v.string(), ''),
    }),
  ),
});

/**
 * A plugin by its name: a socket wins over every spec, then the directories and in each `.spec`, `.json` in their
 * order. `undefined`: there is none.
 * @throws INVALID_ARGUMENT naming a spec that can't be understood
 */
export async function findPlugin(places: PluginPlaces, name: string): Promise<FoundPlugin | undefined> {
  // What is no name of a file can't be that of a plugin, and must not lead out of the directories.
  if (!NAME.test(name)) return undefined;
  for (const directory of places.socketDirectories) {
    for (const path of [join(directory, `${name}.sock`), join(directory, name, `${name}.sock`)])
      if (await isSocket(path)) return { name, address: { kind: 'unix', path }, file: path };
  }
  for (const directory of places.specDirectories) {
    for (const ending of ['spec', 'json'] as const) {
      for (const path of [join(directory, `${name}.${ending}`), join(directory, name, `${name}.${ending}`)]) {
        const text = await readSpec(path);
        if (text !== undefined) return { name, address: parseSpec(text, path, ending), file: path };
      }
    }
  }
  return undefined;
}

/** The names of all plugins, sorted. Directories that are missing hold none. */
export async function scanPlugins(places: PluginPlaces): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const directory of places.socketDirectories)
    for (const path of await candidates(directory, ['.sock']))
      if (await isSocket(path)) names.add(basename(path, '.sock'));
  for (const directory of places.specDirectories)
    for (const path of await candidates(directory, ['.spec', '.json']))
      if (await isFile(path)) names.add(basename(path).replace(/\.(spec|json)$/, ''));
  return [...names].filter((name) => NAME.test(name)).sort();
}

/** Files of a directory with one of the endings, and those in its directories that bear the directory's name. */
async function candidates(directory: string, endings: readonly string[]): Promise<string[]> {
  const entries = await orNothing(readdir(directory, { withFileTypes: true }));
  return (entries ?? []).flatMap((entry) =>
    entry.isDirectory()
      ? endings.map((ending) => join(directory, entry.name, `${entry.name}${ending}`))
      : endings.some((ending) => entry.name.endsWith(ending))
        ? [join(directory, entry.name)]
        : [],
  );
}

async function isSocket(path: string): Promise<boolean> {
  return (await orNothing(stat(path)))?.isSocket() ?? false;
}

async function isFile(path: string): Promise<boolean> {
  return (await orNothing(stat(path)))?.isFile() ?? false;
}

/** What is not there, or can't be looked at, holds no plugin. */
async function orNothing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') return undefined;
    throw error;
  }
}

/** A regular file's text; a device or a pipe in its place is not read. */
async function readSpec(path: string): Promise<string | undefined> {
  if (!(await isFile(path))) return undefined;
  const file = await orNothing(open(path, 'r'));
  if (file === undefined) return undefined;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_SPEC_BYTES + 1), 0);
    if (bytesRead > MAX_SPEC_BYTES) throw badSpec(path, `is longer than ${MAX_SPEC_BYTES} bytes`);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await file.close();
  }
}

function parseSpec(text: string, path: string, ending: 'spec' | 'json'): PluginAddress {
  // Docker does not check certificates behind a bare address: who wants them checked writes a .json.
  if (ending === 'spec') return parsePluginAddress(text.trim(), path, { insecure: true });
  const parsed = v.safeParse(json, parseJson(text, path));
  if (!parsed.success)
    throw badSpec(path, `is no plugin spec: ${v.getDotPath(parsed.issues[0]) ?? 'it'} is not right`);
  const { Addr, TLSConfig } = parsed.output;
  return parsePluginAddress(Addr, path, TLSConfig ? tlsOf(TLSConfig) : undefined);
}

function tlsOf(config: NonNullable<v.InferOutput<typeof json>['TLSConfig']>): TlsFiles {
  const { InsecureSkipVerify, CAFile, CertFile, KeyFile } = config;
  const file = (path: string) => (path === '' ? undefined : path);
  return {
    // Without a CA there is nothing to check against (Docker's rule).
    insecure: InsecureSkipVerify || CAFile === '',
    caFile: file(CAFile),
    certFile: file(CertFile),
    keyFile: file(KeyFile),
  };
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badSpec(path, 'is not JSON', error);
  }
}

function badSpec(path: string, why: string, cause?: unknown): LibnetworkError {
  return new LibnetworkError('INVALID_ARGUMENT', `the plugin spec ${path} ${why}`, {
    field: path,
    ...(cause === undefined ? {} : { cause }),
  });
}
