import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { leftovers } from '../../../examples/runtime/leftovers.ts';

/** Linux has no process of this number (PID_MAX_LIMIT). */
const GONE = 4_194_305;
const NOBODY = 65_534;

describe('what a killed example left', () => {
  const before = process.env.TMPDIR;
  let directory: string;
  const make = (name: string): string => {
    mkdirSync(join(directory, name));
    return join(directory, name);
  };
  beforeEach(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'libnetwork-leftovers-')));
    process.env.TMPDIR = directory;
  });
  afterEach(() => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(directory, { recursive: true });
  });

  it('is found by its name, and not while its process lives', async () => {
    const left = make(`example-${GONE}-abc`);
    make(`example-${process.pid}-abc`);
    make(`other-${GONE}-abc`);
    expect(await leftovers('example-')).toEqual([left]);
  });

  it('is a directory, and no link to one', async () => {
    symlinkSync(make('elsewhere'), join(directory, `example-${GONE}-link`));
    expect(await leftovers('example-')).toEqual([]);
  });

  it.skipIf(process.geteuid?.() !== 0)(
    'is this user’s, and not what another user has put there (as root)',
    async () => {
      chownSync(make(`example-${GONE}-trap`), NOBODY, NOBODY);
      expect(await leftovers('example-')).toEqual([]);
    },
  );
});
