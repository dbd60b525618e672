/**
 * The effects on `/etc/hosts` and `resolv.conf` of a sandbox. Files are bind-mounted into containers, so they are
 * written in place: their inode stays. Changes to one path wait for each other.
 */

import { createHash } from 'node:crypto';
import { unwatchFile, watchFile } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeDirectory } from '../directories.ts';
import { type HostFile, parseResolvConf } from './resolvconf.ts';

export const HOST_RESOLV_CONF = '/etc/resolv.conf';
/** Where systemd-resolved lists the servers behind its own at 127.0.0.53. */
export const SYSTEMD_RESOLV_CONF = '/run/systemd/resolve/resolv.conf';

export interface HostPaths {
  readonly main?: string | undefined;
  readonly systemd?: string | undefined;
}

/** Writes a file in place, keeping its inode; makes it and its directory (0755) where they are missing. */
export async function writeInPlace(path: string, content: string, mode = 0o644): Promise<void> {
  await exclusively(path, () => overwrite(path, content, mode));
}

/** Reads, changes and writes a file in place as one step. No file: an empty one is changed. */
export async function editInPlace(path: string, change: (content: string) => string): Promise<void> {
  await exclusively(path, async () => {
    const before = (await readIfThere(path)) ?? '';
    const after = change(before);
    if (after !== before) await overwrite(path, after, 0o644);
  });
}

/**
 * Writes a sandbox's `resolv.conf`, unless someone edited it since we last did: then it is left alone and the
 * answer is `kept`. What we wrote is remembered by its hash in `<path>.hash`.
 */
export async function writeResolvConf(path: string, content: string): Promise<'written' | 'kept'> {
  return exclusively(path, async () => {
    const before = await readIfThere(path);
    if (!(await isOurs(path, before))) return 'kept';
    // Both texts are ours until the new one is whole, so that a crash between the steps looks like no edit.
    const hashes = before === undefined ? [content] : [content, before];
    await replace(hashPath(path), hashes.map(hashOf).join('\n'));
    await overwrite(path, content, 0o644);
    await replace(hashPath(path), hashOf(content));
    return 'written';
  });
}

/** True when the file differs from what `writeResolvConf` last wrote. Never written: false. */
export async function isEdited(path: string): Promise<boolean> {
  return !(await isOurs(path, await readIfThere(path)));
}

async function isOurs(path: string, content: string | undefined): Promise<boolean> {
  const hashes = await readIfThere(hashPath(path));
  return content === undefined || hashes === undefined || hashes.split('\n').includes(hashOf(content));
}

/** Removes a `resolv.conf` and its hash. */
export async function removeResolvConf(path: string): Promise<void> {
  await exclusively(path, () =>
    Promise.all([rm(path, { force: true }), rm(hashPath(path), { force: true })]),
  );
}

/** The host's `resolv.conf`; systemd-resolved's own list where the file names only its stub at 127.0.0.53. */
export async function readHostResolvConf(paths: HostPaths = {}): Promise<HostFile> {
  const { main = HOST_RESOLV_CONF, systemd = SYSTEMD_RESOLV_CONF } = paths;
  const content = (await readIfThere(main)) ?? '';
  const { servers } = parseResolvConf(content);
  if (servers.length !== 1 || servers[0] !== '127.0.0.53') return { path: main, content };
  const behind = await readIfThere(systemd);
  return behind === undefined ? { path: main, content } : { path: systemd, content: behind };
}

/**
 * Tells when the host's servers change: an edit, a replacement, a deletion, also of the file behind a link. The
 * files are looked at every `intervalMs` (default 500), since a watch on the inode would miss a replacement.
 * Returns the function that ends it; the watch does not keep the process alive.
 */
export function watchHostResolvConf(
  onChange: () => void,
  options: HostPaths & { readonly intervalMs?: number | undefined } = {},
): () => void {
  const { main = HOST_RESOLV_CONF, systemd = SYSTEMD_RESOLV_CONF, intervalMs: interval = 500 } = options;
  const listener = () => onChange();
  for (const path of [main, systemd]) watchFile(path, { interval, persistent: false }, listener);
  return () => {
    for (const path of [main, systemd]) unwatchFile(path, listener);
  };
}

/** The new text goes over the old one before the rest is cut off, so that no reader finds an empty file. */
async function overwrite(path: string, content: string, mode: number): Promise<void> {
  makeDirectory(dirname(path));
  const file = await open(path, 'r+').catch((error: unknown) => {
    if (isMissing(error)) return create(path, mode);
    throw error;
  });
  try {
    const bytes = Buffer.from(content);
    await file.writeFile(bytes);
    await file.truncate(bytes.length);
  } finally {
    await file.close();
  }
}

/** The mode does not depend on the process's umask: users of the container must be able to read the file. */
async function create(path: string, mode: number): Promise<FileHandle> {
  const file = await open(path, 'w', mode);
  await file.chmod(mode);
  return file;
}

async function replace(path: string, content: string): Promise<void> {
  makeDirectory(dirname(path));
  const temporary = `${path}.new`;
  await writeFile(temporary, content, { mode: 0o644 });
  await rename(temporary, path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function hashPath(path: string): string {
  return `${path}.hash`;
}

function hashOf(content: string): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

const queues = new Map<string, Promise<unknown>>();

/** Runs one step after the other for each path. */
async function exclusively<T>(path: string, step: () => Promise<T>): Promise<T> {
  const before = queues.get(path) ?? Promise.resolve();
  const run = before.then(step, step);
  queues.set(path, run);
  try {
    return await run;
  } finally {
    if (queues.get(path) === run) queues.delete(path);
  }
}
