import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { levelStore } from '../../../src/datastore/index.ts';
import { Journal, type JournalWrite } from '../../../src/datastore/journal.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), `libnetwork-journal-${process.pid}-`));
  path = join(directory, 'JOURNAL');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const first: JournalWrite[] = [
  ['a', '1\n{"b":"line\\nbreak"}'],
  ['b', null],
];
const second: JournalWrite[] = [['ä', '2\n"€"']];

describe('the journal', () => {
  it('gives back what was appended, in order', () => {
    const { journal, left } = Journal.open(path);
    expect(left).toEqual([]);
    journal.append(first);
    journal.append(second);
    journal.close();
    const again = Journal.open(path);
    expect(again.left).toEqual([...first, ...second]);
    again.journal.close();
  });

  it('is empty after it was cleared, and can be appended to again', () => {
    const { journal } = Journal.open(path);
    journal.append(first);
    journal.clear();
    expect(readFileSync(path, 'utf8')).toBe('');
    journal.append(second);
    journal.close();
    const again = Journal.open(path);
    expect(again.left).toEqual(second);
    again.journal.close();
  });

  it('takes a batch that was cut short at any byte as not written', () => {
    const { journal } = Journal.open(path);
    journal.append(first);
    const whole = readFileSync(path).length;
    journal.append(second);
    journal.close();
    const bytes = readFileSync(path);
    for (let length = whole; length < bytes.length; length++) {
      writeFileSync(path, bytes.subarray(0, length));
      const { journal: cut, left } = Journal.open(path);
      cut.close();
      expect(left).toEqual(first);
    }
  });
});

describe('a level store', () => {
  it('brings in what an earlier process had accepted and not brought in', async () => {
    const store = await levelStore({ path: directory });
    await store.put('kept', { n: 1 });
    await store.put('gone', { n: 2 });
    await store.close();
    appendFileSync(
      path,
      `${JSON.stringify([
        ['kept', '7\n{"n":3}'],
        ['gone', null],
        ['new', '8\n{"n":4}'],
      ])}\n[["cut`,
    );
    const again = await levelStore({ path: directory });
    const entries = await again.list('');
    expect(entries.map(({ key, value }) => [key, value])).toEqual([
      ['kept', { n: 3 }],
      ['new', { n: 4 }],
    ]);
    await again.close();
    expect(readFileSync(path, 'utf8')).toBe('');
  });

  it('says that it is damaged, and what to do, where the journal is', async () => {
    writeFileSync(path, 'no journal\n');
    await expect(levelStore({ path: directory })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('move'),
    });
  });

  it('answers reads and conditions with what only the journal has', async () => {
    const store = await levelStore({ path: directory });
    const version = await store.put('key', 1);
    const [read, refused, next] = await Promise.allSettled([
      store.get('key'),
      store.put('key', 2, { ifVersion: version + 1000 }),
      store.put('key', 3, { ifVersion: version }),
    ]);
    expect(read).toMatchObject({ value: { value: 1, version } });
    expect(refused).toMatchObject({ reason: { code: 'CONFLICT' } });
    expect(next).toMatchObject({ status: 'fulfilled' });
    await store.delete('key');
    expect(await store.get('key')).toBeUndefined();
    expect(await store.list('')).toEqual([]);
    await store.close();
  });
});
