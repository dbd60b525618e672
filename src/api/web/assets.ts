/** The files of the page. They are known before anybody asks, so that no path of a request ever reaches the disk. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LibnetworkError } from '../../index.ts';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  /** Tells this content from every other (RFC 9110, 8.8.3). */
  readonly etag: string;
}

/** By path: `/` is the page itself. */
export type Assets = ReadonlyMap<string, Asset>;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const INDEX = '/index.html';

/** Where the build puts the page. */
export function packagedPage(): URL {
  return new URL('../../page/', import.meta.url);
}

/** @throws UNAVAILABLE where there is no page */
export function readAssets(directory: URL): Assets {
  const root = fileURLToPath(directory);
  const files = filesUnder(root).flatMap((name) => {
    const type = TYPES[extname(name)];
    return type === undefined ? [] : [[`/${name}`, asset(type, readFileSync(`${root}/${name}`))] as const];
  });
  const assets = new Map(files);
  const index = assets.get(INDEX);
  if (!index)
    throw new LibnetworkError('UNAVAILABLE', `there is no page in ${root}: build the package anew`, {
      field: 'web',
    });
  assets.delete(INDEX);
  return assets.set('/', index);
}

/** The scripts within a page's own text, as a policy names them: by their hashes (CSP 3, 2.3.1). */
export function scriptsWithin(page: Asset | undefined): readonly string[] {
  const scripts = page?.body.toString('utf8').matchAll(/<script>([\s\S]*?)<\/script>/g) ?? [];
  return [...scripts].map(
    ([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  );
}

function filesUnder(root: string): readonly string[] {
  try {
    return readdirSync(root, { recursive: true, encoding: 'utf8' });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

function asset(type: string, body: Buffer): Asset {
  return { type, body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"` };
}
