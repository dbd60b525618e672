/** The optional version in front of a path (`/v1.41/networks`), which is taken away before a route is looked for. */
import type { IncomingMessage } from 'node:http';
import { LibnetworkError } from '../index.ts';

/** What is spoken: a daemon of Docker 28's. */
export const API_VERSION = '1.48';
export const MIN_API_VERSION = '1.24';

const asked = new WeakMap<IncomingMessage, string>();

/** The path without its version, which `versionOf` tells. */
export function withoutVersion(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const match = /^\/v([0-9.]+)(\/.*)$/.exec(url);
  if (match?.[1] === undefined || match[2] === undefined) return url;
  asked.set(request, match[1]);
  return match[2];
}

/** The version that a request is to be answered in; `undefined` where its path names none. */
export function versionOf(request: IncomingMessage): string | undefined {
  return asked.get(request);
}

/** True when the request is to be answered as by this version or a later one. */
export function isAtLeast(request: IncomingMessage, version: string): boolean {
  return compare(versionOf(request) ?? API_VERSION, version) >= 0;
}

/** @throws INVALID_ARGUMENT for one that is too old or too new, in Docker's words */
export function checkVersion(request: IncomingMessage): void {
  const version = versionOf(request);
  if (version === undefined) return;
  const facts = { field: 'version', value: version };
  if (!/^\d+\.\d+$/.test(version))
    throw new LibnetworkError('INVALID_ARGUMENT', `invalid API version ${version}`, facts);
  if (compare(version, MIN_API_VERSION) < 0)
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      `client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`,
      facts,
    );
  if (compare(version, API_VERSION) > 0)
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`,
      facts,
    );
}

function compare(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}
