import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';

/** One key's new text; `null` deletes it. */
export type JournalWrite = readonly [key: string, text: string | null];

/** How large a journal may grow before writers wait until it can be emptied. */
export const JOURNAL_LIMIT = 4 << 20;

/**
 * Writes that are accepted and not yet in the database, one line each batch. Appending is one `write` to the page
 * cache, on the calling thread: some 6 us, where a write by the database's thread costs 45 us and more, nearly all
 * of it waking two threads. What is in the page cache outlives the process however it dies.
 */
export class Journal {
  readonly #fd: number;
  #length = 0;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens the file, with what an earlier process left in it, in order. A last line that was cut short is none. */
  static open(path: string): { journal: Journal; left: readonly JournalWrite[] } {
    const fd = openSync(path, 'a+', 0o600);
    try {
      const text = readFileSync(fd, 'utf8');
      const lines = text
        .slice(0, text.lastIndexOf('\n') + 1)
        .split('\n')
        .slice(0, -1);
      const journal = new Journal(fd);
      journal.#length = Buffer.byteLength(text);
      return { journal, left: lines.flatMap(parseLine) };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Takes a batch, all or nothing. @throws the kernel's error, such as ENOSPC */
  append(writes: readonly JournalWrite[]): void {
    const bytes = Buffer.from(`${JSON.stringify(writes)}\n`);
    try {
      let written = 0;
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written);
    } catch (error) {
      ftruncateSync(this.#fd, this.#length);
      throw error;
    }
    this.#length += bytes.length;
  }

  get isFull(): boolean {
    return this.#length > JOURNAL_LIMIT;
  }

  /** Everything is in the database. */
  clear(): void {
    if (this.#length === 0) return;
    ftruncateSync(this.#fd, 0);
    this.#length = 0;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** @throws an error that says corrupt, for a line that `append` did not write */
function parseLine(line: string): readonly JournalWrite[] {
  const writes = parseJson(line);
  if (Array.isArray(writes) && writes.every(isWrite)) return writes;
  throw new Error('corrupt journal');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isWrite(write: unknown): write is JournalWrite {
  if (!Array.isArray(write) || write.length !== 2) return false;
  const [key, text] = write as unknown[];
  return typeof key === 'string' && (text === null || typeof text === 'string');
}
