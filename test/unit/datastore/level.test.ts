import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Level } from 'level';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { levelStore } from '../../../src/datastore/index.ts';
import { LibnetworkError } from '../../../src/errors.ts';
import { type Compiled, compile } from '../../support/compile.ts';

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), `libnetwork-level-${process.pid}-`));
  path = join(directory, 'db');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function refusal(attempt: Promise<unknown>): Promise<LibnetworkError> {
  const outcome = await attempt.then(
    () => 'it was not refused',
    (error: unknown) => error,
  );
  if (LibnetworkError.is(outcome)) return outcome;
  throw new Error('expected a LibnetworkError', { cause: outcome });
}

describe('one opener at a time', () => {
  let compiled: Compiled;
  beforeAll(async () => {
    compiled = await compile('src/datastore/index.ts');
  });
  afterAll(() => compiled.remove());

  it('refuses a second open in this process, by whatever path, and names this process and the path', async () => {
    const first = await levelStore({ path });
    await symlink(path, join(directory, 'alias'));
    for (const same of [path, `${path}/../db/`, join(directory, 'alias')]) {
      const error = await refusal(levelStore({ path: same }));
      expect(error.code).toBe('CONFLICT');
      expect(error.holder).toContain(`pid ${process.pid}`);
      expect(error.message).toContain(directory);
    }
    await first.close();
    await (await levelStore({ path })).close();
  });

  it('lets one of many open at once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => levelStore({ path })));
    const opened = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(opened).toHaveLength(1);
    for (const store of opened) await store.close();
  });

  it('refuses another process, also after this one tried a second time', async () => {
    const store = await levelStore({ path });
    await refusal(levelStore({ path }));
    const other = await otherOpener();
    expect(other.said).toMatchObject({ code: 'CONFLICT' });
    expect(other.said.holder).toContain(`process ${process.pid} (`);
    await other.exited;
    expect(await store.put('a', 1)).toBeGreaterThan(0);
    await store.close();
  });

  it('takes over from a process that was killed, with every write that it was told of', async () => {
    const other = await otherOpener();
    expect(other.said).toEqual({ opened: true });
    const refused = await refusal(levelStore({ path }));
    expect(refused.code).toBe('CONFLICT');
    expect(refused.holder).toContain(`process ${other.pid} (`);
    other.kill();
    await other.exited;
    const store = await levelStore({ path });
    expect((await store.list('written/')).map((entry) => entry.value)).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    );
    await store.close();
  });

  it('does not open what another program holds by the lock of LevelDB alone', async () => {
    const db = new Level(path);
    await db.open();
    expect(await refusal(levelStore({ path }))).toMatchObject({ code: 'CONFLICT' });
    await db.close();
  });

  /** A process that opens the store, writes, says how it went, and holds the store until it is killed. */
  async function otherOpener() {
    const script = `
      import { levelStore } from ${JSON.stringify(join(compiled.directory, 'src/datastore/index.js'))};
      try {
        const store = await levelStore({ path: ${JSON.stringify(path)} });
        const keys = Array.from({ length: 200 }, (_, i) => 'written/' + String(i).padStart(3, '0'));
        await Promise.all(keys.map((key, i) => store.put(key, i)));
        console.log(JSON.stringify({ opened: true }));
        setInterval(() => {}, 1000);
      } catch ({ code, holder }) {
        console.log(JSON.stringify({ code, holder }));
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const [line] = await once(createInterface(child.stdout), 'line');
    const said = JSON.parse(String(line)) as { opened?: boolean; code?: string; holder?: string };
    return { pid: child.pid, said, kill: () => child.kill('SIGKILL'), exited };
  }
});

describe('a directory that can not be used', () => {
  it('makes missing directories for their owner alone', async () => {
    const store = await levelStore({ path: join(path, 'deep', 'er') });
    await store.close();
    for (const made of [path, join(path, 'deep'), join(path, 'deep', 'er')])
      expect((await stat(made)).mode & 0o777).toBe(0o700);
  });

  it.each([
    ['the path is a file', () => path],
    ['a part of the path is a file', () => join(path, 'below')],
  ])('says that %s', async (_what, target) => {
    await writeFile(path, 'a file');
    const error = await refusal(levelStore({ path: target() }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'path', value: target() });
    expect(error.message).toMatch(/file/);
  });

  it('says that the path is missing', async () => {
    expect(await refusal(levelStore({ path: '' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'path',
    });
  });

  it.runIf(process.getuid?.() === 0)('says that this user may not use it', async () => {
    await mkdir(path, { mode: 0o700 });
    process.seteuid?.(65_534);
    try {
      const error = await refusal(levelStore({ path }));
      expect(error).toMatchObject({ code: 'FORBIDDEN', errno: 'EACCES', value: path });
    } finally {
      process.seteuid?.(0);
    }
  });
});

describe('a damaged database', () => {
  async function fill(): Promise<void> {
    const store = await levelStore({ path });
    for (let i = 0; i < 20; i++) await store.put(`key/${i}`, { i, text: 'x'.repeat(100) });
    await store.close();
    // A second open turns the log into a table, so that there is one file of each kind.
    await (await levelStore({ path })).close();
  }

  async function filesOf(kind: RegExp): Promise<string[]> {
    const names = await readdir(path);
    return names.filter((name) => kind.test(name)).map((name) => join(path, name));
  }

  it.each([
    ['a manifest of nonsense', /^MANIFEST/, (file: string) => writeFile(file, 'nonsense'.repeat(100))],
    ['an empty manifest', /^MANIFEST/, (file: string) => truncate(file)],
    ['a missing manifest', /^MANIFEST/, (file: string) => rm(file)],
    ['a pointer to nothing', /^CURRENT$/, (file: string) => writeFile(file, 'MANIFEST-999999\n')],
    ['an empty pointer', /^CURRENT$/, (file: string) => truncate(file)],
    ['a missing table', /\.ldb$/, (file: string) => rm(file)],
  ])('says which directory to move away: %s', async (_what, kind, damage) => {
    await fill();
    const files = await filesOf(kind);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) await damage(file);
    const error = await refusal(levelStore({ path }));
    expect(['INTERNAL', 'UNAVAILABLE']).toContain(error.code);
    expect(error.message).toContain(path);
    expect(error.message).toContain('move the directory away');
    // The failed open holds nothing: with the directory moved away the store starts empty.
    await rm(path, { recursive: true });
    const store = await levelStore({ path });
    expect(await store.list('')).toEqual([]);
    await store.close();
  });

  it('says so within five seconds when the database does not open at all, and can be used again later', async () => {
    await fill();
    const pointer = join(path, 'CURRENT');
    const right = await readFile(pointer);
    await rm(pointer);
    // Nobody writes into this pipe: whoever opens it waits.
    await promisify(execFile)('mkfifo', [pointer]);
    const error = await refusal(levelStore({ path }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', limit: 'OPEN_TIMEOUT_MS' });
    expect(error.message).toContain(path);
    expect(await refusal(levelStore({ path }))).toMatchObject({ code: 'CONFLICT' });
    // The one that waits reads it from the pipe, and puts a file in the pipe's place as every opener does.
    await writeFile(pointer, right);
    await vi.waitFor(async () => (await levelStore({ path })).close(), { timeout: 10_000 });
  });

  it('opens no log that it would leave a part of out, and leaves it as it is', async () => {
    const store = await levelStore({ path });
    // Of one block of the log and of several, as LevelDB cuts them.
    const sizes = [10, 30_000, 5, 100_000, 32_760, 1];
    for (const [i, size] of sizes.entries()) await store.put(`key/${i}`, 'x'.repeat(size));
    await store.close();
    const [log = ''] = await filesOf(/\.log$/);
    const right = await readFile(log);
    for (let at = 0; at < right.length; at += 4_999) {
      const wrong = Buffer.from(right);
      wrong.writeUInt8(wrong.readUInt8(at) ^ 0x10, at);
      await writeFile(log, wrong);
      const error = await refusal(levelStore({ path }));
      expect(error).toMatchObject({ code: 'INTERNAL', operation: 'open' });
      expect(error.message).toMatch(/corrupt record in \d+\.log at byte \d+\); restore it from a copy/);
      expect((await readFile(log)).equals(wrong)).toBe(true);
    }
    await writeFile(log, right);
    const again = await levelStore({ path });
    expect((await again.list('key/')).map(({ value }) => String(value).length)).toEqual(sizes);
    await again.close();
  });

  it.each([
    ['cut short', (log: Buffer) => log.subarray(0, -3)],
    ['followed by room that nobody wrote to', (log: Buffer) => Buffer.concat([log, Buffer.alloc(40_000)])],
  ])('opens a log whose writer died at it: %s', async (_what, change) => {
    const store = await levelStore({ path });
    await store.put('kept', 1);
    await vi.waitFor(async () =>
      expect((await readFile((await filesOf(/\.log$/))[0] ?? '')).length).toBeGreaterThan(0),
    );
    await store.put('last', 2);
    await store.close();
    const [log = ''] = await filesOf(/\.log$/);
    await writeFile(log, change(await readFile(log)));
    const again = await levelStore({ path });
    expect((await again.get('kept'))?.value).toBe(1);
    await again.close();
  });

  it('fails to read from a table of nonsense instead of giving out nonsense', async () => {
    await fill();
    for (const file of await filesOf(/\.ldb$/)) {
      const { size } = await stat(file);
      await truncate(file, 0);
      await appendFile(file, Buffer.alloc(size, 0xa5));
    }
    const error = await refusal(
      levelStore({ path }).then((store) => store.list('').finally(() => store.close())),
    );
    expect(['INTERNAL', 'UNAVAILABLE']).toContain(error.code);
    expect(error.message).toContain(path);
    await rm(path, { recursive: true });
    await (await levelStore({ path })).close();
  });

  it('names the key whose value is no entry of ours', async () => {
    const db = new Level<string, string>(path);
    await db.put('bare', 'no version');
    await db.put('broken', '7\n{"half":');
    await db.close();
    const store = await levelStore({ path });
    for (const key of ['bare', 'broken']) {
      const error = await refusal(store.get(key));
      expect(error).toMatchObject({ code: 'INTERNAL', field: key });
    }
    expect(await refusal(store.put('bare', 1, { ifVersion: 0 }))).toMatchObject({
      code: 'INTERNAL',
      field: 'bare',
    });
    await store.put('bare', 1);
    expect((await store.get('bare'))?.value).toBe(1);
    await store.close();
  });
});

describe('keys beyond ASCII', () => {
  it('looks up what it wrote, whatever the length of the keys before', async () => {
    const store = await levelStore({ path });
    const keys = ['a', 'ü'.repeat(65), 'ü'.repeat(512), '\u{1f310}'.repeat(33), '€'.repeat(100)];
    for (const key of keys) await store.put(key, key);
    for (const key of keys) expect((await store.get(key))?.value).toBe(key);
    await store.close();
  });
});
