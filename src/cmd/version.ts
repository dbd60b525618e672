import { readFileSync } from 'node:fs';

let version: string | undefined;

/** This package's version. */
export function packageVersion(): string {
  if (version === undefined) {
    const told: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    version =
      typeof told === 'object' && told !== null && 'version' in told ? String(told.version) : 'unknown';
  }
  return version;
}
