import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { makeDirectory } from '../directories.ts';
import { LibnetworkError } from '../errors.ts';
import { errnoCodes } from '../osl/errno.ts';
import { MAX_KEY_BYTES } from './datastore.ts';
import { type FileLock, lockFile } from './filelock.ts';
import { Journal, type JournalWrite } from './journal.ts';
import { findDamage } from './levellog.ts';

/** How long the database may take to open before the opener is told so. */
const OPEN_TIMEOUT_MS = 5_000;

/** The key of the counter of versions, out of reach of callers: their keys hold no NUL. */
export const REVISION_KEY = '\0revision';

export interface OpenLevel {
  readonly db: Level<string, string>;
  readonly lock: FileLock;
  readonly journal: Journal;
  /** No version given out so far is greater. */
  readonly revision: number;
}

/**
 * Opens the database in a directory, which it makes with mode 0700 when it is not there, and holds a lock of ours
 * on it (LevelDB's own is lost when the same process opens the directory twice).
 */
export async function openLevel(path: string): Promise<OpenLevel> {
  const lock = await lockDirectory(path);
  try {
    refuseDamage(path);
  } catch (error) {
    lock.release();
    throw error;
  }
  const db = new Level<string, string>(path, { keyEncoding: 'utf8', valueEncoding: 'utf8' });
  const opening = db.open();
  try {
    await within(opening, path);
  } catch (error) {
    if (!LibnetworkError.is(error)) {
      lock.release();
      throw openFailed(path, error);
    }
    // The open is still under way: it keeps the lock until it is over, and is closed then.
    void opening.then(
      () => db.close().finally(() => lock.release()),
      () => lock.release(),
    );
    throw error;
  }
  try {
    const journal = await replayJournal(db, join(path, 'JOURNAL'));
    return { db, lock, journal, revision: readRevision(db) };
  } catch (error) {
    await db.close();
    lock.release();
    throw openFailed(path, error);
  }
}

/** @throws INTERNAL for a log of which the database would leave out a part, for good */
function refuseDamage(path: string): void {
  const damage = findDamage(path);
  if (damage !== undefined) throw openFailed(path, new Error(`corrupt record in ${damage}`));
}

/** Brings into the database what an earlier process had accepted and could not bring in any more. */
async function replayJournal(db: Level<string, string>, path: string): Promise<Journal> {
  const { journal, left } = Journal.open(path);
  try {
    if (left.length > 0) await db.batch(left.map(toBatchOperation));
    journal.clear();
    return journal;
  } catch (error) {
    journal.close();
    throw error;
  }
}

export type BatchOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

export function toBatchOperation([key, text]: JournalWrite): BatchOperation {
  return text === null ? { type: 'del', key } : { type: 'put', key, value: text };
}

/** How far the versions have got. @throws when the database, or the number in it, is damaged */
function readRevision(db: Level<string, string>): number {
  sizeKeyBuffer(db);
  const revision = Number(db.getSync(REVISION_KEY) ?? 0);
  if (!Number.isSafeInteger(revision)) throw new Error('corrupt counter of versions');
  return revision;
}

/**
 * classic-level 3.0.0 writes the key of `getSync` into a buffer that it grows only when the key fills it to the
 * last byte. A key that is too long and has a character of several bytes at the buffer's end fills it to a byte or
 * two less, and is then looked up cut off. So the first look-up makes the buffer as large as any key can be.
 */
function sizeKeyBuffer(db: Level<string, string>): void {
  db.getSync('k'.repeat(MAX_KEY_BYTES));
}

async function lockDirectory(path: string): Promise<FileLock> {
  try {
    makeDirectory(path, 0o700);
    if (!(await stat(path)).isDirectory())
      throw Object.assign(new Error(`${path} is no directory`), { code: 'ENOTDIR' });
    return lockFile(join(path, 'HOLDER'), path);
  } catch (error) {
    throw LibnetworkError.is(error) ? error : directoryUnusable(path, error);
  }
}

async function within(opening: Promise<void>, path: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new LibnetworkError(
          'UNAVAILABLE',
          `the database in ${path} did not open within ${OPEN_TIMEOUT_MS} ms; look at the disk, or move the directory away to start empty`,
          { value: path, operation: 'open', limit: 'OPEN_TIMEOUT_MS' },
        ),
      );
    }, OPEN_TIMEOUT_MS);
  });
  try {
    await Promise.race([opening, late]);
  } finally {
    clearTimeout(timer);
  }
}

function directoryUnusable(path: string, cause: unknown): LibnetworkError {
  const errno = codeOf(cause) ?? 'EIO';
  const why: Record<string, string> = {
    ENOTDIR: 'a part of the path is a file',
    EEXIST: 'there is a file in its place',
    EACCES: 'this user may not use it',
    EPERM: 'this user may not use it',
    EROFS: 'its file system is read-only',
    ENOSPC: 'the disk is full',
  };
  const code =
    errno === 'ENOTDIR' || errno === 'EEXIST' ? 'INVALID_ARGUMENT' : (errnoCodes[errno] ?? 'UNAVAILABLE');
  return new LibnetworkError(
    code,
    `${path} can't hold the store: ${why[errno] ?? String(cause)} (${errno})`,
    {
      field: 'path',
      value: path,
      errno,
      operation: 'open',
      cause,
    },
  );
}

/** LevelDB says LEVEL_DATABASE_NOT_OPEN with the reason as its cause. */
function openFailed(path: string, error: unknown): LibnetworkError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const facts = { value: path, operation: 'open', cause };
  const text = cause instanceof Error ? cause.message : String(cause);
  if (codeOf(cause) === 'LEVEL_LOCKED')
    return new LibnetworkError('CONFLICT', `${path} is open in another program: ${text}`, {
      ...facts,
      holder: 'unknown',
    });
  if (codeOf(cause) === 'LEVEL_CORRUPTION' || /corrupt/i.test(text))
    return new LibnetworkError(
      'INTERNAL',
      `the database in ${path} is damaged (${text}); ${MOVE_IT_AWAY}`,
      facts,
    );
  return new LibnetworkError(
    'UNAVAILABLE',
    `the database in ${path} can't be opened (${text}); ${MOVE_IT_AWAY}`,
    facts,
  );
}

export const MOVE_IT_AWAY =
  'restore it from a copy, or move the directory away to start empty (reconcile then removes what the kernel still holds)';

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
